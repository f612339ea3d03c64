"""What the processes of a crash test do. Each act runs in a process of its own.

Nothing waits: when there is nothing to do, the clock is set to the time at which there is.
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

from remediation import clock as shared_clock
from remediation import jobs
from remediation.engine.launching import parameters
from remediation.models import ActionExecution, Alert, BucketRun, Scope, Transition
from tests import factories
from tests.functional.crash.points import Points

Accepted = Callable[[], None]

ROUNDS = 60  # of work; a story takes some ten, with its recovery some twenty
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
JOBS = (jobs.run_local, jobs.launch_due, jobs.tick)  # the tick finds what time makes due


def prepare(_accepted: Accepted, *, bucket: dict[str, Any], steps: list[dict[str, Any]]) -> str:
    """Make the tables and the one bucket; return a token for the webhook.

    ``steps``: columns, with those of its action as ``action``.
    """
    call_command("migrate", verbosity=0)
    made = factories.make_bucket(**bucket)
    for step in steps:
        columns = dict(step)
        factories.make_step(made, factories.make_action(**columns.pop("action")), **columns)
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
    cut_at: int = 0,
    freeze_at: int = 0,
) -> dict[str, Any]:
    """Deliver notifications and work until all has ended; return the points that were passed.

    The next notification comes once something runs in StackStorm. Each is delivered until it is
    answered with 202; then ``accepted`` is called. ``is_new``: begin with an empty history.
    Returned are also the rows that tell what happened.
    """
    if is_new:
        _forget_history()
    points = Points(kill_at=kill_at, cut_at=cut_at, freeze_at=freeze_at)
    points.watch()
    # The database's clock cannot be set.
    shared_clock._shared = shared_clock.MachineClock
    begin = timezone.now() + datetime.timedelta(seconds=seconds_later)
    with time_machine.travel(begin) as clock:
        points.meanwhile = partial(_work_for_long, clock)
        for body in bodies:
            _work(clock, until=_runs_or_has_ended)
            _deliver(body, token, clock)
            accepted()
        _work(clock, until=_has_ended)
    return {"points": points.passed, "rows": _history()}


def _forget_history() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE action_executions SET parent_id = NULL, done_in_id = NULL")
        for table in (*HISTORY, "django_q_ormq"):
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours


def _deliver(body: str, token: str, clock: Traveller) -> None:
    """Post like Alertmanager: again, a little later, until the answer is a 2xx."""
    sender = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})
    for _ in range(DELIVERIES):
        answer = sender.post(
            "/api/v1/webhook", body, content_type="application/json", SERVER_NAME="localhost"
        )
        if answer.status_code == 202:
            return
        assert answer.status_code >= 500, f"{answer.status_code} is never sent again: {answer}"
        clock.shift(10)
    raise AssertionError(f"{DELIVERIES} deliveries were answered with 5xx")


def _work(clock: Traveller, *, until: Callable[[], bool]) -> None:
    for _ in range(ROUNDS):
        if until():
            return
        for job in JOBS:
            try:
                job()
            except OperationalError:
                # A job that fails is over for its worker; the next wake-up comes.
                connection.close()
        clock.shift(max(SECONDS_BETWEEN_ROUNDS, _seconds_until_due()))


def _work_for_long(clock: Traveller) -> None:
    """Be another worker, while this one is stopped for longer than any lease."""
    clock.shift(STOPPED_SECONDS)
    _work(clock, until=_has_ended)
    clock.shift(STOPPED_SECONDS)


def _seconds_until_due() -> float:
    rows = ActionExecution.objects.filter(status__in=UNSETTLED, due_at__isnull=False)
    due: datetime.datetime | None = rows.aggregate(due=Min("due_at"))["due"]
    return (due - timezone.now()).total_seconds() if due else 0.0


def _has_ended() -> bool:
    rows = ActionExecution.objects.filter(status__in=UNSETTLED)
    return not rows.exists() and not BucketRun.objects.filter(status__in=UNSETTLED).exists()


def _runs_or_has_ended() -> bool:
    running = ActionExecution.objects.filter(status="running", st2_execution_id__isnull=False)
    return running.exists() or _has_ended()


def _history() -> dict[str, list[dict[str, Any]]]:
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
    """Make the tables and one due execution for each name, in their order."""
    call_command("migrate", verbosity=0)
    for name in names:
        bucket = factories.make_bucket()
        action = factories.make_action(st2_runner="local-shell-cmd")
        factories.make_step(bucket, action, name=name, parameters={"cmd": "true"})
        factories.make_execution(factories.make_run(bucket))


def launch(_accepted: Accepted, *, fatal: str, seconds_later: float) -> dict[str, list[str]]:
    """Launch what is due; the process dies when it renders the step called ``fatal``.

    Returned are status and error of every execution by its name.
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
