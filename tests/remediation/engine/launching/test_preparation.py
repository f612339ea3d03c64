"""Due executions are reserved before rendering; one that kills three workers fails."""

import datetime
from typing import Any

import pytest

from remediation import clock, templating
from remediation.engine.launching import launch, parameters, preparation, prepared_launch
from remediation.models import Action, ActionExecution, Bucket, BucketRun, Cause, Pause
from tests.remediation.engine.launching.due_executions import due_execution, due_local_execution

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


@pytest.fixture
def rendered(monkeypatch):
    """Return the list of rendered batches, each a set of execution ids."""
    batches = []
    render_all = parameters.render_all

    def spy(executions, **options):
        batches.append({row.pk for row in executions})
        return render_all(executions, **options)

    monkeypatch.setattr(parameters, "render_all", spy)
    return batches


def unavailable(*, is_suspect):
    return templating.RendererUnavailable("p", "it was killed", is_suspect=is_suspect)


@pytest.mark.parametrize(("is_suspect", "attempts"), [(True, 1), (False, 0)])
def test_an_execution_without_a_renderer_stays_due(is_suspect, attempts, sandbox, st2, monkeypatch):
    execution, fine = due_execution(), due_execution()
    render_step = parameters.render_step

    def no_renderer_for_one(step, variables, *, action):
        if variables["run"]["id"] == execution.run_id:
            raise unavailable(is_suspect=is_suspect)
        return render_step(step, variables, action=action)

    monkeypatch.setattr(parameters, "render_step", no_renderer_for_one)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    fine.refresh_from_db()
    assert (execution.status, fine.status) == (Status.PENDING, Status.RUNNING)
    assert execution.prepare_attempts == attempts


@pytest.mark.usefixtures("frozen_clock")
def test_a_wait_without_a_renderer_is_resumed_later(monkeypatch):
    execution = due_local_execution("wait", seconds=60)
    launch.run_local()
    ActionExecution.objects.update(due_at=clock.now())

    def no_renderer(*_arguments, **_options):
        raise unavailable(is_suspect=True)

    monkeypatch.setattr(parameters, "render_step", no_renderer)

    launch.run_local()

    execution.refresh_from_db()
    assert (execution.status, execution.prepare_attempts) == (Status.RUNNING, 1)
    assert execution.due_at is not None
    assert execution.due_at > clock.now()


@pytest.mark.parametrize("model", [Bucket, Action])
def test_a_disabled_bucket_or_action_is_not_rendered(model, sandbox, st2, rendered):
    execution = due_execution()
    model.objects.update(is_enabled=False)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.SKIPPED
    assert set().union(*rendered) == set()


def test_a_bucket_enabled_during_rendering_stays_due(sandbox, st2, monkeypatch):
    execution = due_execution()
    Bucket.objects.update(is_enabled=False)
    render_all = parameters.render_all

    def enable_and_render(executions, **options):
        Bucket.objects.update(is_enabled=True)
        return render_all(executions, **options)

    monkeypatch.setattr(parameters, "render_all", enable_and_render)
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    assert (execution.status, execution.prepare_attempts) == (Status.PENDING, 0)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING


@pytest.mark.parametrize("stop", ["stop", "cancel"])
def test_a_stopped_run_is_not_rendered(stop, sandbox, st2, rendered):
    execution = due_execution()
    BucketRun.objects.update(stop=stop)

    launch.launch_due(client=st2)

    assert set().union(*rendered) == set()
    execution.refresh_from_db()
    assert execution.prepare_attempts == 0


def test_nothing_is_rendered_while_paused(sandbox, st2, rendered):
    due_execution()
    Pause.objects.create(reason="a test", actor="test", created_at=clock.now())

    launch.launch_due(client=st2)

    assert set().union(*rendered) == set()


def test_a_claim_clears_the_count(sandbox, st2):
    execution = due_execution()

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert (execution.prepare_attempts, execution.preparing_until) == (0, None)


def test_an_attempt_is_counted_before_it_is_rendered(sandbox, st2, monkeypatch):
    execution = due_execution()
    seen = []
    render_all = parameters.render_all

    def spy(executions, **options):
        seen.append(ActionExecution.objects.values_list("prepare_attempts", flat=True).get())
        return render_all(executions, **options)

    monkeypatch.setattr(parameters, "render_all", spy)

    launch.launch_due(client=st2)

    assert seen == [1]
    execution.refresh_from_db()
    assert execution.status == Status.RUNNING


def test_executions_whose_worker_died_are_prepared_last_and_one_by_one(sandbox, st2, rendered):
    suspects = [due_execution(prepare_attempts=count) for count in (1, 2)]
    others = [due_execution(), due_execution()]

    launch.launch_due(client=st2)
    launch.launch_due(client=st2)

    batches = [batch for batch in rendered if batch]
    assert set().union(*batches[:-2]) == {row.pk for row in others}
    assert batches[-2:] == [{row.pk} for row in suspects]
    assert set(ActionExecution.objects.values_list("status", flat=True)) == {Status.RUNNING}


def test_an_execution_fails_after_three_workers_died(sandbox, st2, rendered):
    execution = due_execution(prepare_attempts=preparation.ATTEMPTS_MAX)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert execution.error_message.startswith("parameters: 3 workers died or hung")
    assert set().union(*rendered) == set()


def test_a_local_action_fails_after_three_workers_died():
    execution = due_local_execution("log_event", message="x")
    ActionExecution.objects.update(prepare_attempts=preparation.ATTEMPTS_MAX)

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "3 workers died" in execution.error_message


def test_a_wait_fails_after_three_workers_died_resuming_it():
    execution = due_local_execution("wait", seconds=60)
    launch.run_local()
    ActionExecution.objects.update(due_at=clock.now(), prepare_attempts=preparation.ATTEMPTS_MAX)

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "3 workers died" in execution.error_message


def test_a_row_reserved_by_another_worker_is_skipped_until_the_reservation_ends(sandbox, st2):
    soon = clock.now() + datetime.timedelta(seconds=5)
    execution = due_execution(prepare_attempts=1, preparing_until=soon)

    assert launch.launch_due(client=st2) == 0
    execution.refresh_from_db()
    assert (execution.prepare_attempts, execution.preparing_until) == (1, soon)

    ActionExecution.objects.update(preparing_until=clock.now())
    assert launch.launch_due(client=st2) == 1


def test_two_workers_with_the_same_rows_reserve_different_ones(sandbox, st2):
    rows = [due_execution() for _ in range(3)]
    ActionExecution.objects.filter(pk=rows[0].pk).update(
        preparing_until=clock.now() + datetime.timedelta(seconds=5)
    )
    loaded = list(ActionExecution.objects.select_related("run").order_by("pk"))

    with preparation.reserved(loaded) as reservation:
        assert [row.pk for row in reservation.executions] == [row.pk for row in rows[1:]]
        with preparation.reserved(loaded) as second:
            assert second.executions == []


def test_a_batch_is_reserved_by_one_statement(django_assert_num_queries):
    for _ in range(5):
        due_execution()
    loaded = list(ActionExecution.objects.select_related("run"))

    with django_assert_num_queries(1), preparation.reserved(loaded) as reservation:
        for row in reservation.executions:
            row.status = Status.LAUNCHING


def test_a_reservation_is_released_if_the_row_was_not_claimed(sandbox, st2, monkeypatch):
    execution = due_execution()
    monkeypatch.setattr(prepared_launch, "claim", lambda *_arguments, **_options: [])

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert (execution.prepare_attempts, execution.preparing_until) == (0, None)


def test_a_failed_claim_does_not_count_as_an_attempt(sandbox, st2, monkeypatch):
    execution = due_execution()

    def fail(*_arguments, **_options):
        raise ValueError("a claim that fails")

    monkeypatch.setattr(prepared_launch, "claim", fail)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert "a claim that fails" in execution.error_message
    assert (execution.prepare_attempts, execution.preparing_until) == (0, None)


def test_a_claimed_row_is_not_released():
    execution = due_execution()
    loaded = list(ActionExecution.objects.select_related("run"))

    def claim_and_fail():
        with preparation.reserved(loaded):
            execution.claim(cause=Cause(), lease_until=clock.now())
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        claim_and_fail()

    execution.refresh_from_db()
    assert (execution.prepare_attempts, execution.status) == (0, Status.LAUNCHING)


def test_slow_steps_are_rendered_last_and_do_not_delay_the_batch(monkeypatch):
    slow, fine = due_execution(), due_execution()
    rows = list(ActionExecution.objects.select_related("run__plan", "run__alert", "run__bucket"))
    monkeypatch.setattr(parameters, "_slow_steps", parameters._SlowSteps())
    monkeypatch.setattr(parameters, "SLOW_SECONDS", 0.0)
    parameters.render_all([row for row in rows if row.pk == slow.pk])
    monkeypatch.setattr(parameters, "SLOW_SECONDS", 60.0)

    assert list(parameters.render_all(rows, until=0.0)) == [fine.pk]
    assert list(parameters.render_all(rows)) == [fine.pk, slow.pk]
    assert not parameters.is_slow(slow), "a fast rendering clears the mark"


def test_a_slow_step_is_prepared_in_isolation_after_the_others(sandbox, st2, rendered, monkeypatch):
    monkeypatch.setattr(parameters, "_slow_steps", parameters._SlowSteps())
    slow, fine, suspect = due_execution(), due_execution(), due_execution(prepare_attempts=2)
    parameters._slow_steps.note(slow, seconds=60.0)

    launch.launch_due(client=st2)

    assert [batch for batch in rendered if batch] == [{fine.pk}, {slow.pk}, {suspect.pk}]
    assert set(ActionExecution.objects.values_list("status", flat=True)) == {Status.RUNNING}


def test_a_slow_worker_releases_only_its_own_attempt():
    execution = due_execution()
    loaded = list(ActionExecution.objects.select_related("run"))

    with preparation.reserved(loaded):
        ActionExecution.objects.update(preparing_until=clock.now())
        with preparation.reserved(loaded) as second:
            assert [row.pk for row in second.executions] == [execution.pk]
            execution.refresh_from_db()
            assert execution.prepare_attempts == 2

    execution.refresh_from_db()
    assert execution.prepare_attempts == 0


def test_an_execution_rendered_twice_without_a_renderer_stays_due(monkeypatch):
    execution = due_execution()
    loaded = list(ActionExecution.objects.select_related("run"))

    def no_renderer(executions, **_options):
        return {row.pk: unavailable(is_suspect=True) for row in executions}

    monkeypatch.setattr(parameters, "render_all", no_renderer)
    prepared: dict[int, Any] = {}

    with preparation.reserved(loaded) as reservation:
        preparation.render_again(reservation, loaded, prepared)

    assert prepared == {}
    execution.refresh_from_db()
    assert execution.prepare_attempts == 1
