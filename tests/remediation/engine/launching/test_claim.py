"""Many executions are claimed in one transaction, each with its own checks and transitions."""

import datetime

import pytest
from django.utils import timezone

from remediation import local_actions
from remediation.engine.launching import launch, prepared_launch
from remediation.engine.launching.claim import claim, lease
from remediation.models import ActionExecution, Alert, BucketRun, Cause, Transition
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_execution,
    make_run,
    make_step,
)
from tests.remediation.engine.launching.due_executions import due_executions

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


def claim_all(rows):
    loaded = list(
        ActionExecution.objects.select_related(
            "action", "run__alert", "run__bucket", "run__plan"
        ).filter(pk__in=[row.pk for row in rows])
    )
    return claim(loaded, cause=Cause(), parameters={})


def test_each_execution_of_a_claim_adds_two_queries(
    django_assert_num_queries,
):
    one = due_executions(1)
    many = due_executions(9)
    fixed = 10

    with django_assert_num_queries(fixed + 2 * 1):
        assert len(claim_all(one)) == 1
    with django_assert_num_queries(fixed + 2 * 9):
        assert len(claim_all(many)) == 9


def test_each_execution_has_its_own_transitions_in_order():
    rows = due_executions(3)

    claim_all(rows)

    moves = [
        (move.subject_type, move.run_id, move.to_status)
        for move in Transition.objects.order_by("pk")
    ]
    assert moves == [
        move
        for row in rows
        for move in (("run", row.run_id, "running"), ("execution", row.run_id, "launching"))
    ]


def test_rows_claimed_by_another_worker_are_skipped():
    mine, theirs, stopped = due_executions(3)
    claim_all([theirs])
    BucketRun.objects.filter(pk=stopped.run_id).update(stop="stop")

    assert [row.pk for row in claim_all([theirs, stopped, mine])] == [mine.pk]

    stopped.refresh_from_db()
    assert stopped.status == Status.PENDING


def test_the_second_of_two_episodes_in_one_claim_is_held_by_the_cooldown():
    first, second = due_executions(2, cooldown_seconds=3600)
    Alert.objects.filter(pk=first.alert_id).update(active_fingerprint=None)
    Alert.objects.filter(pk=second.alert_id).update(
        fingerprint=first.alert.fingerprint, active_fingerprint=first.alert.fingerprint
    )
    BucketRun.objects.filter(pk=second.run_id).update(identity=first.run.identity)

    assert [row.pk for row in claim_all([first, second])] == [first.pk]

    second.run.refresh_from_db()
    assert second.run.status == "pending"
    assert second.run.held_until is not None
    assert second.run.reason.startswith("cooling down until")


def test_an_execution_that_cannot_be_rendered_does_not_delay_others(sandbox, st2):
    good = due_executions(2)
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="noop"), parameters={"x": "{{ alert.labels.nope }}"})
    bad = make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    bad.refresh_from_db()
    assert (bad.status, bad.error_message) == ("failure", "x: alert.labels.nope is not defined")
    assert sandbox.posts_by_trace_tag() == {row.trace_tag: 1 for row in good}


@pytest.mark.usefixtures("frozen_clock")
def test_a_claim_stores_the_rendered_parameters():
    [row] = due_executions(1)

    prepared = prepared_launch.prepare_and_claim_one(row)

    read = ActionExecution.objects.get()
    assert (read.status, read.parameters) == ("launching", {"cmd": "true"})
    assert read.due_at is not None
    assert read.due_at > timezone.now()
    assert prepared is not None
    assert prepared.rendered.sent == {"cmd": "true"}


def test_a_later_step_does_not_move_a_running_run():
    bucket = make_bucket()
    make_step(bucket)
    make_step(bucket)
    run = make_run(bucket, make_alert(), status="running", started_at=timezone.now())
    row = make_execution(run, step_order=2)

    claim_all([row])

    assert not Transition.objects.filter(subject_type="run").exists()


@pytest.mark.parametrize(("api_key", "requests"), [("key", 1), ("", 3)])
def test_a_lease_covers_the_longest_launch(api_key, requests, settings):
    settings.ST2_TIMEOUT, settings.ST2_API_KEY = 20.0, api_key
    # One request takes a timeout to connect and one to respond. A launch waits for one other.
    longest = datetime.timedelta(seconds=2 * requests * 2 * 20)

    assert lease(is_local=False) >= longest + datetime.timedelta(seconds=15)


def test_a_lease_covers_the_longest_local_action():
    longest = datetime.timedelta(seconds=local_actions.MAX_SECONDS)

    assert lease(is_local=True) >= longest + datetime.timedelta(seconds=10)
