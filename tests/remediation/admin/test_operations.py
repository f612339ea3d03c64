"""Verbs: shown by GET, done by POST, for operators alone, on record with their names."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from remediation.admin import operations
from remediation.admin.operations import operation_url
from remediation.engine.outcomes.outcome import Outcome
from remediation.models import ActionExecution, Alert, BucketRun, Transition
from tests.factories import make_alert
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

EVIL = "<script>alert(1)</script>"


def every_operation():
    """Return the page of each verb for a row on which it can be done, with the answers."""
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
    """Return a function that returns the browser of a new member of some groups."""

    def browser(*groups, **columns):
        person = User.objects.create_user("ada", **{"is_staff": True} | columns)
        person.groups.set(Group.objects.create(name=name) for name in groups)
        client = Client()
        client.force_login(person)
        return client

    return browser


@by_operation
def test_a_look_at_the_page_changes_nothing(operator, name):
    address, _ = every_operation()[name]
    before = Transition.objects.count()

    response = operator.get(address)

    assert response.status_code == 200
    assert b"csrfmiddlewaretoken" in response.content
    assert Transition.objects.count() == before


@by_operation
def test_a_verb_is_done_by_post_and_bears_the_name_and_the_call(operator, name):
    address, answers = every_operation()[name]
    before = Transition.objects.latest("pk").pk

    response = operator.post(address, answers)

    assert response.status_code == 302
    moves = Transition.objects.filter(pk__gt=before)
    assert {move.actor for move in moves} == {"maria"}
    assert {move.cause_request_id for move in moves} == {response["X-Request-ID"]}


@by_operation
def test_a_post_from_elsewhere_is_refused(db, name):
    address, answers = every_operation()[name]
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("maria"))
    before = Transition.objects.count()

    assert browser.post(address, answers).status_code == 403
    assert Transition.objects.count() == before


@by_operation
@pytest.mark.parametrize(
    ("groups", "may"),
    [([], False), (["read"], False), (["edit"], False), (["operate"], True), (["admin"], True)],
)
def test_only_operators_get_through(sign_in, name, groups, may):
    address, answers = every_operation()[name]
    browser = sign_in(*groups)
    before = Transition.objects.count()

    assert browser.get(address).status_code == (200 if may else 403)
    assert browser.post(address, answers).status_code == (302 if may else 403)
    assert (Transition.objects.count() > before) == may


@pytest.mark.parametrize("columns", [{"is_staff": False}, {"is_active": False}])
def test_an_operator_without_a_place_in_admin_is_sent_to_the_login(sign_in, columns):
    run = running_run()
    browser = sign_in("operate", **columns)

    response = browser.post(operation_url(BucketRun, "cancel", run.pk), {"reason": "no"})

    assert reverse("admin:login") in response["Location"]
    run.refresh_from_db()
    assert run.stop == ""


def test_readers_see_the_row_without_its_buttons(sign_in):
    run = running_run()
    browser = sign_in()

    assert buttons_of(browser, run) == []
    assert "Cancel the run" not in browser.get(page(BucketRun, "changelist")).content.decode()


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (running_run, ["Stop after the step in flight", "Cancel the run"]),
        (failed_run, ["Retry from the failed step", "Retry from the start"]),
        (lambda: settled_run(Outcome.success({})), ["Retry from the start"]),
        (lambda: settled_run(Outcome.unknown("no answer")), ["Set outcome"]),
        (make_alert, ["Match again now", "Run a bucket by hand"]),
        (unknown_execution, ["Set outcome"]),
        (lambda: failed_run().executions.get(), []),
    ],
)
def test_a_row_offers_what_can_be_done_with_it(operator, make, labels):
    buttons = buttons_of(operator, make())

    assert [button.partition(">")[2].removesuffix("…</a>") for button in buttons] == labels


def choose(client, action, rows):
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(page(type(rows[0]), "changelist"), chosen)


def test_many_runs_are_stopped_at_once(operator):
    runs = [running_run(), running_run()]

    asked = choose(operator, "cancel", runs)
    response = operator.post(asked["Location"], {"reason": "wrong rule"}, follow=True)

    assert asked["Location"] == operation_url(BucketRun, "cancel", *(run.pk for run in runs))
    assert messages_of(response) == ["Cancel the run: done for 2 of 2."]
    assert set(BucketRun.objects.values_list("stop", "reason")) == {("cancel", "wrong rule")}


def test_of_many_each_that_cannot_be_done_is_named(operator):
    runs = [running_run(), failed_run()]

    asked = choose(operator, "stop", runs)
    response = operator.post(asked["Location"], {"reason": "no"}, follow=True)

    assert messages_of(response) == [
        f"Run {runs[1]} is failure: nothing is left to stop.",
        "Stop after the step in flight: done for 1 of 2.",
    ]


def test_more_than_a_page_of_runs_is_refused(operator, monkeypatch):
    monkeypatch.setattr(operations, "ROWS_MAX", 1)

    response = choose(operator, "stop", [running_run(), running_run()])

    assert response.status_code == 302
    assert "id=" not in response["Location"]
    text = messages_of(operator.get(response["Location"]))[0]
    assert text.endswith("choose at most 1 at once; nothing was done.")


def test_a_reader_cannot_choose_an_action(sign_in):
    run = running_run()

    response = choose(sign_in(), "cancel", [run])

    assert "cancel/" not in response.headers.get("Location", "")
    run.refresh_from_db()
    assert run.stop == ""


@pytest.mark.parametrize("query", ["", "?id=", "?id=x", "?id=999999", "?id=9999999999999999999999"])
def test_a_verb_without_a_row_leads_back_to_the_list(operator, query):
    address = reverse("admin:remediation_bucketrun_cancel") + query

    response = operator.post(address, {"reason": "no"}, follow=True)

    assert response.redirect_chain[-1][0] == page(BucketRun, "changelist")
    assert messages_of(response) == ["Cancel the run: choose a row first."]


def test_what_people_and_alerts_write_stays_text(operator):
    run = running_run(name=EVIL)
    address = operation_url(BucketRun, "stop", run.pk)

    pages = [operator.get(address), operator.post(address, {"reason": EVIL}, follow=True)]
    BucketRun.objects.filter(pk=run.pk).update(status="failure")
    pages.append(operator.post(address, {"reason": EVIL}, follow=True))
    pages.append(operator.post(address, {"reason": ""}))

    for response in pages:
        assert "&lt;script&gt;" in response.content.decode()
        assert "<script>alert" not in response.content.decode()


def test_the_page_of_many_runs_needs_no_query_a_row(operator, django_assert_max_num_queries):
    runs = [running_run() for _ in range(20)]

    with django_assert_max_num_queries(8):
        response = operator.get(operation_url(BucketRun, "cancel", *(run.pk for run in runs)))

    assert len(response.context["rows"]) == 20
