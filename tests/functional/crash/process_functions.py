"""The functions that a crash test runs, each in its own process.

They never wait: without due work, the clock moves to the time of the next work.
"""

import datetime
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import time_machine
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models import Min
from django.test import Client
from django.utils import timezone
from time_machine import Traveller

from remediation import alertmanager, jobs
from remediation import clock as shared_clock
from remediation.engine.intake.deliveries import Delivery, Stored
from remediation.engine.intake.receive import receive_all
from remediation.engine.launching import parameters
from remediation.models import ActionExecution, Alert, BucketRun, Cause, Scope, Transition
from tests import factories
from tests.functional.crash.interruptions import InterruptionPoints

Accepted = Callable[[], None]

ROUNDS = 60  # of jobs; a scenario needs about ten, with recovery twenty
DELIVERIES = 10
STOPPED_SECONDS = 600
SECONDS_BETWEEN_ROUNDS = 2
UNSETTLED = ("pending", "launching", "running")
HISTORY = (
    "transitions",
    "action_executions",
    "bucket_runs",
    "alerts",
    "job_schedules",
    "problems",
    "process_heartbeats",
    "api_calls",
)
JOBS = (jobs.run_local, jobs.launch_due, jobs.tick)


def prepare(_accepted: Accepted, *, bucket: dict[str, Any], steps: list[dict[str, Any]]) -> str:
    """Create the tables and a bucket; return a token for the webhook.

    ``steps``: columns of each step, with the columns of its action under ``action``.
    """
    call_command("migrate", verbosity=0)
    row = factories.make_bucket(**bucket)
    for step in steps:
        columns = dict(step)
        factories.make_step(row, factories.make_action(**columns.pop("action")), **columns)
    _, token = factories.make_token([Scope.WEBHOOK])
    return token


def remediate(
    accepted: Accepted,
    *,
    bodies: list[str],
    token: str,
    seconds_later: float = 0.0,
    is_new: bool = True,
    kill_at: int = 0,
    disconnect_at: int = 0,
    freeze_at: int = 0,
) -> dict[str, Any]:
    """Deliver notifications and run jobs until all runs have ended.

    A further notification comes when an execution runs in StackStorm. Each is delivered until the
    response is 202; then ``accepted`` is called. ``is_new``: delete the history first. Return the
    interruption points passed and the rows of the history.
    """
    if is_new:
        _delete_history()
    points = InterruptionPoints(kill_at=kill_at, disconnect_at=disconnect_at, freeze_at=freeze_at)
    points.watch()
    # time_machine cannot set the database's clock.
    shared_clock._shared = shared_clock.MachineClock
    start = timezone.now() + datetime.timedelta(seconds=seconds_later)
    with time_machine.travel(start) as clock:
        points.in_other_worker = partial(_work_past_leases, clock)
        for body in bodies:
            _work(clock, until=_is_running_or_ended)
            _deliver(body, token, clock)
            accepted()
        _work(clock, until=_have_ended)
    return {"points": points.passed, "rows": _history()}


def store_group(
    accepted: Accepted,
    *,
    bodies: list[str],
    is_new: bool = True,
    kill_at: int = 0,
    disconnect_at: int = 0,
) -> dict[str, Any]:
    """Store notifications as the leader of a group; each is accepted after the commit.

    Return the interruption points passed, the dispositions of the alerts and the history.
    """
    if is_new:
        _delete_history()
    points = InterruptionPoints(kill_at=kill_at, disconnect_at=disconnect_at)
    points.watch()
    deliveries = [
        Delivery(alertmanager.parse(body.encode()), Cause(request_id=f"call-{number}"), "192.0.2.1")
        for number, body in enumerate(bodies)
    ]
    results = receive_all(deliveries)
    assert all(isinstance(one, Stored) for one in results), results
    for _ in results:
        accepted()
    receipts = [one.receipts for one in results if isinstance(one, Stored)]
    dispositions = [str(receipt.disposition) for of_one in receipts for receipt in of_one]
    return {"points": points.passed, "dispositions": dispositions, "rows": _history()}


def _delete_history() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE action_executions SET parent_id = NULL, done_in_id = NULL")
        for table in (*HISTORY, "django_q_ormq"):
            cursor.execute(f"DELETE FROM {table}")


def _deliver(body: str, token: str, clock: Traveller) -> None:
    """Post like Alertmanager: retry until the response is a 2xx."""
    sender = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})
    for _ in range(DELIVERIES):
        response = sender.post(
            "/api/v1/webhook", body, content_type="application/json", SERVER_NAME="localhost"
        )
        if response.status_code == 202:
            return
        assert response.status_code >= 500, f"Alertmanager does not retry {response}"
        clock.shift(10)
    raise AssertionError(f"all {DELIVERIES} deliveries got a 5xx")


def _work(clock: Traveller, *, until: Callable[[], bool]) -> None:
    for _ in range(ROUNDS):
        if until():
            return
        for job in JOBS:
            try:
                job()
            except OperationalError:
                # A worker drops a failed job; a later job does its work.
                connection.close()
        clock.shift(max(SECONDS_BETWEEN_ROUNDS, _seconds_until_due()))


def _work_past_leases(clock: Traveller) -> None:
    """Work as another worker while this one is frozen for longer than any lease."""
    clock.shift(STOPPED_SECONDS)
    _work(clock, until=_have_ended)
    clock.shift(STOPPED_SECONDS)


def _seconds_until_due() -> float:
    rows = ActionExecution.objects.filter(status__in=UNSETTLED, due_at__isnull=False)
    due: datetime.datetime | None = rows.aggregate(due=Min("due_at"))["due"]
    return (due - timezone.now()).total_seconds() if due else 0.0


def _have_ended() -> bool:
    rows = ActionExecution.objects.filter(status__in=UNSETTLED)
    return not rows.exists() and not BucketRun.objects.filter(status__in=UNSETTLED).exists()


def _is_running_or_ended() -> bool:
    running = ActionExecution.objects.filter(status="running", st2_execution_id__isnull=False)
    return running.exists() or _have_ended()


def _history() -> dict[str, list[Any]]:
    return {
        "alerts": list(Alert.objects.order_by("pk").values("id", "status", "occurrences")),
        "runs": list(BucketRun.objects.order_by("pk").values("id", "number", "status", "stop")),
        "executions": list(
            ActionExecution.objects.filter(parent=None)
            .order_by("run_id", "step_order", "attempt")
            .values(
                "id",
                "run_id",
                "step_order",
                "attempt",
                "name",
                "status",
                "due_at",
                "trace_tag",
                "st2_execution_id",
                "error_message",
            )
        ),
        "tasks": list(
            ActionExecution.objects.exclude(parent=None).order_by("pk").values("name", "status")
        ),
        "transitions": list(
            Transition.objects.order_by("pk").values(
                "id", "subject_type", "subject_id", "run_id", "from_status", "to_status"
            )
        ),
    }


def queue_executions(_accepted: Accepted, *, names: list[str]) -> None:
    """Create the tables and a due execution for each name, in this order."""
    call_command("migrate", verbosity=0)
    for name in names:
        bucket = factories.make_bucket()
        action = factories.make_action(st2_runner="local-shell-cmd")
        factories.make_step(bucket, action, name=name, parameters={"cmd": "true"})
        factories.make_execution(factories.make_run(bucket))


def launch(_accepted: Accepted, *, fatal: str, seconds_later: float) -> dict[str, list[str]]:
    """Launch due executions; the process dies when it renders the step called ``fatal``.

    Return status and error of every execution by name.
    """
    render_step = parameters.render_step

    def render_or_die(step: dict[str, Any], *rest: Any, **options: Any) -> Any:
        if step["name"] == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return render_step(step, *rest, **options)

    parameters.render_step = render_or_die
    shared_clock._shared = shared_clock.MachineClock
    with time_machine.travel(timezone.now() + datetime.timedelta(seconds=seconds_later)):
        jobs.launch_due()
    rows = ActionExecution.objects.values_list("name", "status", "error_message")
    return {name: [status, error] for name, status, error in rows}
