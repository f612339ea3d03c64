"""Notices at the top of the pages of runs and executions."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from remediation.engine.operations import pause
from remediation.models import ActionExecution, BucketRun, Cause, Problem
from tests.factories import make_bucket, make_execution, make_local_action, make_run, make_step
from tests.remediation.admin.forms import page
from tests.remediation.admin.scenarios import running_run, unknown_execution

pytestmark = pytest.mark.slow

SOON = datetime.timedelta(hours=1)
EVIL = "<script>alert(1)</script>"


def notices_of(client, row):
    """Return (text, is_urgent) of each notice on the row's page."""
    response = client.get(page(type(row), "change", row.pk))
    notices = response.context["notices"]
    assert "<script>alert" not in response.content.decode()
    return [(" ".join([notice.title, *notice.lines]), notice.is_urgent) for notice in notices]


def text_of(client, row):
    return " ".join(text for text, _ in notices_of(client, row))


def running_execution(**columns):
    defaults: dict[str, Any] = {"status": "running", "started_at": timezone.now()}
    return make_execution(**defaults | columns)


def test_pending_execution_waits_for_the_pause(operator):
    execution = make_execution()
    pause.pause(reason=f"maintenance {EVIL}", expires_at=None, cause=Cause(actor="ann"))

    for row in (execution, execution.run):
        assert "paused by ann: maintenance" in text_of(operator, row)


def test_pending_execution_waits_for_stackstorm(operator):
    execution = make_execution()
    Problem.report("stackstorm", f"connection refused {EVIL}.", at=timezone.now())

    for row in (execution, execution.run):
        text = text_of(operator, row)
        assert "StackStorm has been unreachable since" in text
        assert "The execution starts when StackStorm is back." in text


def test_local_action_does_not_wait_for_stackstorm(operator):
    execution = make_execution(make_run(make_step(make_bucket(), make_local_action()).bucket))
    Problem.report("stackstorm", "connection refused", at=timezone.now())

    assert "StackStorm" not in text_of(operator, execution)


def test_attempt_waits_for_retry_delay_seconds(operator):
    execution = make_execution(attempt=2, due_at=timezone.now() + SOON)

    assert "attempt 2 starts after retry_delay_seconds" in text_of(operator, execution)


def test_failed_launch_shows_its_error_and_the_time_of_the_retry(operator):
    execution = make_execution(due_at=timezone.now() + SOON, error_message=f"401: {EVIL}")

    text = text_of(operator, execution)

    assert "Not due until" in text
    assert "401: " in text


def test_due_execution_waits_for_a_worker(operator):
    assert "Waits for a worker." in text_of(operator, make_execution())


@pytest.mark.parametrize(
    ("stop", "phrase", "is_shown"),
    [
        ("stop", "The run ends after the current step", True),
        ("cancel", "does not mean that the command stopped", True),
        ("stop", "does not mean that the command stopped", False),
    ],
)
def test_stop_is_shown_with_its_reason(operator, stop, phrase, is_shown):
    run = running_run()
    BucketRun.objects.filter(pk=run.pk).update(stop=stop, reason=f"wrong host {EVIL}")

    for row in (run, run.executions.get()):
        text = text_of(operator, row)
        assert "wrong host" in text
        assert (phrase in text) == is_shown


def test_launching_execution_shows_when_another_worker_takes_over(operator):
    execution = make_execution(status="launching", started_at=timezone.now())

    assert "If that worker dies, another takes over after" in text_of(operator, execution)


def test_launch_without_a_response_is_looked_up(operator):
    execution = make_execution(
        status="launching",
        lookup_until=timezone.now() + SOON,
        unanswered_launches=1,
        error_message="read timed out",
    )

    text = text_of(operator, execution)

    assert "read timed out" in text
    assert "does not send it again before then" in text
    assert "Launched once without a response from StackStorm" in text


def test_execution_queued_in_stackstorm_has_a_notice(operator):
    execution = running_execution(st2_execution_id="e1", st2_action_execution_status="requested")

    assert "Queued in StackStorm (requested)" in text_of(operator, execution)


def test_running_execution_has_no_notice(operator):
    execution = running_execution(st2_execution_id="e1", st2_action_execution_status="running")

    assert notices_of(operator, execution) == []
    assert notices_of(operator, execution.run) == []


def test_running_execution_has_a_notice_during_an_outage(operator):
    execution = running_execution(st2_execution_id="e1", st2_action_execution_status="running")
    Problem.report("stackstorm", "connection refused", at=timezone.now())

    assert "reads the outcome when StackStorm is back" in text_of(operator, execution)


def test_wait_action_shows_its_end(operator):
    run = make_run(make_step(make_bucket(), make_local_action("wait")).bucket)
    waiting = running_execution(run=run, due_at=timezone.now() + SOON)

    assert "Waits until" in text_of(operator, waiting)
    ActionExecution.objects.update(due_at=timezone.now())
    assert notices_of(operator, waiting) == []


def test_unknown_execution_without_an_id_shows_its_trace_tag(operator):
    execution = unknown_execution()

    for row in (execution, execution.run):
        [(text, is_urgent)] = notices_of(operator, row)
        assert is_urgent
        assert text.startswith("Needs your decision: the outcome of")
        assert "no answer" in text
        assert "Check server-01:9100" in text
        assert f"st2 trace list --trace-tag {execution.trace_tag}" in text


def test_unknown_execution_with_an_id_shows_it(operator):
    execution = unknown_execution()
    ActionExecution.objects.update(
        st2_execution_id="5f9e", st2_web_url="https://st2.example.com/#/history/5f9e"
    )

    text = text_of(operator, execution)

    assert 'href="https://st2.example.com/#/history/5f9e"' in text
    assert "st2 execution get 5f9e" in text
    assert "PoundCake also checks" in text


def test_unknown_local_action_does_not_mention_stackstorm(operator):
    execution = unknown_execution()
    ActionExecution.objects.update(executed_via_stackstorm=False)

    text = text_of(operator, execution)

    assert "It is a local action of PoundCake" in text
    assert "st2" not in text


def test_ghosts_and_duplicates_are_listed(operator):
    execution = make_execution(
        status="success", unanswered_launches=2, st2_ghost_ids=["5f9e", EVIL], st2_execution_id="e"
    )

    text = text_of(operator, execution)

    assert "Launched 2 times without a response from StackStorm" in text
    assert "<code>5f9e</code>" in text
    assert "may have run its command" in text


def test_step_skipped_on_retry_links_the_earlier_execution(operator):
    done = make_execution(status="success")
    skipped = make_execution(status="skipped", done_in=done)

    assert page(ActionExecution, "change", done.pk) in text_of(operator, skipped)


@pytest.mark.parametrize("status", sorted(BucketRun.FINAL))
def test_ended_run_has_no_notice(operator, status):
    run = make_run(status=status, stop="stop")
    make_execution(run, status="skipped")

    assert notices_of(operator, run) == []


def test_unknown_workflow_task_has_no_notice(operator):
    workflow = make_execution(step_order=0, status="running", st2_execution_id="e1")
    task = make_execution(workflow.run, parent=workflow, status="unknown")

    assert notices_of(operator, task) == []
