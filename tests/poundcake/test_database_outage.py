"""An outage of the database is one line, one per minute, and one at its end."""

import logging

import pytest
from django.db import OperationalError

from poundcake.database_outage import OutageFilter, Outages, outages
from remediation import log_context

UNREACHABLE = OperationalError(2002, "Can't connect to server on 'db' (115)")
REFUSED = OperationalError(1045, "Access denied for user 'u'@'h' (using password: YES)")


@pytest.fixture(autouse=True)
def no_outage(monkeypatch):
    monkeypatch.delenv("WORKER_ID", raising=False)
    now = [0.0]
    monkeypatch.setattr(outages, "_clock", lambda: now[0])
    outages.reset()
    yield now
    outages.reset()


def record(message, *values, error=None):
    info = (type(error), error, None) if error else None
    return logging.LogRecord("a.b", logging.WARNING, "x.py", 1, message, values, info)


def written(*args, **kwargs):
    """Return the text that is written for a record, or None."""
    made = record(*args, **kwargs)
    return made.getMessage() if OutageFilter().filter(made) else None


def test_the_first_error_is_one_sentence_without_a_traceback():
    made = record("GET /x failed", error=UNREACHABLE)

    assert OutageFilter().filter(made)
    assert made.getMessage().startswith("The database cannot be reached (2002: Can't connect")
    assert "DATABASE_URL" in made.getMessage()
    assert (made.levelname, made.exc_info) == ("ERROR", None)


def test_later_errors_are_counted_and_reported_once_a_minute(no_outage):
    written("x", error=UNREACHABLE)

    assert [written("polling: %s", UNREACHABLE) for _ in range(5)] == [None] * 5
    no_outage[0] = 60.0
    text = written("x", error=UNREACHABLE)
    assert text is not None
    assert text.endswith("This has lasted 60 s, with 5 more errors since the last line.")
    assert written("x", error=UNREACHABLE) is None


def test_the_cause_of_an_error_counts():
    error = RuntimeError("stopped")
    error.__cause__ = UNREACHABLE

    assert str(written("x", error=error)).startswith("The database cannot be reached")


def test_other_records_are_written_unchanged():
    assert written("x", error=ValueError("y")) == "x"
    assert written("Not stored: %s", OperationalError(1213, "Deadlock found")) is not None
    assert written("plain") == "plain"


def test_each_kind_is_reported():
    written("x", error=UNREACHABLE)

    assert str(written("x", error=REFUSED)).startswith("The database refuses the login")


def test_the_end_is_logged_with_its_length(no_outage, caplog):
    written("x", error=UNREACHABLE)
    no_outage[0] = 12.5

    outages.end()
    outages.end()

    assert [one.getMessage() for one in caplog.records] == [
        "The database can be used again after 12.5 s."
    ]
    assert written("x", error=UNREACHABLE) is not None


def test_a_cluster_leaves_the_report_to_its_worker(monkeypatch, caplog):
    monkeypatch.setenv("WORKER_ID", "host-1")
    monkeypatch.setattr(log_context, "_role", "launch")

    assert written("x", error=UNREACHABLE) is None
    outages.end()
    assert caplog.records == []


def test_a_new_process_has_no_outage():
    Outages().end()
