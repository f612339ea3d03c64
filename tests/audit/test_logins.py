"""Logins: audit events, lockout, session lifetime and foreign redirects."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit import logins
from remediation.admin.login import counted_client
from remediation.models import AuditEvent, Cause
from tests.factories import log_in, make_client, make_token, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

LOGIN = reverse("admin:login")
PASSWORD = "correct horse battery"
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture(autouse=True)
def fast_hashes(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def ann(db: None) -> User:
    return make_user("operate", username="ann", password=PASSWORD)


def attempt(name: str, password: str, *, client: str = HERE, following: str = "") -> Any:
    form = {"username": name, "password": password, "next": following}
    return Client(REMOTE_ADDR=client).post(LOGIN, form)


def fail(times: int, name: str = "ann", **options: Any) -> Any:
    for number in range(times):
        response = attempt(name, f"wrong {number}", **options)
    return response


def events(*columns: str) -> list[tuple[Any, ...]]:
    return list(AuditEvent.objects.order_by("pk").values_list("kind", *columns))


def test_a_login_and_a_logout_are_recorded(ann: User) -> None:
    client = Client(REMOTE_ADDR=HERE)
    login = client.post(LOGIN, {"username": "ann", "password": PASSWORD})
    logout = client.post(reverse("admin:logout"))

    columns = ("subject", "actor", "actor_kind", "client_host", "request_id")
    assert events(*columns) == [
        ("login", "ann", "ann", "user", HERE, login["X-Request-ID"]),
        ("logout", "ann", "ann", "user", HERE, logout["X-Request-ID"]),
    ]


def test_a_failure_is_recorded_without_the_password(ann: User) -> None:
    attempt("ann", "not the password")

    assert events("actor", "actor_kind", "client_host", "data") == [
        ("login_failed", "ann", "", HERE, {})
    ]


@pytest.mark.parametrize("name", ["correct horse battery", "x\ny\x1b[31m", "nobody", "x" * 150])
def test_an_unknown_name_is_not_stored(ann: User, name: str) -> None:
    response = attempt(name, "secret in the other field")

    assert response.status_code == 200
    assert events("actor", "subject") == [("login_failed", "", "")]
    stored = str([*AuditEvent.objects.values(), *AccessAttempt.objects.values()])
    assert name.strip() not in stored
    assert "secret in the other field" not in stored


def test_a_login_of_an_inactive_user_fails(ann: User) -> None:
    User.objects.update(is_active=False)

    attempt("ann", PASSWORD)

    assert events("actor") == [("login_failed", "ann")]


def test_failures_lock_the_name_for_this_client(ann: User) -> None:
    response = fail(5)

    assert response.status_code == 429
    assert 890 <= int(response["Retry-After"]) <= 900
    text = " ".join(response.content.decode().split())
    assert "5 logins with this user name from your address have failed" in text
    assert "Try again in 15 minutes" in text
    assert attempt("ann", PASSWORD).status_code == 429
    assert sorted(kind for (kind,) in events()) == ["login_failed"] * 5 + ["login_locked"]
    assert AuditEvent.objects.get(kind="login_locked").actor == "ann"


def test_the_lock_holds_for_other_clients_and_names_not(ann: User) -> None:
    make_user("read", username="bob", password=PASSWORD)
    fail(5)

    assert attempt("ann", PASSWORD, client=ELSEWHERE).status_code == 302
    assert attempt("bob", PASSWORD).status_code == 302
    assert attempt("ann", PASSWORD).status_code == 429


def test_an_unknown_name_is_locked_alike(ann: User) -> None:
    known, unknown = fail(5), fail(5, "nobody")

    assert known.status_code == unknown.status_code == 429
    assert known.content == unknown.content


def test_the_lock_ends_by_itself_and_attempts_do_not_extend_it(ann: User) -> None:
    fail(5)
    before = AccessAttempt.objects.get().attempt_time
    fail(3)
    assert AccessAttempt.objects.get().attempt_time == before

    AccessAttempt.objects.update(attempt_time=timezone.now() - datetime.timedelta(minutes=16))

    assert attempt("ann", PASSWORD).status_code == 302


def test_a_success_resets_the_count(ann: User) -> None:
    fail(4)
    attempt("ann", PASSWORD)

    assert fail(4).status_code == 200


@pytest.mark.parametrize(
    ("command", "arguments"), [("axes_reset", []), ("axes_reset_username", ["ann"])]
)
def test_an_administrator_ends_the_lock(
    ann: User, command: str, arguments: list[str], capsys: Any
) -> None:
    fail(5)

    call_command(command, *arguments)

    assert "1 attempts removed" in capsys.readouterr().out
    assert attempt("ann", PASSWORD).status_code == 302


def test_attempts_during_a_lock_add_no_rows(ann: User) -> None:
    fail(5)
    count = AuditEvent.objects.count()

    fail(5)

    assert AuditEvent.objects.count() == count


def test_the_failures_of_one_client_fill_the_table_slowly(ann: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(logins, "FAILURES_MAX", 3)

    for number in range(5):
        attempt(f"name-{number}", "wrong")
    attempt("ann", "wrong", client=ELSEWHERE)

    assert [host for _, host in events("client_host")] == [HERE] * 3 + [ELSEWHERE]
    assert "not recorded for an hour" in AuditEvent.objects.order_by("pk")[2].data["last"]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", None),
        ("unix:", None),
        ("x" * 300, None),
    ],
)
def test_clients_are_counted_by_address_or_network(
    ann: User, rf: Any, address: str, counted: str | None
) -> None:
    assert counted_client(rf.get("/", REMOTE_ADDR=address)) == counted
    assert fail(5, client=address).status_code == 429


def test_names_that_differ_in_case_are_counted_together_where_they_log_in(ann: User) -> None:
    if connection.vendor != "mysql":
        pytest.skip("SQLite compares user names exactly, so ANN is unknown there")

    for name in ("ann", "Ann", "ANN", "aNN", "anN"):
        response = attempt(name, "wrong")

    assert response.status_code == 429


@pytest.mark.parametrize("following", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_a_foreign_next_leads_to_the_front_page(ann: User, following: str) -> None:
    login = attempt("ann", PASSWORD, following=following)
    client = log_in("read")
    logout = client.post(reverse("admin:logout"), {"next": following})

    assert (login.status_code, login["Location"]) == (302, "/")
    assert (logout.status_code, logout["Location"]) == (302, "/")


def test_a_next_of_ours_is_followed(ann: User) -> None:
    assert attempt("ann", PASSWORD, following="/audit/failures/")["Location"] == "/audit/failures/"


def test_a_session_ends_after_twelve_hours_or_with_the_browser(ann: User) -> None:
    client = Client()
    response = client.post(LOGIN, {"username": "ann", "password": PASSWORD})

    assert not response.cookies["sessionid"]["max-age"]
    assert response.cookies["sessionid"]["httponly"]
    assert 43_190 <= client.session.get_expiry_age() <= 43_200


def test_tokens_and_users_are_recorded(ann: User) -> None:
    token, _ = make_token(["read", "operate"], name="grafana")
    token.revoke(cause=Cause(actor="ann", actor_kind="user"))
    client = log_in("admin", username="olga")
    form = {"is_active": "on", "is_staff": "on", "groups": []}
    client.post(reverse("admin:auth_user_change", args=[ann.pk]), form)

    issued, revoked, _login, changed = AuditEvent.objects.order_by("pk")
    assert (issued.kind, issued.subject, issued.actor) == ("token_issued", "grafana", "system")
    assert issued.data["scopes"] == ["read", "operate"]
    assert (revoked.kind, revoked.subject, revoked.actor) == ("token_revoked", "grafana", "ann")
    assert (changed.kind, changed.subject, changed.actor) == ("user_changed", "ann", "olga")
    assert changed.data["groups"] == []
    assert changed.data["changes"] == [{"changed": {"fields": ["Groups"]}}]


def test_a_new_password_is_recorded_without_it(ann: User) -> None:
    url = reverse("admin:auth_user_password_change", args=[ann.pk])
    form = {"password1": "another horse 1", "password2": "another horse 1"}
    log_in("admin").post(url, form | {"usable_password": "true"})

    assert events("subject")[-1] == ("user_changed", "ann")
    assert "another horse" not in str(list(AuditEvent.objects.values()))


def test_only_the_scope_admin_reads_the_events(ann: User) -> None:
    fail(1)
    url = "/api/v1/audit-events/"

    rows = make_client("admin").get(url, {"kind": "login_failed"}).json()["results"]

    assert [(row["actor"], row["client_host"]) for row in rows] == [("ann", HERE)]
    assert make_client("admin").get(f"{url}{rows[0]['id']}/").json() == rows[0]
    for scope in ("read", "operate", "edit", "webhook"):
        assert make_client(scope).get(url).status_code == 403
    assert log_in("edit").get(reverse("admin:remediation_auditevent_changelist")).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_simultaneous_failures_are_counted_without_server_errors() -> None:
    if connection.vendor != "mysql":
        pytest.skip("the threads of a test share SQLite's database in memory, which locks tables")
    make_user("operate", username="ann", password=PASSWORD)

    def fail_once(number: int) -> int:
        try:
            return int(attempt("ann", f"wrong {number}").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        codes = set(threads.map(fail_once, range(16)))

    assert codes <= {200, 429}
    assert attempt("ann", PASSWORD).status_code == 429
    assert AuditEvent.objects.filter(kind="login_locked").exists()
