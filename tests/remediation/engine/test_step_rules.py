"""Step rules decide alike for a first step, a later step, a retry and a simulation."""

import json

import hypothesis
import pytest
from hypothesis import strategies
from hypothesis.extra.django import TestCase

from remediation import alertmanager
from remediation.engine.intake import receive
from remediation.engine.launching import launch
from remediation.engine.operations import retry, simulation
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, Alert, BucketRun, Cause, Transition
from remediation.stackstorm import StackStormClient
from st2_sandbox import Sandbox, SandboxOptions
from tests.factories import (
    make_action,
    make_alert,
    make_bucket,
    make_local_action,
    make_step,
)
from tests.paths import CONTRACTS

pytestmark = pytest.mark.slow

CASE = CONTRACTS / "cases" / "01-first-step-condition.json"
Status = ActionExecution.Status
FAILED = Outcome.failure("broken")
DONE = Outcome(Status.SUCCESS)


def make_steps(*steps, **columns):
    """Return a bucket for FirstStep whose steps are named a, b, c, ..."""
    bucket = make_bucket(alert_name_pattern="FirstStep", **columns)
    for letter, step in zip("abcdef", steps, strict=False):
        make_step(bucket, make_action(st2_runner="local-shell-cmd"), **{"name": letter} | step)
    return bucket


def fire_case_01():
    notification = alertmanager.parse(CASE.read_bytes())
    receive.receive(notification, cause=Cause(), client="192.0.2.1")
    return Alert.objects.get()


def step_statuses(run):
    run.refresh_from_db()
    rows = run.executions.order_by("step_order", "attempt")
    return [f"{row.name}:{row.status}" for row in rows]


@pytest.mark.django_db
def test_a_first_step_whose_condition_does_not_hold_is_skipped(sandbox, st2):
    bucket = make_steps({"condition": 'alert.severity == "critical"'})
    alert = fire_case_01()

    launch.launch_due(client=st2)

    run = BucketRun.objects.get()
    assert step_statuses(run) == ["a:skipped"]
    assert run.status == "skipped"
    assert run.started_at is None
    assert run.executions.get().error_message == (
        'the condition alert.severity == "critical" does not hold'
    )
    assert not sandbox.posts_by_trace_tag()
    alert.refresh_from_db()
    assert alert.reason == (
        f"The bucket {bucket.name} matched, but every step was skipped: the condition"
        ' alert.severity == "critical" does not hold.'
    )
    moves = Transition.objects.filter(subject_type="execution").values_list("to_status", flat=True)
    assert list(moves) == ["pending", "skipped"]


@pytest.mark.django_db
def test_a_first_step_whose_condition_fails_is_a_failure(sandbox, st2):
    make_steps({"condition": 'alert.labels.team == "db"', "parameters": {"cmd": "true"}})
    fire_case_01()

    launch.launch_due(client=st2)

    run = BucketRun.objects.get()
    assert step_statuses(run) == ["a:failure"]
    assert run.status == "failure"
    assert "alert.labels.team is not defined" in run.reason
    assert not sandbox.posts_by_trace_tag()


@pytest.mark.django_db
def test_a_run_continues_after_a_skipped_step(sandbox, st2):
    make_steps({"run_when": "failure"}, {"condition": "false"}, {"parameters": {"cmd": "true"}})
    fire_case_01()

    for _step in range(3):
        launch.launch_due(client=st2)

    run = BucketRun.objects.get()
    assert step_statuses(run) == ["a:skipped", "b:skipped", "c:running"]
    assert run.started_at is not None
    assert len(sandbox.posts_by_trace_tag()) == 1


@pytest.mark.django_db
def test_a_manual_run_applies_the_rules_of_its_first_step(sandbox, st2):
    bucket = make_steps({"condition": "alert.severity == 'critical'"})
    alert = make_alert({"alertname": "FirstStep", "severity": "info"})

    run = retry.run_manually(bucket, alert, cause=Cause(actor="ann"))
    launch.launch_due(client=st2)

    assert step_statuses(run) == ["a:skipped"]
    assert run.status == "skipped"
    assert not sandbox.posts_by_trace_tag()


@pytest.mark.django_db
def test_a_retry_applies_the_rules_of_its_first_step(sandbox, st2):
    make_steps({"condition": "alert.status == 'firing'", "parameters": {"cmd": "true"}})
    alert = fire_case_01()
    launch.launch_due(client=st2)
    first = BucketRun.objects.get()
    settle(first.executions.get(), FAILED, cause=Cause())
    first.refresh_from_db()
    Alert.objects.filter(pk=alert.pk).update(status="resolved", active_fingerprint=None)
    first.alert.refresh_from_db()

    again = retry.retry_from_failed(first, cause=Cause(actor="ann"))
    launch.launch_due(client=st2)

    assert step_statuses(again) == ["a:skipped"]
    assert len(sandbox.posts_by_trace_tag()) == 1


@pytest.mark.django_db
def test_a_local_first_step_is_skipped_and_the_next_one_runs():
    bucket = make_bucket(alert_name_pattern="FirstStep")
    note = make_local_action()
    make_step(bucket, note, name="a", condition="false", parameters={"message": "a"})
    make_step(bucket, note, name="b", parameters={"message": "b"})
    fire_case_01()

    for _job in range(2):
        launch.run_local()

    run = BucketRun.objects.get()
    assert step_statuses(run) == ["a:skipped", "b:success"]
    assert run.status == "success"


@pytest.mark.django_db
def test_a_condition_that_no_longer_holds_does_not_hide_the_failed_attempt(sandbox, st2):
    condition = "alert.status == 'firing'"
    make_steps({"condition": condition, "max_attempts": 2, "parameters": {"cmd": "true"}})
    alert = fire_case_01()
    launch.launch_due(client=st2)
    run = BucketRun.objects.get()
    settle(run.executions.get(), FAILED, cause=Cause())
    Alert.objects.filter(pk=alert.pk).update(status="resolved", active_fingerprint=None)
    ActionExecution.objects.filter(attempt=2).update(due_at=alert.created_at)

    launch.launch_due(client=st2)

    assert step_statuses(run) == ["a:failure", "a:failure"]
    assert run.status == "failure"
    assert len(sandbox.posts_by_trace_tag()) == 1


@pytest.mark.django_db
def test_a_skipped_first_step_does_not_start_the_cooldown(sandbox, st2):
    make_steps({"condition": "alert.severity == 'critical'"}, cooldown_seconds=3600)
    alert = fire_case_01()
    launch.launch_due(client=st2)
    Alert.objects.filter(pk=alert.pk).update(status="resolved", active_fingerprint=None)
    body = json.loads(CASE.read_text())
    body["alerts"][0]["startsAt"] = "2999-01-01T00:00:00Z"
    notification = alertmanager.parse(json.dumps(body).encode())

    (receipt,) = receive.receive(notification, cause=Cause(), client="192.0.2.1")

    assert BucketRun.objects.get(pk=receipt.runs[0]).status == "pending"


CONDITIONS = [
    "",
    "true",
    "false",
    "alert.severity == 'critical'",
    "alert.labels.team == 'db'",
    "steps.a.status == 'success'",
    "steps.a.status == 'skipped'",
    "steps.b.status == 'failure'",
]
STEPS = strategies.lists(
    strategies.fixed_dictionaries(
        {
            "run_when": strategies.sampled_from(["success", "failure", "always"]),
            "on_failure": strategies.sampled_from(["stop", "continue"]),
            "condition": strategies.sampled_from(CONDITIONS),
        }
    ),
    min_size=1,
    max_size=4,
)
OUTCOMES = strategies.lists(strategies.booleans(), min_size=4, max_size=4)


class TestSimulation(TestCase):
    """A simulation with given step results shows what the real run does."""

    sandbox: Sandbox
    st2: StackStormClient

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sandbox = Sandbox(api_key="k", options=SandboxOptions(duration_seconds=0))
        cls.enterClassContext(cls.sandbox)
        cls.st2 = StackStormClient(api_url=cls.sandbox.url, api_key="k", timeout=5)
        cls.addClassCleanup(cls.st2.close)

    @hypothesis.given(steps=STEPS, outcomes=OUTCOMES)
    @hypothesis.settings(max_examples=60)
    def test_simulate_and_execution_agree(self, steps, outcomes):
        bucket = make_steps(*({"parameters": {"cmd": "true"}} | step for step in steps))
        alert = make_alert({"alertname": "FirstStep", "severity": "critical"})
        ends = dict(zip("abcd", [DONE if good else FAILED for good in outcomes], strict=True))
        given = {
            letter: {"status": str(ends[letter].status), "result": None}
            for letter in "abcd"[: len(steps)]
        }

        run = retry.run_manually(bucket, alert, cause=Cause(actor="ann"))
        while (rows := run.executions.filter(status__in=(Status.PENDING, Status.RUNNING))).exists():
            launch.launch_due(client=self.st2)
            for row in rows.filter(status=Status.RUNNING):
                settle(row, ends[row.name], cause=Cause())

        simulated = simulation.simulate(bucket, alert, steps=given).steps
        executed = list(run.executions.order_by("step_order"))
        assert [step.name for step in simulated] == [row.name for row in executed]
        for step, row in zip(simulated, executed, strict=True):
            assert step.runs == (row.st2_execution_id is not None), row
            if not step.runs:
                assert row.error_message == step.reason
                assert row.status == ("failure" if step.error else "skipped")
