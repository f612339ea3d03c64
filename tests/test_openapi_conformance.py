"""schemathesis: the API behaves as its OpenAPI schema says, for valid and invalid requests.

Each operation gets the same generated requests in each run, for rows that exist. All checks of
schemathesis run on every response, except those in NOT_RUN.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode

from remediation import clock
from remediation.models import AuditEvent, BucketStep, Cause, Transition
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
FIXED = settings(
    max_examples=5,  # requests per operation and mode
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
NOT_RUN = {
    # Reads another caller's object with the credentials of this one: all callers share all rows.
    "object_level_authorization",
    # Compares the time of a response with a limit; the growth test measures times.
    "max_response_time",
}
# Statuses of valid and of invalid requests, beside 2xx and those that schemathesis expects: a
# generated If-Match or Idempotency-Key is valid, but rarely fits the row.
ALSO_EXPECTED = ["412", "422"]
METHODS = ["get", "post", "put", "patch", "delete"]

numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _keep_connection() -> Iterator[None]:
    """Keep the connection of the test: schemathesis calls the application as a server would."""
    signals = (request_started, request_finished)
    connected = [signal for signal in signals if signal.disconnect(close_old_connections)]
    yield
    for signal in connected:
        signal.connect(close_old_connections)


@pytest.fixture
def headers() -> dict[str, str]:
    _, token = factories.make_token(["admin"])
    return {"Authorization": f"Bearer {token}", "Host": "localhost"}


@pytest.fixture
def api(headers: dict[str, str]) -> Any:
    """The schema that the API serves."""
    load_all_checks()
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/schema/", get_wsgi_application(), headers=headers
    )
    # No column stores null characters, and JSON Schema cannot exclude them everywhere.
    schema.config.generation.update(allow_x00=False)
    for check in (
        schema.config.checks.positive_data_acceptance,
        schema.config.checks.negative_data_rejection,
    ):
        check.expected_statuses = [*check.expected_statuses, *ALSO_EXPECTED]
    return schema


def make_row(path: str) -> dict[str, Any]:
    """Create the row that an operation is for; return the path parameters."""
    if "{" not in path:
        return {}
    name = path.split("/")[3]
    if name == "actions":
        return {"id": factories.make_action().pk}
    if name == "audit-events":
        event = AuditEvent.Kind.LOGIN
        return {"id": AuditEvent.objects.create(kind=event, at=clock.now(), subject="ada").pk}
    step = factories.make_step(factories.make_step().bucket)
    if name in ("steps", "buckets"):
        return {"id": step.pk if name == "steps" else step.bucket_id}
    alert = factories.make_alert()
    if name == "alerts":
        return {"id": alert.pk}
    if name == "requests":
        return {"request_id": alert.request_id}
    status = {"retry": "failure", "set-outcome": "unknown"}.get(path.split("/")[-2], "pending")
    run = factories.make_run(step.bucket, alert, status=status)
    execution = factories.make_execution(run, status=status)
    if name == "transitions":
        row = Transition.of(run, cause=Cause(), from_status="", to_status="pending")
        Transition.write(row)
        return {"id": Transition.objects.latest("pk").pk}
    return {"id": run.pk if name == "runs" else execution.pk}


def make_valid(case: Any, label: str) -> None:
    """Replace values of a generated request that only PoundCake can judge.

    These are references to rows, templates, patterns, matchers, fields that exclude each other,
    positions in a list of rows, and times, whose years the schema does not limit.
    """
    case.headers.pop("Authorization", None)
    for name in ("cursor", "ordering"):
        case.query.pop(name, None)
    case.query.update(
        (name, "2026-11-23T05:46:06Z") for name in case.query if name.endswith(("since", "before"))
    )
    if isinstance(case.body, dict):
        for name, value in valid_values(case, label).items():
            if value is None:
                case.body.pop(name, None)
            else:
                case.body[name] = value


def valid_values(case: Any, label: str) -> dict[str, Any]:
    """Return values for the body of an operation; None removes a field."""
    method, _, path = label.partition(" ")
    name, alert = f"name {next(numbers)}", factories.make_alert()
    action = factories.make_action()
    rule: dict[str, Any] = {
        "parameters": {},
        "condition": "",
        "step_order": None,
        "action_name": None,
    }
    bucket = factories.make_step().bucket_id
    if method == "PUT" and "/steps/" in path:
        bucket = BucketStep.objects.get(pk=case.path_parameters["id"]).bucket_id
    values: dict[str, dict[str, Any]] = {
        "actions": {
            "name": name,
            "action_type": "stackstorm",
            "use_stackstorm": True,
            "st2_action_ref": "core.local",
            "st2_pack": "core",
            "st2_parameters": {},
        },
        "buckets": {
            "name": name,
            "alert_name_pattern": "HostDown",
            "label_matchers": "",
            "group_by": "",
            "use_stackstorm": False,
            "st2_workflow_name": "",
            "st2_workflow_params": {},
            "steps": [{"action_name": action.name}],
        },
        "steps": {**rule, "action": action.pk, "bucket": None if method == "PATCH" else bucket},
        "pause": {"reason": name, "expires_at": None},
        "run": {"alert": alert.pk},
        "simulate": {"alert": alert.pk, "labels": None, "steps": None},
        "retry": {"from": "start"} if "/runs/" in path else {},
        "cancel": {"reason": name},
        "set-outcome": {"reason": name},
    }
    names = [part for part in reversed(path.split("/")) if part in values]
    return values[names[0]] if names else {}


def responses(api: Any, headers: dict[str, str], mode: GenerationMode) -> Any:
    """Send the requests of all operations; return the statuses and findings by operation."""
    checks = CHECKS.get_by_names([name for name in CHECKS.get_all_names() if name not in NOT_RUN])
    statuses: dict[str, set[int]] = defaultdict(set)
    findings: dict[str, str] = {}

    def check(case: Any) -> None:
        operation = case.operation
        case.path_parameters.update(make_row(operation.path))
        if mode == POSITIVE:
            make_valid(case, operation.label)
        sent = headers if "Authorization" not in case.headers else {"Host": "localhost"}
        response = case.call(headers=sent)
        statuses[operation.label].add(response.status_code)
        try:
            case.validate_response(
                response, checks=checks, headers=sent, transport_kwargs={"headers": sent}
            )
        except (FailureGroup, Failure) as error:
            for one in getattr(error, "exceptions", [error]):
                name = f"{operation.label}: {one.title}"
                findings[name] = f"{one.message}\n{case.as_curl_command()}\n{response.text}"

    for result in api.get_all_operations():
        operation = result.ok()
        path_parameters = make_row(operation.path) or None
        requests = operation.as_strategy(mode, path_parameters=path_parameters)
        try:
            FIXED(given(requests)(check))()
        except Unsatisfiable:
            # The operation has neither parameters nor a body, so that no request is invalid.
            assert mode == NEGATIVE
    return statuses, findings


def test_valid_requests_conform_to_the_schema(api: Any, headers: dict[str, str]) -> None:
    statuses, findings = responses(api, headers, POSITIVE)

    assert findings == {}
    without_success = [label for label in statuses if not statuses[label] & {200, 201, 202, 204}]
    assert len(statuses) >= 40
    assert without_success == []


def test_a_body_is_optional_only_where_a_request_without_one_is_valid(
    api: Any, headers: dict[str, str]
) -> None:
    client = Client(headers=headers)
    optional = [
        (method, path)
        for path, operations in api.raw_schema["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation and not operation["requestBody"].get("required")
    ]

    responses = {
        (method, path): client.generic(method.upper(), path.format(**make_row(path)))
        for method, path in optional
    }

    assert optional
    assert {one: r.content for one, r in responses.items() if r.status_code >= 300} == {}


def test_invalid_requests_conform_to_the_schema(api: Any, headers: dict[str, str]) -> None:
    statuses, findings = responses(api, headers, NEGATIVE)

    assert findings == {}
    assert sum(400 in one for one in statuses.values()) >= 20


def test_unsupported_methods_are_refused(api: Any, headers: dict[str, str]) -> None:
    client = Client(headers=headers)
    raw = api.raw_schema["paths"]

    for path, operations in raw.items():
        url = path.format(**make_row(path))
        for method in set(METHODS) - set(operations):
            response = client.generic(method.upper(), url)
            allowed = {name.strip().lower() for name in response["Allow"].split(",")}

            assert response.status_code == 405, (method, url)
            assert set(METHODS) & allowed == set(METHODS) & set(operations), (method, url)
