"""API of operations: effects, responses and conflicts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from remediation.api.serializers.operations import COMMAND_MAY_CONTINUE
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import settle
from remediation.models import ActionExecution, ApiToken, BucketRun, Cause, Transition
from tests import factories

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


class Operator:
    """A JSON client with the scope operate."""

    def __init__(self) -> None:
        self.client = factories.make_client("operate")
        self.name = ApiToken.objects.latest("pk").name
        self.request_id = ""

    def __call__(self, path: str, body: Any = None) -> tuple[int, Any]:
        data = "" if body is None else json.dumps(body)
        response = self.client.post(f"/api/v1/{path}/", data, content_type="application/json")
        self.request_id = response["X-Request-ID"]
        return response.status_code, response.json()

    def rejected(self, path: str, body: Any) -> dict[str, list[str]]:
        """Return the fields of a 400."""
        status, response = self(path, body)
        assert (status, response["error"]["code"]) == (400, "invalid")
        fields: dict[str, list[str]] = response["error"]["fields"]
        return fields

    def conflicts(self, path: str, body: Any = None) -> str:
        """Return the message of a 409."""
        status, response = self(path, body)
        assert (status, response["error"]["code"]) == (409, "conflict")
        message: str = response["error"]["message"]
        return message


@pytest.fixture
def call() -> Operator:
    return Operator()


def make_started(**columns: Any) -> ActionExecution:
    """Return a running execution of a run with two steps."""
    bucket = factories.make_bucket()
    for name in "ab":
        factories.make_step(bucket, name=name)
    run = factories.make_run(bucket)
    execution = factories.make_execution(run)
    execution.claim(cause=Cause(), lease_until=timezone.now())
    run.mark_running(cause=Cause())
    execution.mark_running(cause=Cause(), due_at=timezone.now(), **columns)
    return execution


def make_ended(outcome: Outcome) -> ActionExecution:
    execution = make_started()
    settle(execution, outcome, cause=Cause())
    return execution


FAILED = Outcome.failure("broken")
UNKNOWN = Outcome.unknown("no response")


def test_canceling_records_the_actor_and_reason(call: Operator) -> None:
    run = factories.make_execution().run

    status, response = call(f"runs/{run.pk}/cancel", {"reason": "wrong host"})

    assert status == 200
    assert response["run"]["status"] == "canceled"
    assert (response["run"]["stop"], response["run"]["reason"]) == ("cancel", "wrong host")
    assert [row["status"] for row in response["executions"]] == ["skipped"]
    assert response["warning"] == ""
    transitions = Transition.objects.filter(cause_request_id=call.request_id)
    assert {transition.actor for transition in transitions} == {call.name}
    assert {(row.subject_type, row.to_status) for row in transitions} == {
        ("run", "pending"),
        ("run", "canceled"),
        ("execution", "skipped"),
    }


def test_canceling_a_started_command_returns_a_warning(call: Operator) -> None:
    run = make_started(st2_execution_id="st2-1").run

    _, response = call(f"runs/{run.pk}/cancel", {"reason": "wrong host"})

    assert (response["run"]["status"], response["run"]["stop"]) == ("running", "cancel")
    assert [row["status"] for row in response["executions"]] == ["running"]
    assert response["warning"] == COMMAND_MAY_CONTINUE


def test_stopping_a_run_finishes_executions_in_flight(call: Operator) -> None:
    execution = make_started(st2_execution_id="st2-1")

    _, response = call(f"runs/{execution.run_id}/cancel", {"stop": "stop", "reason": "enough"})
    settle(execution, Outcome.success(None), cause=Cause())

    assert (response["run"]["stop"], response["warning"]) == ("stop", "")
    assert BucketRun.objects.get().status == "canceled"


def test_canceling_twice_returns_the_same_response(call: Operator) -> None:
    run = factories.make_execution().run
    first = call(f"runs/{run.pk}/cancel", {"reason": "wrong host"})

    second = call(f"runs/{run.pk}/cancel", {"reason": "again"})

    assert second == first
    assert not Transition.objects.filter(cause_request_id=call.request_id).exists()


@pytest.mark.parametrize("outcome", [FAILED, UNKNOWN])
def test_ended_and_unknown_runs_cannot_be_canceled(call: Operator, outcome: Outcome) -> None:
    run = make_ended(outcome).run

    assert "nothing is left to stop" in call.conflicts(f"runs/{run.pk}/cancel", {"reason": "x"})


def test_a_failed_run_is_retried_from_its_failed_step(call: Operator) -> None:
    run = make_ended(FAILED).run

    status, response = call(f"runs/{run.pk}/retry")

    assert status == 201
    assert (response["number"], response["trigger"], response["retry_of"]) == (2, "retry", run.pk)
    assert (response["actor"], response["status"]) == (call.name, "pending")
    created = Transition.objects.get(subject_type="run", subject_id=response["id"])
    assert created.cause_request_id == call.request_id


def test_a_retry_from_the_start_uses_the_current_bucket(call: Operator) -> None:
    run = make_ended(FAILED).run
    run.bucket.steps.filter(name="b").delete()

    status, response = call(f"runs/{run.pk}/retry", {"from": "start"})

    assert (status, response["plan_number"]) == (201, 2)


def test_an_open_run_cannot_be_retried(call: Operator) -> None:
    run = make_started().run

    assert "cancel it" in call.conflicts(f"runs/{run.pk}/retry", {"from": "start"})


def test_an_alert_is_matched_again(call: Operator) -> None:
    alert = factories.make_alert()
    factories.make_step(factories.make_bucket(name="a", continue_matching=True))
    factories.make_step(factories.make_bucket(name="b"))

    status, response = call(f"alerts/{alert.pk}/retry")

    assert status == 201
    assert [(row["bucket_name"], row["trigger"]) for row in response] == [
        ("a", "manual"),
        ("b", "manual"),
    ]


def test_an_alert_without_matching_bucket_is_a_conflict(call: Operator) -> None:
    alert = factories.make_alert()

    assert "No bucket matches" in call.conflicts(f"alerts/{alert.pk}/retry", {})


def test_a_bucket_is_run_for_an_alert_that_it_does_not_match(call: Operator) -> None:
    bucket = factories.make_step(factories.make_bucket(alert_name_pattern="Other")).bucket
    alert = factories.make_alert()

    status, response = call(f"buckets/{bucket.pk}/run", {"alert": alert.pk})
    message = call.conflicts(f"buckets/{bucket.pk}/run", {"alert": alert.pk})

    assert status == 201
    assert (response["alert"], response["bucket"], response["trigger"]) == (
        alert.pk,
        bucket.pk,
        "manual",
    )
    assert f"Run #{response['id']}" in message


def test_setting_the_outcome_of_an_unknown_execution_continues_its_run(call: Operator) -> None:
    execution = make_ended(UNKNOWN)

    status, response = call(
        f"executions/{execution.pk}/set-outcome", {"status": "success", "reason": "the log says so"}
    )

    assert status == 200
    assert response["execution"]["status"] == "success"
    assert response["run"]["status"] == "running"
    transition = Transition.objects.get(subject_id=execution.pk, to_status="success")
    assert (transition.actor, transition.cause_request_id) == (call.name, call.request_id)
    assert transition.reason == f"outcome set by {call.name}: the log says so"


def test_only_unknown_executions_take_an_outcome(call: Operator) -> None:
    execution = make_ended(FAILED)
    body = {"status": "success", "reason": "I saw it"}

    assert "only an unknown outcome can be set" in call.conflicts(
        f"executions/{execution.pk}/set-outcome", body
    )


@pytest.mark.parametrize(
    ("path", "body", "field", "text"),
    [
        ("runs/{run}/cancel", {}, "reason", "required"),
        ("runs/{run}/cancel", {"reason": " "}, "reason", "blank"),
        ("runs/{run}/cancel", {"reason": "x" * 2_001}, "reason", "2000"),
        ("runs/{run}/cancel", {"reason": "\x00"}, "reason", "Null characters"),
        ("runs/{run}/cancel", {"reason": "x", "stop": ""}, "stop", "not a valid choice"),
        ("runs/{run}/cancel", {"reason": "x", "force": True}, "force", "Unknown field"),
        ("runs/{run}/retry", {"from": "middle"}, "from", "middle"),
        ("alerts/{alert}/retry", {"force": True}, "force", "Known fields: none"),
        ("buckets/{bucket}/run", {}, "alert", "required"),
        ("buckets/{bucket}/run", {"alert": 0}, "alert", "There is no alert"),
        ("buckets/{bucket}/run", {"alert": 2**80}, "alert", "There is no alert"),
        ("buckets/{bucket}/run", {"alert": "x"}, "alert", "the id as a number"),
        ("executions/{execution}/set-outcome", {"reason": "x"}, "status", "required"),
        (
            "executions/{execution}/set-outcome",
            {"reason": "x", "status": "unknown"},
            "status",
            "choice",
        ),
        (
            "executions/{execution}/set-outcome",
            {"reason": "x", "status": "running"},
            "status",
            "choice",
        ),
        ("executions/{execution}/set-outcome", {"status": "success"}, "reason", "required"),
        ("runs/{run}/cancel/?force=1", {"reason": "x"}, "force", "Unknown parameter"),
    ],
)
def test_invalid_requests_are_rejected_by_field_and_change_nothing(
    call: Operator, path: str, body: Any, field: str, text: str
) -> None:
    execution = factories.make_execution()
    run = execution.run

    fields = call.rejected(
        path.format(run=run.pk, alert=run.alert_id, bucket=run.bucket_id, execution=execution.pk),
        body,
    )

    assert text in " ".join(fields[field])
    assert not Transition.objects.exists()
    assert BucketRun.objects.get().status == "pending"


@pytest.mark.parametrize(
    "path",
    [
        "runs/9/cancel",
        "runs/9/retry",
        "alerts/9/retry",
        "buckets/9/run",
        "executions/9/set-outcome",
    ],
)
def test_an_operation_on_a_missing_row_is_404(call: Operator, path: str) -> None:
    status, response = call(path, {})

    assert status == 404
    assert response["error"]["message"].startswith("There is no ")


def test_a_session_requires_a_csrf_token() -> None:
    run = factories.make_execution().run
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("ada"))

    response = client.post(
        f"/api/v1/runs/{run.pk}/cancel/", '{"reason": "x"}', content_type="application/json"
    )

    assert response.status_code == 403
    assert "CSRF" in response.json()["error"]["message"]
    assert BucketRun.objects.get().status == "pending"


@pytest.mark.parametrize("origin", ["failed", "start"])
@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("pending", "wait until it ends, or cancel it"),
        ("running", "wait until it ends, or cancel it"),
        ("unknown", "set the outcome of its unknown execution first"),
    ],
)
def test_a_retry_of_an_open_run_names_it_and_says_what_to_do(
    call: Operator, origin: str, status: str, advice: str
) -> None:
    run = factories.make_run(status=status)

    text = call.conflicts(f"runs/{run.pk}/retry", {"from": origin})

    assert text == f"Run {run} is {status}: {advice}. Then retry it."


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("running", "Wait until it ends, or cancel run"),
        ("success", "Retry run"),
    ],
)
def test_a_refused_outcome_says_what_to_do(call: Operator, status: str, advice: str) -> None:
    execution = factories.make_execution(status=status)

    text = call.conflicts(
        f"executions/{execution.pk}/set-outcome", {"status": "success", "reason": "r"}
    )

    assert f"is {status}: only an unknown outcome can be set. {advice} {execution.run_id}" in text
