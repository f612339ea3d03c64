"""Claims, and the results of the calls that follow them."""

import datetime

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from remediation import queue
from remediation.engine.launching import launch, launch_responses, launch_timeout
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    Cause,
    ConfigValue,
    Transition,
)
from remediation.stackstorm import StackStormClient
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_execution,
    make_run,
    make_step,
)
from tests.remediation.engine.launching.due_executions import due_execution, due_local_execution

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


def moves_of(row):
    rows = Transition.objects.filter(subject_type=row.SUBJECT_TYPE, subject_id=row.pk)
    return [move.to_status for move in rows.order_by("pk")]


def test_a_due_execution_is_started_once_and_its_ids_are_stored(sandbox, st2):
    execution = due_execution()

    for _delivery in range(2):
        launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert execution.st2_execution_id
    assert execution.st2_liveaction_id
    assert execution.parameters == {"cmd": "true"}
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}
    assert moves_of(execution) == ["launching", "running"]
    execution.run.refresh_from_db()
    assert execution.run.status == "running"
    assert execution.run.started_at is not None


def test_many_executions_are_started_in_parallel_once_each(sandbox, st2, settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 4
    executions = [due_execution() for _ in range(9)]

    assert launch.launch_due(client=st2) == 9

    assert sandbox.posts_by_trace_tag() == {row.trace_tag: 1 for row in executions}


def test_a_stopping_cluster_claims_no_more_and_leaves_the_rest_due(sandbox, st2, monkeypatch):
    executions = [due_execution() for _ in range(3)]
    record_all = launch_responses.record_all

    def stop_after_recording(*arguments, **options):
        monkeypatch.setattr(queue, "is_stopping", lambda: True)
        return record_all(*arguments, **options)

    monkeypatch.setattr(launch_responses, "record_all", stop_after_recording)

    assert launch.launch_due(client=st2) == 1

    assert len(sandbox.posts_by_trace_tag()) == 1
    statuses = ActionExecution.objects.filter(pk__in=[row.pk for row in executions])
    assert sorted(statuses.values_list("status", flat=True)) == ["pending", "pending", "running"]
    assert OrmQ.objects.filter(key=queue.LAUNCH).count() == 1, "another worker continues"


@pytest.mark.parametrize(("processes", "wake_ups"), [(1, 0), (2, 1)])
def test_a_long_batch_wakes_one_other_process(processes, wake_ups, st2, monkeypatch):
    monkeypatch.setattr(queue, "_place", queue.Place(count=processes))
    for _ in range(9):
        due_execution()

    assert launch.launch_due(client=st2) == 9

    assert OrmQ.objects.filter(key=queue.LAUNCH).count() == wake_ups


@pytest.mark.parametrize(
    "columns",
    [
        {"due_at": timezone.now() + datetime.timedelta(hours=1)},
        {"status": "running", "st2_execution_id": "a" * 24},
        {"st2_execution_id": "b" * 24},
        {"status": "launching"},
        {"status": "unknown", "due_at": None},
    ],
    ids=["not due", "running", "sent before", "claimed", "unknown"],
)
def test_other_executions_are_not_claimed(columns, sandbox, st2):
    make_execution(**columns)

    launch.launch_due(client=st2)

    assert not sandbox.posts_by_trace_tag()


@pytest.mark.parametrize("stop", ["stop", "cancel"])
def test_a_stopped_run_starts_nothing(stop, sandbox, st2):
    make_execution(make_run(stop=stop))

    launch.launch_due(client=st2)

    assert not sandbox.posts_by_trace_tag()


def test_a_disabled_bucket_skips_the_run_at_its_first_claim(sandbox, st2):
    execution = due_execution()
    Bucket.objects.update(is_enabled=False)

    launch.launch_due(client=st2)

    run = BucketRun.objects.get()
    assert (run.status, run.started_at) == ("skipped", None)
    assert run.reason.endswith("was disabled before the run began")
    execution.refresh_from_db()
    assert execution.status == Status.SKIPPED
    execution.alert.refresh_from_db()
    assert "was disabled" in execution.alert.reason
    assert not sandbox.posts_by_trace_tag()


def test_a_disabled_action_skips_the_run_and_is_named(sandbox, st2):
    execution = due_execution()
    Action.objects.update(is_enabled=False)

    launch.launch_due(client=st2)

    assert execution.action is not None
    assert BucketRun.objects.get().reason == f"the action {execution.action.name} is disabled"


def test_the_cooldown_is_checked_again_at_the_first_claim(sandbox, st2):
    bucket = make_bucket(cooldown_seconds=3600)
    make_step(bucket, make_action(st2_runner="noop"))
    earlier = make_run(bucket)
    earlier.mark_running(cause=Cause())
    labels = earlier.alert.labels
    Alert.objects.update(active_fingerprint=None)
    run = make_run(bucket, make_alert(labels=labels))
    make_execution(run)

    launch.launch_due(client=st2)

    run.refresh_from_db()
    assert run.status == "pending"
    assert run.held_until is not None
    assert run.reason.startswith("cooling down until")


def test_the_cooldown_does_not_hold_a_manual_run(sandbox, st2):
    bucket = make_bucket(cooldown_seconds=3600)
    make_step(bucket, make_action(), parameters={"cmd": "true"})
    first = make_run(bucket)
    first.mark_running(cause=Cause())
    make_execution(make_run(bucket, first.alert, number=2, trigger="manual"))

    launch.launch_due(client=st2)

    assert BucketRun.objects.get(number=2).status == "running"


def test_a_template_that_cannot_be_rendered_fails_the_step_and_names_the_field(sandbox, st2):
    execution = due_execution({"cmd": "echo {{ alert.labels.team | quote }}"})

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert execution.error_message == "cmd: alert.labels.team is not defined"
    assert BucketRun.objects.get().status == "failure"
    assert not sandbox.posts_by_trace_tag()


@pytest.mark.parametrize(
    ("parameters", "ref", "message"),
    [
        ({"cmd": "true"}, "aws.ec2_start", "st2 pack install aws"),
        ({}, "core.local", "'cmd' is a required property"),
        ({"cmd": "true", "nope": 1}, "core.local", "'nope' was unexpected"),
    ],
)
def test_a_rejected_launch_fails_with_the_message_and_the_remedy(
    parameters, ref, message, sandbox, st2
):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_action_ref=ref), parameters=parameters)
    execution = make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert message in execution.error_message


@pytest.mark.parametrize("faults", [{"unavailable": True}, {"unauthorized": True}])
@pytest.mark.usefixtures("frozen_clock")
def test_an_unsent_launch_is_pending_again_with_the_reason(faults, sandbox, st2):
    execution = due_execution()
    sandbox.configure(**faults)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.PENDING
    assert execution.due_at is not None
    assert execution.due_at > timezone.now()
    assert execution.error_message
    sandbox.configure(**dict.fromkeys(faults, False))
    ActionExecution.objects.update(due_at=timezone.now())
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_an_unreachable_stackstorm_ends_the_batch(settings):
    settings.ST2_MAX_CONCURRENT_REQUESTS = 2
    for _ in range(6):
        due_execution()
    unreachable = StackStormClient(api_url="http://127.0.0.1:9", api_key="k", timeout=1)

    assert launch.launch_due(client=unreachable) <= 4

    assert not ActionExecution.objects.exclude(status="pending").exists()


@pytest.mark.usefixtures("frozen_clock")
def test_a_launch_whose_response_was_lost_is_looked_up_and_not_resent(sandbox, st2):
    execution = due_execution()
    sandbox.configure(drop_answer_rate=1.0)

    launch.launch_due(client=st2)
    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.LAUNCHING
    assert execution.lookup_until is not None
    assert execution.lookup_until > timezone.now()
    assert BucketRun.objects.get().status == "running"
    assert sandbox.posts_by_trace_tag() == {execution.trace_tag: 1}


def test_an_execution_that_waited_too_long_ends_as_timeout(sandbox, st2, settings):
    settings.LAUNCH_TIMEOUT = 60.0
    execution = due_execution()
    ActionExecution.objects.update(created_at=timezone.now() - datetime.timedelta(minutes=2))

    assert launch_timeout.expire() == 1
    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.TIMEOUT
    assert "LAUNCH_TIMEOUT" in execution.error_message
    run = BucketRun.objects.get()
    # The run never started, so it starts no cooldown.
    assert (run.status, run.started_at) == ("timeout", None)
    assert not sandbox.posts_by_trace_tag()


def test_a_run_without_a_started_step_does_not_succeed(settings):
    settings.LAUNCH_TIMEOUT = 60.0
    bucket = make_bucket()
    make_step(bucket, make_action(), on_failure="continue")
    make_execution(make_run(bucket))
    ActionExecution.objects.update(created_at=timezone.now() - datetime.timedelta(minutes=2))

    launch_timeout.expire()

    run = BucketRun.objects.get()
    assert (run.status, run.reason) == ("timeout", "no step was started in time")


def test_secrets_are_sent_but_not_stored(sandbox, st2, settings):
    settings.CONFIG_SECRETS = {"database_password": "hunter2-hunter2"}
    execution = due_execution({"cmd": "login {{ config.database_password | quote }}"})

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.parameters["cmd"] == "********"


def test_a_local_action_runs_and_settles():
    execution = due_local_execution("log_event", message="{{ alert.instance }} is down")

    assert launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.SUCCESS
    assert execution.parameters == {"message": "server-01:9100 is down"}
    assert execution.executed_via_stackstorm is False
    assert BucketRun.objects.get().status == "success"
    assert not launch.run_local()


def test_a_local_action_with_wrong_parameters_fails_and_names_them():
    execution = due_local_execution("tcp_check", host="127.0.0.1")

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "'port'" in execution.error_message


def test_a_wait_occupies_no_worker_and_succeeds_after_its_delay():
    execution = due_local_execution("wait", seconds=600)

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert not launch.is_local_due()
    ActionExecution.objects.update(due_at=timezone.now())
    launch.run_local()
    execution.refresh_from_db()
    assert execution.status == Status.SUCCESS
    assert execution.st2_result == {"waited_seconds": 600}


def test_a_wait_that_cannot_be_rendered_after_its_delay_fails_with_the_reason():
    seconds = ConfigValue.objects.create(key="patience", value=600)
    execution = due_local_execution("wait", seconds="{{ config.patience }}")
    launch.run_local()
    seconds.delete()
    ActionExecution.objects.update(due_at=timezone.now())

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert execution.error_message == "seconds: config.patience is not defined"
    assert not launch.is_local_due()
