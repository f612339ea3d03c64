"""JSON values are cut to fit the database, by the bytes sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.values.json_values import VALUE_BYTES_MAX, fit, sent_bytes
from remediation.values.text import TEXT_LENGTH_MAX, fit_text

pytestmark = pytest.mark.slow

SOURCE = "StackStorm has it complete as execution 65f0"


def test_a_value_that_fits_is_returned_unchanged():
    value = {"stdout": "ok", "return_code": 0, "list": [1, 2.5, None, True]}

    assert fit(value) is value


def test_the_size_is_that_of_the_escaped_sql():
    # Six bytes of JSON; SQL doubles the backslash and the quotes of the text.
    assert sent_bytes("\u6f22") == 7 + 4
    # JSON writes a quote with a backslash, and SQL doubles both.
    assert sent_bytes('"') == 4 + 4


@pytest.mark.parametrize("text", ["\u6f22" * 2_700_000, '"\\' * 6_000_000, "x" * 12_000_000])
def test_a_cut_text_keeps_both_ends_and_notes_size_and_source(text):
    result = {"stdout": f"first{text}last", "stderr": "", "return_code": 0}

    cut = fit(result, source=SOURCE)

    assert VALUE_BYTES_MAX / 10 < sent_bytes(cut) <= VALUE_BYTES_MAX
    assert (cut["stderr"], cut["return_code"]) == ("", 0)
    assert cut["stdout"].startswith("first")
    assert cut["stdout"].endswith("last")
    assert f"[... {len(text) + 9} characters in all, cut here; {SOURCE} ...]" in cut["stdout"]


def test_a_long_list_keeps_its_first_items_and_its_length():
    cut = fit({"rows": [{"name": "x" * 50}] * 100_000}, source=SOURCE)

    assert sent_bytes(cut) <= VALUE_BYTES_MAX
    assert cut["rows"][0] == {"name": "x" * 50}
    assert cut["rows"][-1] == f"[... 100000 items in all, cut here; {SOURCE} ...]"


def test_an_object_with_many_members_keeps_some_and_their_number():
    cut = fit({f"key {i}": "x" * 50 for i in range(100_000)})

    assert sent_bytes(cut) <= VALUE_BYTES_MAX
    assert cut["key 0"] == "x" * 50
    assert cut["..."] == "[... 100000 members in all, cut here ...]"


def test_many_long_texts_are_cut_to_the_same_length():
    cut = fit({f"host-{i}": {"stdout": "x" * 100_000} for i in range(500)}, source=SOURCE)

    assert sent_bytes(cut) <= VALUE_BYTES_MAX
    assert "100000 characters in all" in cut["host-0"]["stdout"]


def test_a_value_too_large_for_every_limit_becomes_a_note():
    wide = {"k" * 60 + str(i): "x" * 60 for i in range(4)}

    assert fit(wide, limit=100).startswith("[... ")


def test_unstorable_characters_and_numbers_are_replaced():
    odd = {"a\x00": "b\ud800", "n": float("nan"), "i": [float("inf")], "t": ("\x00",)}

    assert fit(odd) == {"a\ufffd": "b\ufffd", "n": "nan", "i": ["inf"], "t": ["\ufffd"]}


@given(st.recursive(st.text() | st.floats() | st.none(), st.lists, max_leaves=20))
def test_a_fitted_value_is_utf_8_json_within_the_limit(value):
    fitted = fit(value, limit=200)

    assert sent_bytes(fitted) <= 200
    json.dumps(fitted, allow_nan=False, ensure_ascii=False).encode()


def test_a_long_error_text_keeps_both_ends():
    fitted = fit_text("Traceback" + "x" * 50_000 + "Error: disk\x00full")

    assert len(fitted) == TEXT_LENGTH_MAX
    assert fitted.startswith("Traceback")
    assert fitted.endswith("Error: disk\ufffdfull")
    assert "50025 characters in all" in fitted
