"""Every door needs its scope, from the first day on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.views import View

from remediation.api.permissions import HARMLESS
from remediation.models import Scope
from tests import factories

pytestmark = pytest.mark.django_db

READ = {"read", "operate", "edit", "admin"}
EDIT = {"edit", "admin"}
OPERATE = {"operate", "admin"}
DOCS = ("get", "/api/v1/docs/", READ)
DOORS = [
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


@pytest.mark.parametrize(("method", "url", "scopes"), [*DOORS, DOCS])
@pytest.mark.parametrize("scope", Scope.values)
def test_a_door_opens_to_its_scopes_alone(
    method: str, url: str, scopes: set[str], scope: str
) -> None:
    client = factories.make_client(scope)

    answer = client.generic(method.upper(), url, "{}", content_type="application/json")

    assert (answer.status_code == 403) == (scope not in scopes)
    assert answer.status_code != 401


@pytest.mark.parametrize(("method", "url", "_scopes"), DOORS)
def test_no_door_opens_without_credentials(method: str, url: str, _scopes: set[str]) -> None:
    answer = Client().generic(method.upper(), url, "{}", content_type="application/json")

    assert answer.status_code == 401


def test_the_documentation_leads_to_the_login_and_back() -> None:
    answer = Client().get("/api/v1/docs/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/api/v1/docs/")


def test_a_wrong_token_is_not_led_to_the_login() -> None:
    answer = Client(headers={"Authorization": "Bearer wrong"}).get("/api/v1/docs/")

    assert answer.status_code == 401


def each_pattern(resolver: Any, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from each_pattern(entry, path)
        else:
            yield path, entry


def actions_of(callback: Any) -> set[str]:
    """Return what a view can do, in the words in which it declares scopes."""
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
        for action in actions_of(callback) - set(callback.cls.scopes) - HARMLESS
    ]

    assert len(views) > 20
    assert undeclared == []


def test_a_refusal_names_the_token_and_the_scope() -> None:
    client = factories.make_client("webhook")

    answer = client.get("/api/v1/alerts/")

    assert answer.status_code == 403
    name = factories.ApiToken.objects.get().name
    assert answer.json()["error"] == {
        "code": "permission_denied",
        "message": f"The token {name} lacks the scope read: use one that has it.",
        "fields": {},
    }


def make_person(client: Client, *groups: str, **columns: Any) -> User:
    user = User.objects.create_user("ada", **columns)
    user.groups.set(Group.objects.create(name=name) for name in groups)
    client.force_login(user)
    return user


def may(client: Client) -> tuple[bool, bool]:
    """Return whether a person may read and may edit."""
    read = client.get("/api/v1/actions/")
    edit = client.post("/api/v1/actions/", "{}", content_type="application/json")
    return read.status_code == 200, edit.status_code == 400


@pytest.mark.parametrize(
    ("groups", "columns", "expected"),
    [
        ([], {}, (False, False)),
        ([], {"is_staff": True}, (True, False)),
        ([], {"is_superuser": True}, (True, True)),
        (["read"], {}, (True, False)),
        (["operate"], {"is_staff": True}, (True, False)),
        (["edit"], {}, (True, True)),
        (["admin"], {}, (True, True)),
        (["webhook"], {}, (False, False)),
        (["friends"], {"is_staff": True}, (True, False)),
    ],
)
def test_people_have_the_scopes_of_their_groups(
    client: Client, groups: list[str], columns: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    make_person(client, *groups, **columns)

    assert may(client) == expected


def test_a_person_who_lacks_a_role_is_told_which(client: Client) -> None:
    make_person(client, "read")

    answer = client.post("/api/v1/actions/", "{}", content_type="application/json")

    assert answer.status_code == 403
    assert "ada lacks the role edit" in answer.json()["error"]["message"]


@pytest.mark.parametrize("url", ["/api/v1/nowhere/", "/api/", "/api/v2/webhook"])
def test_an_unknown_path_is_json_and_for_known_callers_alone(url: str) -> None:
    known = factories.make_client("read")

    answers = [known.get(url), known.post(url), Client().get(url)]

    assert [answer.status_code for answer in answers] == [404, 404, 401]
    assert all(answer["Content-Type"] == "application/json" for answer in answers)
    assert answers[0].json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_slash_at_the_end_of_the_record_may_be_left_out(slash: str) -> None:
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
def test_what_does_not_exist_is_told_in_words(path: str, name: str) -> None:
    answer = factories.make_client("read").get(f"/api/v1/{path}/")

    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"There is no {name}."


@pytest.mark.parametrize("url", ["/api/v1/alerts/", "/api/v1/runs/1/", "/api/v1/webhook"])
@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_method_that_does_not_exist_is_405(url: str, method: str) -> None:
    answer = getattr(factories.make_client("admin"), method)(url)

    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"
