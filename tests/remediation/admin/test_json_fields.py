"""Form fields for JSON."""

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
        ("nginx", "Invalid JSON"),
        ('{"a": NaN}', "cannot be stored"),
        ('{"a": -Infinity}', "cannot be stored"),
        ('{"a": 1e400}', "cannot be stored"),
        ('{"a": "\\ud800"}', "cannot be stored"),
        ("1" * 5_000, "cannot be stored"),
        (DEEP, "cannot be stored"),
        ("", "required"),
    ],
)
def test_error_is_shown_and_the_text_is_kept(text, message):
    form = Form({"value": text})

    assert not form.is_valid()
    assert message in str(form.errors)
    assert form["value"].value() == text


@pytest.mark.parametrize("text", ["[]", "0", '""'])
def test_object_field_leaves_other_types_to_the_model(text):
    assert JSONObjectField(required=False).clean(text) != {}


@pytest.mark.parametrize("text", ["", "  ", "{}", "null"])
def test_empty_text_is_an_empty_object(text):
    assert JSONObjectField(required=False).clean(text) == {}


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, st.lists, max_leaves=5))
def test_value_survives_a_round_trip_through_the_form(value):
    field = JSONField(required=False)
    text = field.prepare_value(value)

    submitted = field.clean(text)

    assert submitted == value


def test_object_is_shown_indented():
    assert JSONField().prepare_value({"a": 1, "b": 2}).count("\n") == 3
