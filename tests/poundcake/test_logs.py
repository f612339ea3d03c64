"""Log lines: one per record, escaped, masked, with the fields of the request or row."""

import json
import logging
import re
import threading

import pytest

from poundcake import logs
from remediation import log_context

HOSTILE = "web-01\n2026-01-01T00:00:00.000Z ERROR web x: forged\r\x1b[31m\x85\u2028\u202e\ud800\x00"


@pytest.fixture(autouse=True)
def secrets(settings):
    settings.ST2_API_KEY = "hunter2-the-key"
    logs.secrets_to_mask.reset()
    yield
    logs.secrets_to_mask.reset()


def record(message, *values, error=None, **extra):
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("a.b", logging.WARNING, "x.py", 1, message, values, info)
    made.__dict__.update(extra)
    return made


def as_text(*args, **kwargs):
    return logs.ConsoleFormatter().format(record(*args, **kwargs))


def as_json(*args, **kwargs):
    line = logs.JsonFormatter().format(record(*args, **kwargs))
    assert line.isascii()
    assert "\n" not in line
    return json.loads(line)


def raised(text):
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_console_line_has_utc_time_level_role_logger_and_ids():
    with log_context.bind(request_id="abc", run=5):
        line = as_text("hello %s", "world", execution=7)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING \w+ a\.b: hello world"
        r" \[request_id=abc run=5 execution=7\]",
        line,
    )


def test_a_json_line_has_the_same_fields():
    with log_context.bind(request_id="abc", run=5):
        line = as_json("hello %s", "world", execution=7, event="run.ended")

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("pid") > 0
    assert line == {
        "level": "WARNING",
        "role": log_context.role(),
        "logger": "a.b",
        "message": "hello world",
        "request_id": "abc",
        "run": 5,
        "execution": 7,
        "event": "run.ended",
    }


@pytest.mark.parametrize("where", ["message", "traceback"])
def test_hostile_text_cannot_forge_a_console_line(where):
    text = (
        as_text("labels of %s", HOSTILE)
        if where == "message"
        else as_text("failed", error=raised(HOSTILE))
    )

    first, *others = text.split("\n")
    assert all(line.startswith("  | ") for line in others)
    assert bool(others) == (where == "traceback")
    assert all(character.isprintable() for character in first + "".join(others))
    assert "\\x1b[31m" in text
    assert "\\u202e" in text


def test_hostile_text_is_data_in_json():
    line = as_json("labels of %s", HOSTILE, alert_name=HOSTILE, error=raised(HOSTILE))

    assert line["message"] == f"labels of {HOSTILE}"
    assert line["alert_name"] == HOSTILE
    assert "forged" in line["exception"]


@pytest.mark.parametrize("write", [as_text, lambda *a, **k: json.dumps(as_json(*a, **k))])
def test_secrets_are_masked_everywhere(write):
    text = write(
        "key hunter2-the-key, password=correct-horse, https://user:battery@host",
        error=raised("hunter2-the-key token=staple1234"),
        url="hunter2-the-key",
        details={"password": "correct-horse", "list": ["hunter2-the-key"]},
    )

    for secret in ("hunter2", "correct-horse", "battery", "staple1234"):
        assert secret not in text
    assert "Traceback (most recent call last)" in text


def test_a_secret_at_the_cut_of_a_long_message_is_masked():
    text = as_text("%s", "x" * (logs.TEXT_LENGTH_MAX - 5) + "hunter2-the-key")

    assert "hunter2" not in text
    assert len(text) < logs.TEXT_LENGTH_MAX + 200


def test_values_that_json_does_not_know_are_texts():
    line = as_json("x", kind={1, 2}, error_value=ValueError("password=correct-horse"))

    assert line["kind"] == "{1, 2}"
    assert "correct-horse" not in line["error_value"]


def test_the_fields_of_a_block_end_with_it_and_belong_to_its_thread():
    seen = []
    with log_context.bind(request_id="abc"):
        with log_context.bind(run=5):
            assert log_context.fields() == {"request_id": "abc", "run": 5}
        thread = threading.Thread(target=lambda: seen.append(dict(log_context.fields())))
        thread.start()
        thread.join()
        assert log_context.fields() == {"request_id": "abc"}

    assert seen == [{}]
    assert log_context.fields() == {}


@pytest.mark.parametrize("name", ["CONSOLE", "JSON"])
def test_every_logger_writes_through_the_one_handler(name):
    configured = logs.configuration(level="INFO", log_format=name)

    assert configured["root"]["handlers"] == ["stderr"]
    assert all(not one.get("handlers") for one in configured["loggers"].values())
