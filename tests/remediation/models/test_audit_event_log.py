"""Log lines of audit events, such as logins."""

import pytest

from remediation.models import AuditEvent, Cause

pytestmark = pytest.mark.django_db

Kind = AuditEvent.Kind


@pytest.mark.parametrize(("kind", "level"), [(Kind.LOGIN, "INFO"), (Kind.LOGIN_FAILED, "WARNING")])
def test_a_login_is_logged_after_the_commit(
    kind, level, caplog, django_capture_on_commit_callbacks
):
    caplog.set_level("INFO", logger="remediation.models.audit_event")

    with django_capture_on_commit_callbacks(execute=True):
        AuditEvent.record(
            kind, subject="alice", cause=Cause(actor="alice", client_host="192.0.2.1")
        )
        assert caplog.records == []

    [line] = caplog.records
    assert (line.event, line.levelname) == (f"audit.{kind}", level)
    assert (line.subject, line.actor, line.client_host) == ("alice", "alice", "192.0.2.1")
    assert line.getMessage() == f"{kind} alice, by alice from 192.0.2.1"
