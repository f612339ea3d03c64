"""Definitions that are too large or too deep are rejected with a fix."""

import pytest
from django.core.exceptions import ValidationError

from remediation.models import Action, ConfigValue
from remediation.models.action import DEFINITION_BYTES_MAX, object_problem

LARGE = {"text": "\u6f22" * 40_000}  # 280,000 bytes of SQL


def test_the_size_of_an_object_is_that_of_its_sql():
    assert object_problem({"text": "x" * 200_000}) == ""
    assert str(DEFINITION_BYTES_MAX) in object_problem(LARGE)


def test_a_too_large_mapping_is_rejected_by_field():
    action = Action(name="large", st2_action_ref="core.local", st2_parameters=LARGE)

    with pytest.raises(ValidationError) as caught:
        action.clean()

    assert "bytes in the database" in caught.value.message_dict["st2_parameters"][0]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("value", "error"), [(LARGE, "bytes in the database"), ([[[]]], "deeper than")]
)
def test_an_unstorable_config_value_is_rejected_by_field(value, error, monkeypatch):
    monkeypatch.setattr("remediation.models.action.DEFINITION_DEPTH_MAX", 2)

    with pytest.raises(ValidationError) as caught:
        ConfigValue(key="large", value=value).full_clean()

    assert error in caught.value.message_dict["value"][0]
