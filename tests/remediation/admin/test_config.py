"""Admin of config values."""

import pytest

from remediation.models import ConfigValue
from tests.remediation.admin.forms import errors_of, page, submit

pytestmark = pytest.mark.slow


def test_value_is_saved_as_json(operator):
    submit(operator, page(ConfigValue, "add"), key="limits", value='{"hosts": 5}')

    assert ConfigValue.objects.get().value == {"hosts": 5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "Ops Channel"}, "lower-case"),
        ({"value": "#alerts"}, "Invalid JSON"),
        ({"value": ""}, "required"),
    ],
)
def test_invalid_key_or_value_is_rejected(operator, changes, message):
    fields = {"key": "ops_channel", "value": '"#alerts"'} | changes

    response = submit(operator, page(ConfigValue, "add"), **fields)

    assert message in errors_of(response)
    assert not ConfigValue.objects.exists()


def test_form_warns_against_secrets(operator):
    content = operator.get(page(ConfigValue, "add")).content.decode()

    assert "Never store a secret here" in content
    assert "CONFIG_KEY" in content
