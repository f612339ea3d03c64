"""Many executions are claimed in one transaction, each as if it were alone."""

import pytest
from django.utils import timezone

from remediation.engine.launching import launch, prepared_launch
from remediation.engine.launching.claim import claim
from remediation.models import ActionExecution, Alert, BucketRun, Cause, Transition
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_execution,
    make_run,
    make_step,
)

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


def executions(count, **bucket):
    """Return waiting executions of one bucket, each with a run of its own."""
    made = make_bucket(**bucket)
    make_step(made, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    return [make_execution(make_run(made)) for _ in range(count)]


def claimed(rows):
    loaded = list(
        ActionExecution.objects.select_related(
            "action", "run__alert", "run__bucket", "run__plan"
        ).filter(pk__in=[row.pk for row in rows])
    )
    return claim(loaded, cause=Cause(), shown={})


def test_the_cost_of_a_claim_does_not_grow_with_their_number_but_by_two_updates_each(
    django_assert_num_queries,
):
    one = executions(1)
    many = executions(9)
    fixed = 9

    with django_assert_num_queries(fixed + 2 * 1):
        assert len(claimed(one)) == 1
    with django_assert_num_queries(fixed + 2 * 9):
        assert len(claimed(many)) == 9


def test_each_is_claimed_with_its_own_moves_in_their_order():
    rows = executions(3)

    claimed(rows)

    moves = [
        (move.subject_type, move.run_id, move.to_status)
        for move in Transition.objects.order_by("pk")
    ]
    assert moves == [
        move
        for row in rows
        for move in (("run", row.run_id, "running"), ("execution", row.run_id, "launching"))
    ]


def test_what_another_has_claimed_is_passed_over_and_the_others_are_not():
    mine, theirs, stopped = executions(3)
    claimed([theirs])
    BucketRun.objects.filter(pk=stopped.run_id).update(stop="stop")

    assert [row.pk for row in claimed([theirs, stopped, mine])] == [mine.pk]

    stopped.refresh_from_db()
    assert stopped.status == Status.PENDING


def test_of_two_episodes_claimed_together_the_second_cools_down():
    first, second = executions(2, cooldown_seconds=3600)
    Alert.objects.filter(pk=first.alert_id).update(active_fingerprint=None)
    Alert.objects.filter(pk=second.alert_id).update(
        fingerprint=first.alert.fingerprint, active_fingerprint=first.alert.fingerprint
    )
    BucketRun.objects.filter(pk=second.run_id).update(identity=first.run.identity)

    assert [row.pk for row in claimed([first, second])] == [first.pk]

    second.run.refresh_from_db()
    assert second.run.status == "pending"
    assert second.run.held_until is not None
    assert second.run.reason.startswith("cooling down until")


def test_one_that_cannot_be_rendered_holds_no_other_up(sandbox, st2):
    good = executions(2)
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="noop"), parameters={"x": "{{ alert.labels.nope }}"})
    bad = make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    bad.refresh_from_db()
    assert (bad.status, bad.error_message) == ("failure", "x: alert.labels.nope is not defined")
    assert sandbox.posts_by_trace_tag() == {row.trace_tag: 1 for row in good}


def test_what_is_claimed_is_on_record_with_what_it_will_be_sent():
    [row] = executions(1)

    request = prepared_launch.prepare_and_claim_one(row)

    read = ActionExecution.objects.get()
    assert (read.status, read.parameters) == ("launching", {"cmd": "true"})
    assert read.due_at > timezone.now()
    assert request.rendered.sent == {"cmd": "true"}


def test_a_retried_alert_of_a_run_that_runs_moves_the_run_only_once():
    bucket = make_bucket()
    make_step(bucket)
    make_step(bucket)
    run = make_run(bucket, make_alert(), status="running", started_at=timezone.now())
    row = make_execution(run, step_order=2)

    claimed([row])

    assert not Transition.objects.filter(subject_type="run").exists()
