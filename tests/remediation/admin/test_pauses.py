"""Pausing and resuming in admin, and the banners on every page."""

import datetime

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from remediation.engine.operations import pause
from remediation.models import ActionExecution, Alert, Bucket, Cause, Pause, Problem
from tests.factories import log_in, make_alert, make_execution
from tests.remediation.admin.forms import page
from tests.remediation.admin.scenarios import messages_of

BEGIN = reverse("admin:remediation_pause_begin")
RESUME = reverse("admin:remediation_pause_resume")
INDEX = reverse("admin:index")
EVIL = "<script>alert(1)</script>"
UNREACHABLE = "connection refused <b>"


def start_pause(reason="network maintenance", **columns):
    defaults = {"expires_at": None, "cause": Cause(actor="ann")}
    return pause.pause(reason=reason, **defaults | columns)


def text_of(client, url):
    return " ".join(client.get(url).content.decode().split())


@pytest.fixture
def reader(db):
    """Return a client signed in as a user who may only read."""
    return log_in("read", username="night")


@pytest.mark.parametrize(
    "url",
    [
        INDEX,
        BEGIN,
        page(Bucket, "changelist"),
        page(Bucket, "add"),
        page(ActionExecution, "changelist"),
        reverse("admin:password_change"),
        reverse("audit:failures"),
        reverse("audit:story", args=["req-a"]),
        reverse("audit:story", args=["req-none"]),
    ],
)
def test_every_page_shows_the_pause_and_the_outage(operator, url):
    make_alert(request_id="req-a")
    start_pause(reason=f"maintenance {EVIL}")
    Problem.report("stackstorm", UNREACHABLE, at=timezone.now())

    text = text_of(operator, url)

    assert "<strong>Paused</strong> by ann since" in text
    assert "until resumed: maintenance &lt;script&gt;" in text
    assert f'action="{RESUME}"' in text
    assert "<strong>StackStorm cannot be reached</strong> since" in text
    assert "connection refused &lt;b&gt;" in text


def test_login_page_shows_no_banners(db):
    start_pause()
    Problem.report("stackstorm", UNREACHABLE, at=timezone.now())

    text = text_of(Client(), reverse("admin:login"))

    assert "Paused" not in text
    assert "StackStorm" not in text


def test_no_banner_without_a_pause_or_a_problem(operator):
    Problem.report("stackstorm", UNREACHABLE, at=timezone.now())
    Problem.clear("stackstorm")

    text = text_of(operator, INDEX)

    assert 'class="system-status' not in text
    assert f'<a href="{BEGIN}">Pause…</a>' in text


def test_expired_pause_has_no_banner(operator):
    now = timezone.now()
    Pause.objects.create(
        reason="a", actor="ann", created_at=now, expires_at=now - datetime.timedelta(seconds=1)
    )

    assert 'class="system-status' not in text_of(operator, INDEX)
    assert "badge-expired" in text_of(operator, page(Pause, "changelist"))


def test_banner_shows_the_end_and_the_executions_in_flight(operator):
    start_pause(expires_at=timezone.now() + datetime.timedelta(minutes=90, seconds=30))
    make_execution(status="running")
    make_execution(status="launching")
    make_execution(status="success")

    text = text_of(operator, INDEX)

    assert "(in 1 hour, 30 minutes)" in text
    assert "2 executions in flight</a> continue." in text


@pytest.mark.parametrize(
    ("count", "phrase"),
    [(0, "No execution is in flight."), (1, "1 execution in flight</a> continues.")],
)
def test_banner_counts_executions_in_flight(operator, count, phrase):
    start_pause()
    for _ in range(count):
        make_execution(status="running")

    assert phrase in text_of(operator, INDEX)


@pytest.mark.parametrize(("minutes", "duration"), [("", None), ("30", 30), ("1440", 1440)])
def test_pause_has_a_reason_and_a_duration(operator, minutes, duration):
    started_at = timezone.now()

    response = operator.post(BEGIN, {"reason": " maintenance ", "minutes": minutes})

    current = Pause.current(at=timezone.now())
    assert current is not None
    assert (current.reason, current.actor) == ("maintenance", "maria")
    assert current.request_id == response["X-Request-ID"]
    assert response["Location"] == page(Pause, "change", current.pk)
    if duration is None:
        assert current.expires_at is None
    else:
        assert current.expires_at is not None
        begun_at = current.expires_at - datetime.timedelta(minutes=duration)
        assert started_at <= begun_at <= timezone.now()


@pytest.mark.parametrize(
    ("data", "field"),
    [({"reason": ""}, "reason"), ({"reason": "a", "minutes": "7"}, "minutes")],
)
def test_invalid_pause_form_is_rejected(operator, data, field):
    response = operator.post(BEGIN, data)

    assert list(response.context["form"].errors) == [field]
    assert not Pause.objects.exists()


def test_page_of_the_current_pause_lists_executions_in_flight(operator):
    running = make_execution(status="running")
    current = start_pause()

    now = text_of(operator, page(Pause, "change", current.pk))
    operator.post(RESUME)
    later = text_of(operator, page(Pause, "change", current.pk))

    assert page(ActionExecution, "change", running.pk) in now
    assert page(ActionExecution, "change", running.pk) not in later
    assert "badge-ended" in later


def test_new_pause_replaces_the_current_one(operator):
    start_pause()

    assert "This pause replaces the current pause." in text_of(operator, BEGIN)
    operator.post(BEGIN, {"reason": "longer"})

    current = Pause.current(at=timezone.now())
    assert current is not None
    assert current.reason == "longer"
    assert Pause.objects.filter(ended_at=None).count() == 1


def test_resume_ends_the_pause(operator):
    current = start_pause()

    response = operator.post(RESUME, follow=True)

    current.refresh_from_db()
    assert (Pause.current(at=timezone.now()), current.ended_by) == (None, "maria")
    assert messages_of(response) == ["Resumed. Waiting executions start now."]


def test_resume_without_a_pause_shows_a_warning(operator):
    response = operator.post(RESUME, follow=True)

    assert messages_of(response) == ["PoundCake was not paused."]


def test_get_does_not_resume(operator):
    start_pause()

    assert operator.get(RESUME).status_code == 405
    assert Pause.current(at=timezone.now())


@pytest.mark.parametrize("url", [BEGIN, RESUME])
def test_post_without_csrf_token_is_rejected(db, url):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("maria"))
    current = start_pause()

    assert client.post(url, {"reason": "a"}).status_code == 403
    assert Pause.current(at=timezone.now()) == current


def test_reader_sees_the_pause_and_cannot_end_it(reader):
    current = start_pause()

    text = text_of(reader, INDEX)

    assert "<strong>Paused</strong>" in text
    assert RESUME not in text
    assert BEGIN not in text
    assert reader.post(RESUME).status_code == 403
    assert reader.post(BEGIN, {"reason": "a"}).status_code == 403
    assert Pause.current(at=timezone.now()) == current


def test_operator_may_pause(reader):
    User.objects.get().groups.add(Group.objects.get(name="operate"))

    assert reader.post(BEGIN, {"reason": "a"}).status_code == 302
    current = Pause.current(at=timezone.now())
    assert current is not None
    assert current.actor == "night"


def test_banners_need_few_queries(reader, django_assert_max_num_queries):
    User.objects.get().groups.add(Group.objects.get(name="operate"))
    start_pause()

    with django_assert_max_num_queries(11):
        reader.get(page(Alert, "changelist"))
