"""manage.py after_restore."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from remediation.models import Heartbeat, Restore
from tests.factories import make_execution, make_local_action, make_run, make_step

pytestmark = pytest.mark.django_db


def test_it_lists_the_unfinished_work():
    make_execution(name="restart")
    make_execution(name="follow", status="running")
    make_execution(make_run(make_step(action=make_local_action()).bucket), name="log")
    make_run(status="unknown")
    out = StringIO()

    call_command("after_restore", "--without-workers", stdout=out)

    output = out.getvalue()
    assert Restore.objects.count() == 1
    assert "executions that wait for StackStorm: 1." in output
    assert "follow (running)" in output
    assert "local action, which may have run" in output
    assert "unknown runs, which wait for an operator: 1" in output


def test_it_stops_with_the_reason_while_workers_live():
    Heartbeat.record("launch@web-01-77", at=timezone.now())

    with pytest.raises(CommandError, match="launch@web-01-77"):
        call_command("after_restore", "--without-workers")


def test_it_refuses_a_database_that_no_worker_has_used():
    with pytest.raises(CommandError, match="No worker has ever used"):
        call_command("after_restore")

    assert not Restore.objects.exists()
