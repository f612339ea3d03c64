"""Every endpoint requires its scope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.views import View

from remediation.api.permissions import UNRESTRICTED_ACTIONS
from remediation.models import ApiToken, Scope
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

READ = {"read", "operate", "edit", "admin"}
EDIT = {"edit", "admin"}
OPERATE = {"operate", "admin"}
DOCS = ("get", "/api/v1/docs/", READ)
ENDPOINTS = [
    ("post", "/api/v1/webhook", {"webhook", "admin"}),
    ("post", "/api/v1/stackstorm/webhook", {"stackstorm", "admin"}),
    ("get", "/metrics", READ),
    ("get", "/api/v1/schema/", READ),
    ("get", "/api/v1/requests/", READ),
    *(
        ("get", f"/api/v1/{name}/", READ)
        for name in ("actions", "buckets", "steps", "alerts", "runs", "executions", "transitions")
    ),
    *(
        (method, f"/api/v1/{name}/{row}", EDIT)
        for name in ("actions", "buckets", "steps")
        for method, row in (("post", ""), ("put", "1/"), ("patch", "1/"), ("delete", "1/"))
    ),
    *(
        ("post", f"/api/v1/{path}/", OPERATE)
        for path in (
            "runs/1/cancel",
            "runs/1/retry",
            "alerts/1/retry",
            "buckets/1/run",
            "executions/1/set-outcome",
            "pause",
        )
    ),
    ("delete", "/api/v1/pause", OPERATE),
    ("get", "/api/v1/pause/", READ),
    ("post", "/api/v1/buckets/1/simulate/", READ),
]


@pytest.mark.parametrize(("method", "url", "scopes"), [*ENDPOINTS, DOCS])
@pytest.mark.parametrize("scope", Scope.values)
def test_an_endpoint_accepts_only_its_scopes(
    method: str, url: str, scopes: set[str], scope: str
) -> None:
    client = factories.make_client(scope)

    response = client.generic(method.upper(), url, "{}", content_type="application/json")

    assert (response.status_code == 403) == (scope not in scopes)
    assert response.status_code != 401


@pytest.mark.parametrize(("scope", "status"), [("read", 200), ("webhook", 403)])
def test_head_needs_the_scope_of_get(scope: str, status: int) -> None:
    assert factories.make_client(scope).head("/api/v1/pause/").status_code == status


@pytest.mark.parametrize(("method", "url", "_scopes"), ENDPOINTS)
def test_every_endpoint_requires_credentials(method: str, url: str, _scopes: set[str]) -> None:
    response = Client().generic(method.upper(), url, "{}", content_type="application/json")

    assert response.status_code == 401


def test_the_documentation_redirects_to_the_login() -> None:
    response = Client().get("/api/v1/docs/")

    assert (response.status_code, response["Location"]) == (302, "/admin/login/?next=/api/v1/docs/")


def test_an_invalid_token_is_not_redirected_to_the_login() -> None:
    response = Client(headers={"Authorization": "Bearer wrong"}).get("/api/v1/docs/")

    assert response.status_code == 401


def each_pattern(resolver: Any, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from each_pattern(entry, path)
        else:
            yield path, entry


def actions_of(callback: Any) -> set[str]:
    """Return the actions of a view, as named in its scopes."""
    by_method = getattr(callback, "actions", None)
    if by_method:
        return set(by_method.values())
    return {method for method in View.http_method_names if hasattr(callback.cls, method)}


def test_every_view_of_the_api_declares_its_scopes() -> None:
    views = [
        (path, pattern.callback)
        for path, pattern in each_pattern(get_resolver())
        if hasattr(pattern.callback, "cls")
    ]

    undeclared = [
        (path, action)
        for path, callback in views
        for action in actions_of(callback) - set(callback.cls.scopes) - UNRESTRICTED_ACTIONS
    ]

    assert len(views) > 20
    assert undeclared == []


def test_a_denial_names_the_token_and_the_scope() -> None:
    client = factories.make_client("webhook")

    response = client.get("/api/v1/alerts/")

    assert response.status_code == 403
    name = ApiToken.objects.get().name
    assert response.json()["error"] == {
        "code": "permission_denied",
        "message": f"The token {name} lacks the scope read.",
        "fields": {},
    }


def log_in_user(client: Client, *groups: str, **columns: Any) -> User:
    user = factories.make_user(*groups, username="ada", **{"is_staff": False} | columns)
    client.force_login(user)
    return user


def permissions_of(client: Client) -> tuple[bool, bool]:
    """Return whether the user can read and can edit."""
    read = client.get("/api/v1/actions/")
    edit = client.post("/api/v1/actions/", "{}", content_type="application/json")
    return read.status_code == 200, edit.status_code == 400


@pytest.mark.parametrize(
    ("groups", "columns", "expected"),
    [
        ([], {}, (False, False)),
        ([], {"is_staff": True}, (False, False)),
        ([], {"is_superuser": True}, (True, True)),
        (["read"], {}, (True, False)),
        (["operate"], {"is_staff": True}, (True, False)),
        (["edit"], {}, (True, True)),
        (["admin"], {}, (True, True)),
        (["webhook"], {}, (False, False)),
        (["friends"], {"is_staff": True}, (False, False)),
    ],
)
def test_users_have_the_scopes_of_their_groups(
    client: Client, groups: list[str], columns: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    log_in_user(client, *groups, **columns)

    assert permissions_of(client) == expected


def test_a_denial_names_the_missing_role(client: Client) -> None:
    log_in_user(client, "read")

    response = client.post("/api/v1/actions/", "{}", content_type="application/json")

    assert response.status_code == 403
    assert "ada lacks the role edit" in response.json()["error"]["message"]


@pytest.mark.parametrize("url", ["/api/v1/nowhere/", "/api/", "/api/v2/webhook"])
def test_an_unknown_path_is_404_in_json_and_401_without_credentials(url: str) -> None:
    authenticated = factories.make_client("read")

    responses = [authenticated.get(url), authenticated.post(url), Client().get(url)]

    assert [response.status_code for response in responses] == [404, 404, 401]
    assert all(response["Content-Type"] == "application/json" for response in responses)
    assert responses[0].json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_trailing_slash_of_requests_is_optional(slash: str) -> None:
    client = factories.make_client("read")
    request_id = client.get(f"/api/v1/requests{slash}")["X-Request-ID"]

    assert client.get(f"/api/v1/requests/{request_id}{slash}").status_code == 200


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/7", "run 7"),
        ("alerts/7", "alert 7"),
        ("executions/7", "execution 7"),
        ("buckets/7", "custom action bucket 7"),
        ("steps/7", "step 7"),
    ],
)
def test_a_missing_row_is_named_in_the_error(path: str, name: str) -> None:
    response = factories.make_client("read").get(f"/api/v1/{path}/")

    assert response.status_code == 404
    assert response.json()["error"]["message"] == f"There is no {name}."


@pytest.mark.parametrize("url", ["/api/v1/alerts/", "/api/v1/runs/1/", "/api/v1/webhook"])
@pytest.mark.parametrize("method", ["put", "delete"])
def test_an_unsupported_method_is_405(url: str, method: str) -> None:
    response = getattr(factories.make_client("admin"), method)(url)

    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"
