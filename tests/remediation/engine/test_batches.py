"""Jobs process thousands of overdue rows in bounded batches, each row isolated."""

import datetime

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Task

from remediation import jobs, queue
from remediation.engine import batches, cancel, problems
from remediation.engine.launching import launch_timeout, lookup, recover
from remediation.engine.outcomes import poll, settle
from remediation.models import ActionExecution, BucketRun, BucketVersion, Heartbeat, Problem
from tests.factories import make_bucket, make_execution, make_run, make_step

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

MANY = 3_000
Status = ActionExecution.Status


def make_many(count=MANY, run_columns=None, **columns):
    """Make ``count - 1`` executions of one bucket, each in its own run."""
    template = make_execution(make_run(make_step(make_bucket()).bucket))
    run = template.run
    before = timezone.now() - datetime.timedelta(days=2)
    run_values = {"status": "running", "started_at": before, "created_at": before}
    runs = BucketRun.objects.bulk_create(
        BucketRun(
            request_id=run.request_id,
            alert_id=run.alert_id,
            bucket_id=run.bucket_id,
            plan_id=run.plan_id,
            number=number,
            **run_values | (run_columns or {}),
        )
        for number in range(2, count + 1)
    )
    values = {"due_at": before, "started_at": before} | columns
    rows = ActionExecution.objects.bulk_create(
        ActionExecution(
            request_id=run.request_id,
            run_id=one.pk,
            alert_id=run.alert_id,
            bucket_id=run.bucket_id,
            action_id=template.action_id,
            step_order=1,
            name=template.name,
            **values,
        )
        for one in runs
    )
    template.delete()
    BucketRun.objects.filter(pk=run.pk).delete()
    ActionExecution.objects.update(created_at=before)
    return rows


@pytest.fixture
def few(monkeypatch):
    """Make batches small, so that a test can process all rows; return how many to make."""
    monkeypatch.setattr(batches, "ROWS_MAX", 20)
    monkeypatch.setattr(cancel, "CHECKED_MAX", 30)
    return 70


def sizes_of_batches(job):
    """Call a job until it finds nothing; return how many rows each call processed."""
    return list(iter(job, 0))


OVERDUE = [(launch_timeout.expire, {}), (recover.recover, {"status": Status.LAUNCHING})]


@pytest.mark.parametrize(("job", "columns"), OVERDUE, ids=["expire", "recover"])
def test_one_call_takes_a_bounded_number_of_thousands(job, columns):
    make_many(**columns)

    taken = job()

    # Fewer on a machine so slow that BUDGET_SECONDS end first.
    assert 0 < taken <= batches.ROWS_MAX
    [status] = {columns.get("status", Status.PENDING)}
    untouched = ActionExecution.objects.filter(status=status, lookup_until=None)
    assert untouched.count() == MANY - 1 - taken


@pytest.mark.parametrize(("job", "columns"), OVERDUE, ids=["expire", "recover"])
def test_repeated_calls_process_all_rows(job, columns, few):
    make_many(few, **columns)

    sizes = sizes_of_batches(job)

    assert (sum(sizes), max(sizes)) == (few - 1, 20)
    assert not ActionExecution.objects.filter(
        status__in=(Status.PENDING, Status.LAUNCHING), lookup_until=None
    ).exists()


def test_stopped_runs_are_reached_although_earlier_runs_stay(few):
    running = {"status": Status.RUNNING, "executed_via_stackstorm": True}
    *_, last = make_many(few, {"stop": "cancel", "reason": "maintenance"}, **running)
    ActionExecution.objects.filter(pk=last.pk).update(status=Status.PENDING)

    assert [cancel.apply_stops() for _ in range(4)] == [20, 20, 20, 20]

    last.refresh_from_db()
    assert last.status == Status.SKIPPED


def test_overdue_runs_are_canceled_in_bounded_batches(few):
    bucket = make_bucket(timeout_seconds=60)
    make_step(bucket)
    first = make_run(bucket)
    before = timezone.now() - datetime.timedelta(minutes=5)
    BucketRun.objects.bulk_create(
        BucketRun(
            request_id=first.request_id,
            alert=first.alert,
            bucket=bucket,
            plan=first.plan,
            number=number,
            status="running",
            started_at=before,
        )
        for number in range(2, few + 2)
    )

    sizes = sizes_of_batches(cancel.cancel_overdue)

    assert (sum(sizes), max(sizes)) == (few, 20)
    assert not BucketRun.objects.filter(status="running").exists()


@pytest.mark.parametrize(("job", "columns"), OVERDUE, ids=["expire", "recover"])
def test_a_failing_row_does_not_stop_the_others_and_becomes_a_problem(job, columns, monkeypatch):
    rows = make_many(5, **columns)
    bad = rows[1]

    def fail_for_one(row, *_arguments, **_options):
        if row.pk == bad.pk:
            raise ValueError("Data too long")
        return original(row, *_arguments, **_options)

    module, name = (settle, "settle") if job is launch_timeout.expire else (lookup, "schedule")
    original = getattr(module, name)
    monkeypatch.setattr(module, name, fail_for_one)

    job()

    left = ActionExecution.objects.filter(status=bad.status, lookup_until=None)
    assert [row.pk for row in left] == [bad.pk]
    [problem] = problems.current()
    assert f"{bad}: ValueError: Data too long" in problem.text


def test_a_tick_polls_before_it_processes_overdue_rows(monkeypatch, sandbox, settings):
    settings.ST2_API_URL, settings.ST2_API_KEY = sandbox.url, "sandbox-key"
    order = []
    for module, name in [
        (poll, "poll_due"),
        (lookup, "look_up_due"),
        (recover, "recover"),
        (launch_timeout, "expire"),
        (cancel, "cancel_overdue"),
        (cancel, "apply_stops"),
    ]:

        def record(name=name, **_options):
            order.append(name)
            return 0

        monkeypatch.setattr(module, name, record)

    jobs.tick()

    assert order[:2] == ["poll_due", "look_up_due"]
    assert len(order) == 6


def test_one_pruning_deletes_a_bounded_number_of_rows(monkeypatch):
    monkeypatch.setattr(jobs, "PRUNED_MAX", 10)
    before = timezone.now() - datetime.timedelta(days=2)
    for number in range(25):
        Task.objects.create(id=f"{number}", name="x", func="f", started=before, stopped=before)
        OrmQ.objects.create(key=f"launch@{number}", payload="", lock=before)
        Heartbeat.objects.create(name=f"launch@{number}", beat_at=before)

    for left in (15, 5, 0):
        jobs.prune()
        assert Task.objects.count() == OrmQ.objects.count() == Heartbeat.objects.count() == left


def test_a_job_absorbs_a_bounded_number_of_wake_ups(monkeypatch):
    monkeypatch.setattr(queue, "DISCARDED_MAX", 10)
    for _ in range(15):
        queue.enqueue(queue.LAUNCH_DUE)

    queue.discard_pending(queue.LAUNCH_DUE)

    assert OrmQ.objects.count() == 5


def broken_plan(run):
    """Give a run its own bucket version, with a definition that cannot be read."""
    number = run.plan.number + 1_000
    plan = BucketVersion.objects.create(
        bucket=run.bucket,
        number=number,
        definition={},
        sha256="0" * 64,
        actor="system",
        created_at=timezone.now(),
    )
    BucketRun.objects.filter(pk=run.pk).update(plan=plan)


@pytest.mark.parametrize(
    "job", [launch_timeout.expire, cancel.cancel_overdue], ids=["expire", "cancel"]
)
def test_an_unreadable_plan_does_not_stop_other_runs(job):
    bucket = make_step(make_bucket(timeout_seconds=60)).bucket
    before = timezone.now() - datetime.timedelta(days=2)
    broken, fine = [
        make_execution(make_run(bucket, status="running", started_at=before)) for _ in range(2)
    ]
    ActionExecution.objects.update(created_at=before)
    broken_plan(broken.run)

    job()

    fine.refresh_from_db()
    broken.refresh_from_db()
    assert (fine.status in ActionExecution.FINAL, broken.status) == (True, "pending")
    assert Problem.objects.exists()


def test_a_stopping_cluster_ends_a_batch_after_a_row(monkeypatch):
    make_many(3)
    rows = batches.walk(ActionExecution.objects.all(), order="created_at")
    next(rows)

    monkeypatch.setattr(queue, "is_stopping", lambda: True)

    assert list(rows) == []
