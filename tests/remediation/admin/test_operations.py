"""Operations: GET shows a page, POST performs them, for operators only, recorded by name."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from remediation.admin import operations
from remediation.admin.operations import operation_url
from remediation.engine.outcomes.outcome import Outcome
from remediation.models import ActionExecution, Alert, BucketRun, Transition
from tests.factories import log_in, make_alert
from tests.remediation.admin.forms import page
from tests.remediation.admin.scenarios import (
    buttons_of,
    failed_run,
    messages_of,
    running_run,
    settled_run,
    two_step_bucket,
    unknown_execution,
)

pytestmark = pytest.mark.slow

EVIL = "<script>alert(1)</script>"


def every_operation():
    """Return the URL of each operation for a suitable row, and its form data."""
    alert = make_alert()
    bucket = two_step_bucket()
    return {
        "stop": (operation_url(BucketRun, "stop", running_run().pk), {"reason": "no"}),
        "cancel": (operation_url(BucketRun, "cancel", running_run().pk), {"reason": "no"}),
        "failed": (operation_url(BucketRun, "retry_from_failed", failed_run().pk), {}),
        "start": (operation_url(BucketRun, "retry_from_start", failed_run().pk), {}),
        "match": (operation_url(Alert, "match_again", alert.pk), {}),
        "hand": (operation_url(Alert, "run_by_hand", make_alert().pk), {"bucket": bucket.pk}),
        "set_outcome": (
            operation_url(ActionExecution, "set_outcome", unknown_execution().pk),
            {"status": "success", "reason": "I looked"},
        ),
    }


OPERATIONS = ["stop", "cancel", "failed", "start", "match", "hand", "set_outcome"]
by_operation = pytest.mark.parametrize("name", OPERATIONS)


@pytest.fixture
def sign_in(db):
    """Return a function that returns a client signed in as a new member of some groups."""

    def signed_in_client(*groups, **columns):
        return log_in(*groups, username="ada", **columns)

    return signed_in_client


@by_operation
def test_get_changes_nothing(operator, name):
    url, _ = every_operation()[name]
    before = Transition.objects.count()

    response = operator.get(url)

    assert response.status_code == 200
    assert b"csrfmiddlewaretoken" in response.content
    assert Transition.objects.count() == before


@by_operation
def test_post_performs_the_operation_and_records_user_and_request(operator, name):
    url, data = every_operation()[name]
    before = Transition.objects.latest("pk").pk

    response = operator.post(url, data)

    assert response.status_code == 302
    moves = Transition.objects.filter(pk__gt=before)
    assert {move.actor for move in moves} == {"maria"}
    assert {move.cause_request_id for move in moves} == {response["X-Request-ID"]}


@by_operation
def test_post_without_csrf_token_is_rejected(db, name):
    url, data = every_operation()[name]
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("maria"))
    before = Transition.objects.count()

    assert client.post(url, data).status_code == 403
    assert Transition.objects.count() == before


@by_operation
@pytest.mark.parametrize(
    ("groups", "is_allowed"),
    [([], False), (["read"], False), (["edit"], False), (["operate"], True), (["admin"], True)],
)
def test_only_operators_are_allowed(sign_in, name, groups, is_allowed):
    url, data = every_operation()[name]
    client = sign_in(*groups)
    before = Transition.objects.count()

    assert client.get(url).status_code == (200 if is_allowed else 403)
    assert client.post(url, data).status_code == (302 if is_allowed else 403)
    assert (Transition.objects.count() > before) == is_allowed


@pytest.mark.parametrize("columns", [{"is_staff": False}, {"is_active": False}])
def test_operator_without_staff_status_is_redirected_to_the_login(sign_in, columns):
    run = running_run()
    client = sign_in("operate", **columns)

    response = client.post(operation_url(BucketRun, "cancel", run.pk), {"reason": "no"})

    assert reverse("admin:login") in response["Location"]
    run.refresh_from_db()
    assert run.stop == ""


def test_reader_sees_no_buttons_and_no_list_actions(sign_in):
    run = running_run()
    client = sign_in("read")

    assert buttons_of(client, run) == []
    assert "Cancel the run" not in client.get(page(BucketRun, "changelist")).content.decode()


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (running_run, ["Stop after the current step", "Cancel the run"]),
        (failed_run, ["Retry from the failed step", "Retry from the start"]),
        (lambda: settled_run(Outcome.success({})), ["Retry from the start"]),
        (lambda: settled_run(Outcome.unknown("no answer")), ["Set outcome"]),
        (make_alert, ["Match again", "Run a bucket"]),
        (unknown_execution, ["Set outcome"]),
        (lambda: failed_run().executions.get(), []),
    ],
)
def test_page_offers_the_available_operations(operator, make, labels):
    buttons = buttons_of(operator, make())

    assert [button.partition(">")[2].removesuffix("…</a>") for button in buttons] == labels


def choose(client, action, rows):
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(page(type(rows[0]), "changelist"), chosen)


def test_several_runs_are_canceled_at_once(operator):
    runs = [running_run(), running_run()]

    redirect = choose(operator, "cancel", runs)
    response = operator.post(redirect["Location"], {"reason": "wrong rule"}, follow=True)

    assert redirect["Location"] == operation_url(BucketRun, "cancel", *(run.pk for run in runs))
    assert messages_of(response) == ["Cancel the run: done for 2 of 2."]
    assert set(BucketRun.objects.values_list("stop", "reason")) == {("cancel", "wrong rule")}


def test_each_failure_on_several_rows_has_a_message(operator):
    runs = [running_run(), failed_run()]

    redirect = choose(operator, "stop", runs)
    response = operator.post(redirect["Location"], {"reason": "no"}, follow=True)

    assert messages_of(response) == [
        f"Run {runs[1]} is failure: nothing is left to stop.",
        "Stop after the current step: done for 1 of 2.",
    ]


def test_too_many_selected_rows_are_rejected(operator, monkeypatch):
    monkeypatch.setattr(operations, "ROWS_MAX", 1)

    response = choose(operator, "stop", [running_run(), running_run()])

    assert response.status_code == 302
    assert "id=" not in response["Location"]
    text = messages_of(operator.get(response["Location"]))[0]
    assert text.endswith("select at most 1 rows. Nothing was changed.")


def test_reader_cannot_use_a_list_action(sign_in):
    run = running_run()

    response = choose(sign_in(), "cancel", [run])

    assert "cancel/" not in response.headers.get("Location", "")
    run.refresh_from_db()
    assert run.stop == ""


@pytest.mark.parametrize("query", ["", "?id=", "?id=x", "?id=999999", "?id=9999999999999999999999"])
def test_operation_without_a_valid_row_redirects_to_the_list(operator, query):
    url = reverse("admin:remediation_bucketrun_cancel") + query

    response = operator.post(url, {"reason": "no"}, follow=True)

    assert response.redirect_chain[-1][0] == page(BucketRun, "changelist")
    assert messages_of(response) == ["Cancel the run: select a row first."]


def test_markup_in_names_and_reasons_is_escaped(operator):
    run = running_run(name=EVIL)
    url = operation_url(BucketRun, "stop", run.pk)

    pages = [operator.get(url), operator.post(url, {"reason": EVIL}, follow=True)]
    BucketRun.objects.filter(pk=run.pk).update(status="failure")
    pages.append(operator.post(url, {"reason": EVIL}, follow=True))
    pages.append(operator.post(url, {"reason": ""}))

    for response in pages:
        assert "&lt;script&gt;" in response.content.decode()
        assert "<script>alert" not in response.content.decode()


def test_confirmation_page_needs_no_query_per_row(operator, django_assert_max_num_queries):
    runs = [running_run() for _ in range(20)]

    with django_assert_max_num_queries(8):
        response = operator.get(operation_url(BucketRun, "cancel", *(run.pk for run in runs)))

    assert len(response.context["rows"]) == 20
