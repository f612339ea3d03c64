"""manage.py worker --check, the liveness probe of workers."""

import datetime
import socket

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from remediation import clock
from remediation.models import Heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _host(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "worker-1")


def beat(name: str, *, seconds_ago: float = 0.0) -> None:
    Heartbeat.record(name, at=clock.now() - datetime.timedelta(seconds=seconds_ago))


def test_a_heartbeat_of_this_machine_passes(capsys):
    beat("follow@worker-1-77", seconds_ago=80)

    call_command("worker", "--check")

    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "seconds_ago"),
    [
        ("follow@worker-1-77", 100),
        ("follow@worker-1-1-77", 0),
        ("follow@worker-12-77", 0),
        ("stream", 0),
    ],
)
def test_no_recent_heartbeat_of_this_machine_fails(name, seconds_ago):
    beat(name, seconds_ago=seconds_ago)

    with pytest.raises(CommandError, match=r"No worker of worker-1 .* 90 s"):
        call_command("worker", "--check")


def test_without_a_database_it_fails_with_a_sentence():
    def refuse(*_arguments):
        raise OperationalError("Access denied for user")

    with connection.execute_wrapper(refuse), pytest.raises(CommandError):
        call_command("worker", "--check")
