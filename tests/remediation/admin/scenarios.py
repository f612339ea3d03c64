"""Runs and executions in the states that operators act on."""

from django.utils import timezone

from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import Cause
from tests.factories import make_bucket, make_execution, make_run, make_step
from tests.remediation.admin.forms import page


def two_step_bucket(**columns):
    bucket = make_bucket(**columns)
    make_step(bucket, name="ping")
    return make_step(bucket, name="restart").bucket


def running_run(**columns):
    """Return a run whose first step is running in StackStorm."""
    run = make_run(two_step_bucket(**columns))
    run.mark_running(cause=Cause())
    make_execution(run, status="running", st2_execution_id=f"st2-{run.pk}", started_at=Cause().at)
    return run


def settled_run(outcome, *, max_attempts=1):
    """Return a run whose first step ended with this outcome."""
    bucket = make_bucket()
    make_step(bucket, name="ping", max_attempts=max_attempts)
    run = make_run(bucket)
    execution = make_execution(run)
    execution.claim(cause=Cause(), lease_until=timezone.now())
    settle(execution, outcome, cause=Cause())
    run.refresh_from_db()
    return run


def failed_run():
    return settled_run(Outcome.failure("Unit not found."))


def unknown_execution(**columns):
    return settled_run(Outcome.unknown("no answer"), **columns).executions.get()


def messages_of(response):
    return [str(message) for message in response.context["messages"]]


def buttons_of(client, row):
    return client.get(page(type(row), "change", row.pk)).context["buttons"]
