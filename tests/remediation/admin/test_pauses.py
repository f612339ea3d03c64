"""The pause: begun, ended and told of on every page; StackStorm's absence is told of, too."""

import datetime

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from remediation.engine.operations import pause
from remediation.models import ActionExecution, Alert, Bucket, Cause, Heartbeat, Pause
from tests.factories import make_alert, make_execution
from tests.remediation.admin.forms import page
from tests.remediation.admin.scenarios import messages_of

BEGIN = reverse("admin:remediation_pause_begin")
RESUME = reverse("admin:remediation_pause_resume")
INDEX = reverse("admin:index")
EVIL = "<script>alert(1)</script>"
UNREACHABLE = "connection refused <b>"


def hold(reason="network maintenance", **columns):
    defaults = {"expires_at": None, "cause": Cause(actor="ann")}
    return pause.pause(reason=reason, **defaults | columns)


def text_of(client, address):
    return " ".join(client.get(address).content.decode().split())


@pytest.fixture
def reader(db):
    """Return the browser of a person who may only read."""
    client = Client()
    client.force_login(User.objects.create_user("night", is_staff=True))
    return client


@pytest.mark.parametrize(
    "address",
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
def test_every_page_says_who_paused_and_why(operator, address):
    make_alert(request_id="req-a")
    hold(reason=f"maintenance {EVIL}")
    Heartbeat.tell("stackstorm", UNREACHABLE, at=timezone.now())

    text = text_of(operator, address)

    assert "<strong>Paused</strong> by ann since" in text
    assert "until somebody resumes: maintenance &lt;script&gt;" in text
    assert f'action="{RESUME}"' in text
    assert "<strong>StackStorm cannot be reached</strong> since" in text
    assert "connection refused &lt;b&gt;" in text


def test_the_login_says_nothing_to_strangers(db):
    hold()
    Heartbeat.tell("stackstorm", UNREACHABLE, at=timezone.now())

    text = text_of(Client(), reverse("admin:login"))

    assert "Paused" not in text
    assert "StackStorm" not in text


def test_all_is_quiet_when_all_is_well(operator):
    Heartbeat.tell("stackstorm", UNREACHABLE, at=timezone.now())
    Heartbeat.tell("stackstorm", "", at=timezone.now())

    text = text_of(operator, INDEX)

    assert 'class="system-status' not in text
    assert f'<a href="{BEGIN}">Pause…</a>' in text


def test_a_pause_that_is_over_is_not_told_of(operator):
    now = timezone.now()
    Pause.objects.create(
        reason="a", actor="ann", created_at=now, expires_at=now - datetime.timedelta(seconds=1)
    )

    assert 'class="system-status' not in text_of(operator, INDEX)
    assert "badge-expired" in text_of(operator, page(Pause, "changelist"))


def test_the_banner_tells_until_when_and_how_much_is_in_flight(operator):
    hold(expires_at=timezone.now() + datetime.timedelta(minutes=90, seconds=30))
    make_execution(status="running")
    make_execution(status="launching")
    make_execution(status="success")

    text = text_of(operator, INDEX)

    assert "(in 1 hour, 30 minutes)" in text
    assert "2 executions in flight</a> go on." in text


@pytest.mark.parametrize(
    ("count", "words"), [(0, "Nothing is in flight."), (1, "1 execution in flight</a> goes on.")]
)
def test_the_banner_counts_well(operator, count, words):
    hold()
    for _ in range(count):
        make_execution(status="running")

    assert words in text_of(operator, INDEX)


@pytest.mark.parametrize(("minutes", "span"), [("", None), ("30", 30), ("1440", 1440)])
def test_a_pause_begins_with_a_reason_and_for_a_time(operator, minutes, span):
    begun = timezone.now()

    response = operator.post(BEGIN, {"reason": " maintenance ", "minutes": minutes})

    held = Pause.current(at=timezone.now())
    assert (held.reason, held.actor) == ("maintenance", "maria")
    assert held.request_id == response["X-Request-ID"]
    assert response["Location"] == page(Pause, "change", held.pk)
    expected = begun + datetime.timedelta(minutes=span) if span else None
    assert held.expires_at == expected or held.expires_at - expected < datetime.timedelta(seconds=9)


@pytest.mark.parametrize(
    ("answers", "field"),
    [({"reason": ""}, "reason"), ({"reason": "a", "minutes": "7"}, "minutes")],
)
def test_a_pause_that_says_too_little_is_asked_again(operator, answers, field):
    response = operator.post(BEGIN, answers)

    assert list(response.context["form"].errors) == [field]
    assert not Pause.objects.exists()


def test_its_page_lists_what_goes_on(operator):
    running = make_execution(status="running")
    held = hold()

    now = text_of(operator, page(Pause, "change", held.pk))
    operator.post(RESUME)
    later = text_of(operator, page(Pause, "change", held.pk))

    assert page(ActionExecution, "change", running.pk) in now
    assert page(ActionExecution, "change", running.pk) not in later
    assert "badge-ended" in later


def test_a_pause_is_changed_by_the_next_one(operator):
    hold()

    assert "This takes the place of the pause that holds now." in text_of(operator, BEGIN)
    operator.post(BEGIN, {"reason": "longer"})

    assert Pause.current(at=timezone.now()).reason == "longer"
    assert Pause.objects.filter(ended_at=None).count() == 1


def test_one_button_resumes(operator):
    held = hold()

    response = operator.post(RESUME, follow=True)

    held.refresh_from_db()
    assert (Pause.current(at=timezone.now()), held.ended_by) == (None, "maria")
    assert messages_of(response) == ["Resumed: what waited starts now."]


def test_a_resume_of_nothing_is_told(operator):
    response = operator.post(RESUME, follow=True)

    assert messages_of(response) == ["Nothing was paused any more."]


def test_a_link_resumes_nothing(operator):
    hold()

    assert operator.get(RESUME).status_code == 405
    assert Pause.current(at=timezone.now())


@pytest.mark.parametrize("address", [BEGIN, RESUME])
def test_a_post_from_elsewhere_is_refused(db, address):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("maria"))
    held = hold()

    assert browser.post(address, {"reason": "a"}).status_code == 403
    assert Pause.current(at=timezone.now()) == held


def test_readers_see_the_pause_and_cannot_end_it(reader):
    held = hold()

    text = text_of(reader, INDEX)

    assert "<strong>Paused</strong>" in text
    assert RESUME not in text
    assert BEGIN not in text
    assert reader.post(RESUME).status_code == 403
    assert reader.post(BEGIN, {"reason": "a"}).status_code == 403
    assert Pause.current(at=timezone.now()) == held


def test_operators_may_pause(reader):
    User.objects.get().groups.add(Group.objects.create(name="operate"))

    assert reader.post(BEGIN, {"reason": "a"}).status_code == 302
    assert Pause.current(at=timezone.now()).actor == "night"


def test_what_holds_costs_a_reader_few_queries(reader, django_assert_max_num_queries):
    User.objects.get().groups.add(Group.objects.create(name="operate"))
    hold()

    with django_assert_max_num_queries(11):
        reader.get(page(Alert, "changelist"))
