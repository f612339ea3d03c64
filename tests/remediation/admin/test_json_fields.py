"""JSON that people write into forms."""

import pytest
from django import forms
from hypothesis import given
from hypothesis import strategies as st

from remediation.admin.json_fields import JSONField, JSONObjectField

DEEP = "[" * 100_000
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


class Form(forms.Form):
    value = JSONField()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "b": }', "in line 2, column 7"),
        ("nginx", "This is not JSON"),
        ('{"a": NaN}', "cannot be stored"),
        ('{"a": -Infinity}', "cannot be stored"),
        ('{"a": 1e400}', "cannot be stored"),
        ('{"a": "\\ud800"}', "cannot be stored"),
        ("1" * 5_000, "cannot be stored"),
        (DEEP, "cannot be stored"),
        ("", "required"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_written_stays(text, message):
    form = Form({"value": text})

    assert not form.is_valid()
    assert message in str(form.errors)
    assert form["value"].value() == text


@pytest.mark.parametrize("text", ["[]", "0", '""'])
def test_what_is_no_object_is_left_for_the_model_to_refuse(text):
    assert JSONObjectField(required=False).clean(text) != {}


@pytest.mark.parametrize("text", ["", "  ", "{}", "null"])
def test_nothing_is_an_empty_object(text):
    assert JSONObjectField(required=False).clean(text) == {}


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, st.lists, max_leaves=5))
def test_a_value_that_is_shown_and_sent_back_is_the_same(value):
    field = JSONField(required=False)
    shown = field.prepare_value(value)

    sent_back = field.clean(shown)

    assert sent_back == value


def test_a_long_object_is_shown_line_by_line():
    assert JSONField().prepare_value({"a": 1, "b": 2}).count("\n") == 3
