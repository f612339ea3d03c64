"""manage.py pause and resume."""

import datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from remediation.models import Pause
from tests.factories import make_execution

pytestmark = pytest.mark.django_db


def call(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_pause_says_until_when_and_lists_what_goes_on():
    make_execution(name="restart", status="running")

    said = call("pause", "--reason", "network work", "--for", "30m")

    held = Pause.objects.get()
    span = held.expires_at - timezone.now()
    assert datetime.timedelta(minutes=29) < span <= datetime.timedelta(minutes=30)
    assert "network work" in said
    assert "restart (running)" in said


def test_resume_ends_it():
    call("pause", "--reason", "network work")

    assert call("resume") == "PoundCake goes on.\n"
    assert call("resume") == "PoundCake was not paused.\n"


@pytest.mark.parametrize("span", ["soon", "-5m", "5", "1w", "0m"])
def test_a_time_that_is_none_is_refused_and_nothing_is_held(span):
    with pytest.raises(CommandError):
        call("pause", "--reason", "x", f"--for={span}")

    assert not Pause.objects.exists()
