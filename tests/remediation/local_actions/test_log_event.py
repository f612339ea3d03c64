"""log_event, which writes exactly one line for any text."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation import local_actions
from remediation.local_actions import InvalidParameters

LOGGER = "poundcake.events"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_message_is_logged_with_its_level(caplog, level):
    caplog.set_level(logging.DEBUG, logger=LOGGER)

    result = local_actions.run("log_event", {"message": "web-01 is down", "level": level})

    assert caplog.record_tuples == [(LOGGER, getattr(logging, level.upper()), "web-01 is down")]
    assert result == {"logged": "web-01 is down"}


def test_the_default_level_is_info(caplog):
    caplog.set_level(logging.DEBUG, logger=LOGGER)

    local_actions.run("log_event", {"message": "x"})

    assert caplog.records[0].levelno == logging.INFO


def test_an_unknown_level_is_refused_with_the_known_levels():
    with pytest.raises(InvalidParameters, match="'level' must be one of debug, info, warning"):
        local_actions.run("log_event", {"message": "x", "level": "FATAL"})


def test_a_line_break_does_not_start_another_entry():
    result = local_actions.run("log_event", {"message": "down\r\n2026 root logged in\x1b[2J"})

    assert result == {"logged": "down\\r\\n2026 root logged in\\x1b[2J"}


def test_percent_formats_are_logged_unchanged(caplog):
    caplog.set_level(logging.INFO, logger=LOGGER)

    local_actions.run("log_event", {"message": "disk 100%s full %(name)s"})

    assert caplog.messages == ["disk 100%s full %(name)s"]


@given(st.text(st.characters(exclude_categories=[])))
def test_every_text_becomes_one_printable_line(message):
    result = local_actions.run("log_event", {"message": message})

    assert str(result["logged"]).isprintable()
