"""Why a run or an execution waits stands on top of its page, in plain words."""

import datetime

import pytest
from django.utils import timezone

from remediation.engine.operations import pause
from remediation.models import ActionExecution, BucketRun, Cause, Heartbeat
from tests.factories import make_bucket, make_execution, make_local_action, make_run, make_step
from tests.remediation.admin.forms import page
from tests.remediation.admin.scenarios import running_run, unknown_execution

SOON = datetime.timedelta(hours=1)
EVIL = "<script>alert(1)</script>"


def notices_of(client, row):
    """Return the text of each notice, and whether it is urgent."""
    response = client.get(page(type(row), "change", row.pk))
    notices = response.context["notices"]
    assert "<script>alert" not in response.content.decode()
    return [(" ".join([notice.title, *notice.lines]), notice.is_urgent) for notice in notices]


def text_of(client, row):
    return " ".join(text for text, _ in notices_of(client, row))


def at_stackstorm(**columns):
    return make_execution(**{"status": "running", "started_at": timezone.now()} | columns)


def test_a_pending_execution_waits_for_the_pause(operator):
    execution = make_execution()
    pause.pause(reason=f"maintenance {EVIL}", expires_at=None, cause=Cause(actor="ann"))

    for row in (execution, execution.run):
        assert "paused by ann: maintenance" in text_of(operator, row)


def test_a_pending_execution_waits_for_stackstorm(operator):
    execution = make_execution()
    Heartbeat.tell("stackstorm", f"connection refused {EVIL}.", at=timezone.now())

    for row in (execution, execution.run):
        text = text_of(operator, row)
        assert "StackStorm cannot be reached since" in text
        assert "It starts by itself when StackStorm is back." in text


def test_a_local_action_does_not_wait_for_stackstorm(operator):
    execution = make_execution(make_run(make_step(make_bucket(), make_local_action()).bucket))
    Heartbeat.tell("stackstorm", "connection refused", at=timezone.now())

    assert "StackStorm" not in text_of(operator, execution)


def test_an_attempt_waits_for_its_delay(operator):
    execution = make_execution(attempt=2, due_at=timezone.now() + SOON)

    assert "it is attempt 2, after a pause (retry_delay_seconds)" in text_of(operator, execution)


def test_what_could_not_be_sent_says_when_it_is_sent_again(operator):
    execution = make_execution(due_at=timezone.now() + SOON, error_message=f"401: {EVIL}")

    text = text_of(operator, execution)

    assert "Not due until" in text
    assert "401: " in text


def test_what_is_due_waits_for_a_worker(operator):
    assert "A worker takes it." in text_of(operator, make_execution())


@pytest.mark.parametrize(
    ("stop", "words", "is_said"),
    [
        ("stop", "ends when what is in flight has ended", True),
        ("cancel", "does not mean that the command stopped", True),
        ("stop", "does not mean that the command stopped", False),
    ],
)
def test_a_stop_is_told_with_its_reason(operator, stop, words, is_said):
    run = running_run()
    BucketRun.objects.filter(pk=run.pk).update(stop=stop, reason=f"wrong host {EVIL}")

    for row in (run, run.executions.get()):
        text = text_of(operator, row)
        assert "wrong host" in text
        assert (words in text) == is_said


def test_a_launch_in_hand_tells_when_it_is_taken_up(operator):
    execution = make_execution(status="launching", started_at=timezone.now())

    assert "Should that worker be dead" in text_of(operator, execution)


def test_a_launch_without_an_answer_is_looked_up(operator):
    execution = make_execution(
        status="launching",
        lookup_until=timezone.now() + SOON,
        unanswered_launches=1,
        error_message="read timed out",
    )

    text = text_of(operator, execution)

    assert "read timed out" in text
    assert "nothing is sent twice before that" in text
    assert "StackStorm was called once without an answer" in text


def test_what_is_queued_in_stackstorm_says_so(operator):
    execution = at_stackstorm(st2_execution_id="e1", st2_action_execution_status="requested")

    assert "It is queued in StackStorm (requested)" in text_of(operator, execution)


def test_what_runs_as_it_should_needs_no_word(operator):
    execution = at_stackstorm(st2_execution_id="e1", st2_action_execution_status="running")

    assert notices_of(operator, execution) == []
    assert notices_of(operator, execution.run) == []


def test_what_runs_while_stackstorm_is_away_is_asked_for_later(operator):
    execution = at_stackstorm(st2_execution_id="e1", st2_action_execution_status="running")
    Heartbeat.tell("stackstorm", "connection refused", at=timezone.now())

    assert "asked for when StackStorm is back" in text_of(operator, execution)


def test_a_wait_tells_until_when(operator):
    run = make_run(make_step(make_bucket(), make_local_action("wait")).bucket)
    waiting = at_stackstorm(run=run, due_at=timezone.now() + SOON)

    assert "It waits until" in text_of(operator, waiting)
    ActionExecution.objects.update(due_at=timezone.now())
    assert notices_of(operator, waiting) == []


def test_an_unknown_one_without_an_id_is_looked_for_by_its_trace_tag(operator):
    execution = unknown_execution()

    for row in (execution, execution.run):
        [(text, is_urgent)] = notices_of(operator, row)
        assert is_urgent
        assert "nobody knows how" in text
        assert "no answer" in text
        assert "Look at server-01:9100" in text
        assert f"st2 trace list --trace-tag {execution.trace_tag}" in text


def test_an_unknown_one_with_an_id_is_looked_for_by_it(operator):
    execution = unknown_execution()
    ActionExecution.objects.update(
        st2_execution_id="5f9e", st2_web_url="https://st2.example.com/#/history/5f9e"
    )

    text = text_of(operator, execution)

    assert 'href="https://st2.example.com/#/history/5f9e"' in text
    assert "st2 execution get 5f9e" in text
    assert "PoundCake asks, too" in text


def test_an_unknown_local_action_is_looked_for_at_its_effect(operator):
    execution = unknown_execution()
    ActionExecution.objects.update(executed_via_stackstorm=False)

    text = text_of(operator, execution)

    assert "It ran in PoundCake itself" in text
    assert "st2" not in text


def test_ghosts_and_twins_are_named(operator):
    execution = make_execution(
        status="success", unanswered_launches=2, st2_ghost_ids=["5f9e", EVIL], st2_execution_id="e"
    )

    text = text_of(operator, execution)

    assert "StackStorm was called 2 times without an answer" in text
    assert "<code>5f9e</code>" in text
    assert "may still have run its command" in text


def test_a_step_that_was_not_repeated_leads_to_where_it_was_done(operator):
    done = make_execution(status="success")
    kept = make_execution(status="skipped", done_in=done)

    assert page(ActionExecution, "change", done.pk) in text_of(operator, kept)


@pytest.mark.parametrize("status", sorted(BucketRun.FINAL))
def test_a_run_that_has_ended_waits_for_nothing(operator, status):
    run = make_run(status=status, stop="stop")
    make_execution(run, status="skipped")

    assert notices_of(operator, run) == []


def test_a_task_of_a_workflow_waits_for_nobody(operator):
    workflow = make_execution(step_order=0, status="running", st2_execution_id="e1")
    task = make_execution(workflow.run, parent=workflow, status="unknown")

    assert notices_of(operator, task) == []
