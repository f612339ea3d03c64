"""manage.py pause and resume."""

import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from remediation.models import JobSchedule, Pause
from tests.factories import make_execution

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def worker():
    """A worker that has used the database."""
    at = timezone.now()
    JobSchedule.start_if_due("tick", at=at, interval=datetime.timedelta(seconds=2))


def call(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_pause_prints_its_expiry_and_the_executions_in_flight():
    make_execution(name="restart", status="running")

    output = call("pause", "--reason", "network work", "--for", "30m")

    held = Pause.objects.get()
    assert held.expires_at is not None
    duration = held.expires_at - timezone.now()
    assert datetime.timedelta(minutes=29) < duration <= datetime.timedelta(minutes=30)
    assert "network work" in output
    assert "restart (running)" in output


def test_resume_ends_the_pause():
    call("pause", "--reason", "network work")

    assert call("resume") == "PoundCake has resumed.\n"
    assert call("resume") == "PoundCake was not paused.\n"


@pytest.mark.parametrize("duration", ["soon", "-5m", "5", "1w", "0m"])
def test_an_invalid_duration_is_refused(duration):
    with pytest.raises(CommandError):
        call("pause", "--reason", "x", f"--for={duration}")

    assert not Pause.objects.exists()
