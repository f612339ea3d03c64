"""Every URL, verb and caller: the response follows the table in ``permission_table``.

The URL resolver is walked, so a new URL without a row fails.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.template.response import SimpleTemplateResponse
from django.test import Client, RequestFactory
from django.urls import URLResolver, get_resolver

from audit.models import ApiCall
from remediation.models import ApiToken, AuditEvent, BucketVersion, ConfigValue, Pause, Transition
from remediation.models.roles import ROLES
from tests import factories
from tests.permission_table import API, LIST_ACTIONS, PAGES, VERBS, model_pages

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# The levels that each role or scope includes, by the documentation.
GRANTS = {
    "webhook": {"webhook"},
    "stackstorm": {"stackstorm"},
    "read": {"read"},
    "operate": {"operate", "read"},
    "edit": {"edit", "read"},
    "admin": {"webhook", "stackstorm", "read", "operate", "edit", "admin"},
}
DENIED = {"401", "403", "login"}


def token_client(scope: str) -> Client:
    return factories.make_client(scope)


def client_with_django_permissions() -> Client:
    user = factories.make_user(username="permitted")
    user.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(user)
    return client


def client_of_inactive_user() -> Client:
    user = factories.make_user("admin", is_active=True)
    client = Client()
    client.force_login(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    return client


# A caller: how to make its client, its levels of the API and its levels of pages.
Caller = tuple[Callable[[], Client], set[str], set[str]]
NOBODY: set[str] = {"public"}
CALLERS: dict[str, Caller] = (
    {
        "anonymous": (Client, NOBODY, NOBODY),
        "invalid token": (
            lambda: Client(headers={"Authorization": "Bearer pc_wrong"}),
            NOBODY,
            NOBODY,
        ),
        "inactive user": (client_of_inactive_user, NOBODY, NOBODY),
        "staff without a role": (
            lambda: factories.log_in(),
            {"public", "caller"},
            {"public", "staff"},
        ),
        "Django's permissions": (
            client_with_django_permissions,
            {"public", "caller"},
            {"public", "staff"},
        ),
        "role admin without staff status": (
            lambda: factories.log_in("admin", is_staff=False),
            {"public", "caller", *GRANTS["admin"]},
            NOBODY,
        ),
        "superuser": (
            lambda: factories.log_in(is_superuser=True),
            {"public", "caller", *GRANTS["admin"]},
            {"public", "staff", *GRANTS["admin"]},
        ),
    }
    | {
        f"token {scope}": (
            lambda scope=scope: token_client(scope),
            {"public", "caller", *levels},
            NOBODY,
        )
        for scope, levels in GRANTS.items()
    }
    | {
        f"role {role}": (
            lambda role=role: factories.log_in(role),
            {"public", "caller", *GRANTS[role]},
            {"public", "staff", *GRANTS[role]},
        )
        for role in ("read", "operate", "edit", "admin")
    }
)
# These two webhooks accept tokens only.
TOKEN_ONLY = {"/api/v1/webhook/", "/api/v1/stackstorm/webhook/"}


def each_route(resolver: Any, prefix: str = "/") -> Iterator[str]:
    """Return all routes, as the table writes them."""
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from each_route(entry, route)
        else:
            yield readable(route)


def readable(route: str) -> str:
    """Return a route as in the table: parameters in braces, one trailing slash."""
    route = re.sub(r"\(\?P<app_label>.*?\)", "remediation", route)
    route = re.sub(r"\(\?P<(\w+)>.*?\)(?=/|\$)", r"{\1}", route)
    route = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
    route = route.replace("^", "").replace("/?$", "/").replace("$", "")
    if re.match(r"/admin/\w+/\w+/\{object_id\}", route):
        route = route.replace("{object_id}", "{pk}")
    return route


@pytest.fixture(autouse=True)
def no_rendering(monkeypatch: Any) -> None:
    """Render no page and log no refusal: the permission is decided before.

    Other tests render each page. This takes two thirds of the time.
    """
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")
    monkeypatch.setattr(logging.getLogger("django.request"), "disabled", True)


@pytest.fixture
def ids() -> dict[str, int]:
    """Return the ids of one row of each model, by the segment of the URL."""
    execution = factories.make_execution(status="unknown", st2_execution_id="65a1")
    run = execution.run
    transition = Transition.objects.create(
        at=run.created_at, subject_type="run", subject_id=run.pk, to_status="pending"
    )
    config = ConfigValue.objects.create(key="channel", value="#alerts")
    pause = Pause.objects.create(reason="r", actor="system", created_at=run.created_at)
    _, token = factories.make_token(["read"])
    group, _ = Group.objects.get_or_create(name="friends")
    target = factories.make_user("read", username="target")
    Client(headers={"Authorization": f"Bearer {token}"}).get("/api/v1/alerts/")
    rows: dict[str, Any] = {
        "action": execution.action_id,
        "bucket": run.bucket_id,
        "step": run.bucket.steps.get().pk,
        "alert": run.alert_id,
        "bucketrun": run.pk,
        "actionexecution": execution.pk,
        "bucketversion": BucketVersion.objects.get().pk,
        "transition": transition.pk,
        "configvalue": config.pk,
        "pause": pause.pk,
        "apitoken": ApiToken.objects.get().pk,
        "auditevent": AuditEvent.objects.earliest("pk").pk,
        "user": target.pk,
        "group": group.pk,
        "apicall": ApiCall.objects.latest("pk").pk,
    }
    return (
        rows
        | {
            f"{name}s": pk
            for name, pk in rows.items()
            if name in ("action", "bucket", "step", "alert")
        }
        | {
            "runs": rows["bucketrun"],
            "executions": rows["actionexecution"],
            "transitions": rows["transition"],
            "audit-events": rows["auditevent"],
        }
    )


def concrete(route: str, ids: dict[str, int]) -> str:
    """Return the URL of an existing row."""
    url = re.sub(r"/([\w-]+)/\{(?:pk|id)\}", lambda match: f"/{match[1]}/{ids[match[1]]}", route)
    url = url.replace("{request_id}", "req-1").replace("{url}", "nowhere")
    return re.sub(r"\{\w+\}", "1", url)


def outcome(client: Client, verb: str, url: str) -> str:
    """Return 401, 403, 405, ``login`` for a redirect to the login, or ``in``."""
    body: dict[str, Any] = {"data": "{}", "content_type": "application/json"}
    if not url.startswith(("/api", "/metrics")):
        body = {}
    response = client.generic(verb, url, **body)
    assert response.status_code < 500, (verb, url, response.content[:500])
    if response.status_code == 302 and "/admin/login/" in response["Location"]:
        return "login"
    code = str(response.status_code)
    return code if code in {"401", "403", "405"} else "in"


def mistakes(
    client: Client, levels: set[str], rows: dict[str, dict[str, str]], ids: dict[str, int]
) -> list[str]:
    """Return the URLs and verbs whose outcome differs from the table."""
    found = []
    for route, by_verb in rows.items():
        for verb in VERBS:
            expected = by_verb[verb]
            allowed = {"in"} if expected in levels else {*DENIED, "405"}
            if expected == "405" and levels - NOBODY:
                allowed = {"405", *DENIED}
            if expected == "own":
                allowed = {"in", "405"}
            got = outcome(client, verb, concrete(route, ids))
            if got not in allowed:
                found.append(f"{verb} {route}: {got}, expected {expected}")
    return found


def api_rows() -> dict[str, dict[str, str]]:
    return {
        route: dict.fromkeys(VERBS, "405")
        | {"OPTIONS": "caller", "HEAD": levels.get("GET", "405")}
        | levels
        for route, levels in API.items()
    }


def page_rows() -> dict[str, dict[str, str]]:
    pages = model_pages() | PAGES
    return {route: dict.fromkeys(VERBS, levels["GET"]) | levels for route, levels in pages.items()}


def test_every_url_has_a_row() -> None:
    routes = set(each_route(get_resolver()))

    assert routes - set(API) - set(PAGES) - set(model_pages()) == set(), "add rows to the table"
    assert (set(API) | set(PAGES) | set(model_pages())) - routes == set(), "remove these rows"


@pytest.mark.parametrize("name", CALLERS)
def test_the_api_follows_the_table(name: str, ids: dict[str, int]) -> None:
    make, levels, _ = CALLERS[name]
    rows = api_rows()
    if not name.startswith("token"):
        for route in TOKEN_ONLY:
            rows[route] |= {"POST": "none", "OPTIONS": "none"}

    wrong = mistakes(make(), levels, rows, ids)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", CALLERS)
def test_pages_follow_the_table(name: str, ids: dict[str, int]) -> None:
    make, _, levels = CALLERS[name]

    wrong = mistakes(make(), levels, page_rows(), ids)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["staff without a role", *(f"role {role}" for role in ROLES)])
def test_list_actions_follow_the_table(name: str, ids: dict[str, int]) -> None:
    make, _, levels = CALLERS[name]
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=make().session["_auth_user_id"])

    offered = {
        f"{model._meta.app_label}/{model._meta.model_name}": set(model_admin.get_actions(request))
        for model, model_admin in admin.site._registry.items()
    }

    expected = {
        model: {action for action, level in by_action.items() if level in levels}
        for model, by_action in LIST_ACTIONS.items()
    }
    assert {model: actions for model, actions in offered.items() if actions} == {
        model: actions for model, actions in expected.items() if actions
    }
