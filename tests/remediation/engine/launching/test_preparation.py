"""Due executions are reserved before they are rendered; what kills workers does so three times."""

import datetime

import pytest

from remediation import clock, templating
from remediation.engine.launching import launch, parameters, preparation, prepared_launch
from remediation.models import Action, ActionExecution, Bucket, BucketRun, Cause, Pause
from tests.factories import (
    make_local_action,
)
from tests.remediation.engine.due_executions import execution_of, good

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


@pytest.fixture
def rendered(monkeypatch):
    """Return the ids of the executions in the order of their rendering; each is a set."""
    batches = []
    render_all = parameters.render_all

    def spy(executions, **options):
        batches.append({row.pk for row in executions})
        return render_all(executions, **options)

    monkeypatch.setattr(parameters, "render_all", spy)
    return batches


def unavailable(*, is_suspect):
    return templating.RendererUnavailable("p", "it was ended", is_suspect=is_suspect)


@pytest.mark.parametrize(("is_suspect", "attempts"), [(True, 1), (False, 0)])
def test_without_a_renderer_it_stays_due(is_suspect, attempts, sandbox, st2, monkeypatch):
    execution, fine = good(), good()
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


def test_a_wait_without_a_renderer_is_woken_again(monkeypatch):
    execution = execution_of({"seconds": 60}, action=make_local_action("wait"))
    launch.run_local()
    ActionExecution.objects.update(due_at=clock.now())

    def no_renderer(*_arguments, **_options):
        raise unavailable(is_suspect=True)

    monkeypatch.setattr(parameters, "render_step", no_renderer)

    launch.run_local()

    execution.refresh_from_db()
    assert (execution.status, execution.prepare_attempts) == (Status.RUNNING, 1)
    assert execution.due_at > clock.now()


@pytest.mark.parametrize("model", [Bucket, Action])
def test_what_is_disabled_is_not_rendered(model, sandbox, st2, rendered):
    execution = good()
    model.objects.update(is_enabled=False)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.SKIPPED
    assert set().union(*rendered) == set()


def test_what_is_enabled_again_while_others_are_rendered_is_left_due(sandbox, st2, monkeypatch):
    execution = good()
    Bucket.objects.update(is_enabled=False)
    render_all = parameters.render_all

    def enables(executions, **options):
        Bucket.objects.update(is_enabled=True)
        return render_all(executions, **options)

    monkeypatch.setattr(parameters, "render_all", enables)
    launch.launch_due(client=st2)
    execution.refresh_from_db()
    assert (execution.status, execution.prepare_attempts) == (Status.PENDING, 0)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING


@pytest.mark.parametrize("stop", ["stop", "cancel"])
def test_what_is_stopped_is_not_rendered(stop, sandbox, st2, rendered):
    execution = good()
    BucketRun.objects.update(stop=stop)

    launch.launch_due(client=st2)

    assert set().union(*rendered) == set()
    execution.refresh_from_db()
    assert execution.prepare_attempts == 0


def test_what_is_paused_is_not_rendered(sandbox, st2, rendered):
    good()
    Pause.objects.create(reason="a test", actor="test", created_at=clock.now())

    launch.launch_due(client=st2)

    assert set().union(*rendered) == set()


def test_a_claim_clears_the_count(sandbox, st2):
    execution = good()

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.RUNNING
    assert (execution.prepare_attempts, execution.preparing_until) == (0, None)


def test_the_count_is_in_the_row_before_it_is_rendered(sandbox, st2, monkeypatch):
    execution = good()
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


def test_those_that_a_worker_died_with_come_last_and_alone(sandbox, st2, rendered):
    suspects = [good(prepare_attempts=1), good(prepare_attempts=2)]
    others = [good(), good()]

    launch.launch_due(client=st2)
    launch.launch_due(client=st2)

    batches = [batch for batch in rendered if batch]
    assert set().union(*batches[:-2]) == {row.pk for row in others}
    assert batches[-2:] == [{row.pk} for row in suspects]
    assert set(ActionExecution.objects.values_list("status", flat=True)) == {Status.RUNNING}


def test_the_third_worker_that_dies_is_the_last(sandbox, st2, rendered):
    execution = good(prepare_attempts=preparation.ATTEMPTS_MAX)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert execution.error_message.startswith("parameters: 3 workers died or hung")
    assert set().union(*rendered) == set()


def test_a_local_action_that_three_workers_died_with_fails():
    execution = execution_of(
        {"message": "x"}, action=make_local_action(), prepare_attempts=preparation.ATTEMPTS_MAX
    )

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "3 workers died" in execution.error_message


def test_a_wait_that_three_workers_died_with_when_it_was_over_fails():
    execution = execution_of({"seconds": 60}, action=make_local_action("wait"))
    launch.run_local()
    ActionExecution.objects.update(due_at=clock.now(), prepare_attempts=preparation.ATTEMPTS_MAX)

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == Status.FAILURE
    assert "3 workers died" in execution.error_message


def test_what_another_worker_prepares_is_passed_over_until_its_time_is_up(sandbox, st2):
    soon = clock.now() + datetime.timedelta(seconds=5)
    execution = good(prepare_attempts=1, preparing_until=soon)

    assert launch.launch_due(client=st2) == 0
    execution.refresh_from_db()
    assert (execution.prepare_attempts, execution.preparing_until) == (1, soon)

    ActionExecution.objects.update(preparing_until=clock.now())
    assert launch.launch_due(client=st2) == 1


def test_of_two_workers_with_the_same_rows_each_prepares_its_own(sandbox, st2):
    rows = [good(), good(), good()]
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
        good()
    loaded = list(ActionExecution.objects.select_related("run"))

    with django_assert_num_queries(1), preparation.reserved(loaded) as reservation:
        for row in reservation.executions:
            row.status = Status.LAUNCHING


def test_what_was_not_claimed_is_given_back_with_its_count(sandbox, st2, monkeypatch):
    execution = good()
    monkeypatch.setattr(prepared_launch, "claim", lambda *_arguments, **_options: [])

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert (execution.prepare_attempts, execution.preparing_until) == (0, None)


def test_a_database_that_fails_at_the_claim_is_no_attempt(sandbox, st2, monkeypatch):
    execution = good()

    def breaks(*_arguments, **_options):
        raise ValueError("a claim that fails")

    monkeypatch.setattr(prepared_launch, "claim", breaks)

    launch.launch_due(client=st2)

    execution.refresh_from_db()
    assert "a claim that fails" in execution.error_message
    assert (execution.prepare_attempts, execution.preparing_until) == (0, None)


def test_a_row_that_was_claimed_is_not_given_back():
    execution = good()
    loaded = list(ActionExecution.objects.select_related("run"))

    def claims_and_fails():
        with preparation.reserved(loaded):
            execution.claim(cause=Cause(), lease_until=clock.now())
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        claims_and_fails()

    execution.refresh_from_db()
    assert (execution.prepare_attempts, execution.status) == (0, Status.LAUNCHING)


def test_slow_steps_are_rendered_last_and_do_not_hold_the_batch(monkeypatch):
    slow, fine = good(), good()
    rows = list(ActionExecution.objects.select_related("run__plan", "run__alert", "run__bucket"))
    monkeypatch.setattr(parameters, "_slow_steps", parameters._SlowSteps())
    monkeypatch.setattr(parameters, "SLOW_SECONDS", 0.0)
    parameters.render_all([row for row in rows if row.pk == slow.pk])
    monkeypatch.setattr(parameters, "SLOW_SECONDS", 60.0)

    assert list(parameters.render_all(rows, until=0.0)) == [fine.pk]
    assert list(parameters.render_all(rows)) == [fine.pk, slow.pk]
    assert not parameters.is_slow(slow), "a quick rendering makes up for a slow one"


def test_a_slow_step_is_prepared_alone_after_the_others(sandbox, st2, rendered, monkeypatch):
    monkeypatch.setattr(parameters, "_slow_steps", parameters._SlowSteps())
    slow, fine, suspect = good(), good(), good(prepare_attempts=2)
    parameters._slow_steps.note(slow, seconds=60.0)

    launch.launch_due(client=st2)

    assert [batch for batch in rendered if batch] == [{fine.pk}, {slow.pk}, {suspect.pk}]
    assert set(ActionExecution.objects.values_list("status", flat=True)) == {Status.RUNNING}


def test_a_worker_that_was_slow_takes_back_its_own_attempt_alone():
    execution = good()
    loaded = list(ActionExecution.objects.select_related("run"))

    with preparation.reserved(loaded):
        ActionExecution.objects.update(preparing_until=clock.now())
        with preparation.reserved(loaded) as second:
            assert [row.pk for row in second.executions] == [execution.pk]
            execution.refresh_from_db()
            assert execution.prepare_attempts == 2

    execution.refresh_from_db()
    assert execution.prepare_attempts == 0


def test_what_is_rendered_a_second_time_without_a_renderer_stays_due(monkeypatch):
    execution = good()
    loaded = list(ActionExecution.objects.select_related("run"))

    def no_renderer(executions, **_options):
        return {row.pk: unavailable(is_suspect=True) for row in executions}

    monkeypatch.setattr(parameters, "render_all", no_renderer)
    prepared: dict[int, object] = {}

    with preparation.reserved(loaded) as reservation:
        preparation.prepare_again(reservation, loaded, prepared)

    assert prepared == {}
    execution.refresh_from_db()
    assert execution.prepare_attempts == 1
