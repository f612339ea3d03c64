"""Which episode a delivery belongs to: one table line a clause of the rules."""

import datetime
import json

import pytest

from remediation.alertmanager import parse
from remediation.engine.intake import receive
from remediation.models import Alert, Cause, Transition
from tests.factories import LABELS, alert_payload, notification_body

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)


def at(minutes: float) -> datetime.datetime:
    return NOON + datetime.timedelta(minutes=minutes)


def deliver(now: float, *alerts: dict[str, object], request_id: str = "") -> list[str]:
    """Deliver a body ``now`` minutes after noon and return its dispositions."""
    body = json.dumps(notification_body(*alerts)).encode()
    cause = Cause(at=at(now), actor="alertmanager", request_id=request_id or f"call-at-{now}")
    return [str(receipt.disposition) for receipt in receive(parse(body), cause=cause, client="am")]


def firing(starts: float | None) -> dict[str, object]:
    starts_at = None if starts is None else at(starts).isoformat()
    return alert_payload(startsAt=starts_at)


def resolved(ends: float | None, starts: float = 0) -> dict[str, object]:
    ends_at = None if ends is None else at(ends).isoformat()
    return alert_payload(status="resolved", startsAt=at(starts).isoformat(), endsAt=ends_at)


def transitions_of(alert):
    return list(Transition.objects.filter(subject_type="alert", subject_id=alert.pk).order_by("pk"))


# Each delivery: (minute of receipt, alert, expected disposition); then the states of all episodes.
CASES = {
    "a repeat": (
        [(1, firing(0), "unmatched"), (5, firing(0), "repeated")],
        ["firing"],
    ),
    "startsAt moved earlier": (
        [(1, firing(0), "unmatched"), (2, firing(-3), "repeated")],
        ["firing"],
    ),
    "startsAt moved later, before the last delivery": (
        [(1, firing(0), "unmatched"), (2, firing(0.5), "repeated")],
        ["firing"],
    ),
    "a new episode while the resolve was lost": (
        [(1, firing(0), "unmatched"), (10, firing(9), "unmatched")],
        ["resolved", "firing"],
    ),
    "a resolve": (
        [(1, firing(0), "unmatched"), (5, resolved(4), "resolved")],
        ["resolved"],
    ),
    "a resolve that comes twice": (
        [
            (1, firing(0), "unmatched"),
            (5, resolved(4), "resolved"),
            (6, resolved(4), "ignored"),
        ],
        ["resolved"],
    ),
    "a resolve of what never fired": (
        [(5, resolved(4), "ignored")],
        [],
    ),
    "a late resolve of an older episode": (
        [(1, firing(0), "unmatched"), (10, firing(9), "unmatched"), (11, resolved(4), "ignored")],
        ["resolved", "firing"],
    ),
    "a resolve without endsAt": (
        [(1, firing(0), "unmatched"), (5, resolved(None), "resolved")],
        ["resolved"],
    ),
    "firing again after the resolve": (
        [
            (1, firing(0), "unmatched"),
            (5, resolved(4), "resolved"),
            (7, firing(6), "unmatched"),
        ],
        ["resolved", "firing"],
    ),
    "a late copy from the other peer after the resolve": (
        [
            (1, firing(0), "unmatched"),
            (5, resolved(4), "resolved"),
            (6, firing(0), "reopened"),
        ],
        ["firing"],
    ),
    "a late copy that is resolved again": (
        [
            (1, firing(0), "unmatched"),
            (5, resolved(4), "resolved"),
            (6, firing(0), "reopened"),
            (7, resolved(4), "resolved"),
        ],
        ["resolved"],
    ),
    "without startsAt, seen lately": (
        [(1, firing(None), "unmatched"), (5, firing(None), "repeated")],
        ["firing"],
    ),
    "without startsAt, not seen for longer than RESOLVE_TIMEOUT": (
        [(1, firing(None), "unmatched"), (7, firing(None), "unmatched")],
        ["resolved", "firing"],
    ),
    "without startsAt, after the resolve": (
        [
            (1, firing(None), "unmatched"),
            (2, resolved(2), "resolved"),
            (3, firing(None), "unmatched"),
        ],
        ["resolved", "firing"],
    ),
}


@pytest.mark.parametrize(("deliveries", "states"), CASES.values(), ids=CASES.keys())
def test_a_delivery_finds_its_episode(deliveries, states):
    for now, alert, expected in deliveries:
        assert deliver(now, alert) == [expected]

    episodes = Alert.objects.order_by("pk")
    assert [alert.status for alert in episodes] == states
    opened = [alert for alert in episodes if alert.active_fingerprint is not None]
    assert len(opened) == states.count("firing") <= 1


def test_a_superseded_episode_says_by_which():
    deliver(1, firing(0))
    deliver(10, firing(9))

    old, new = Alert.objects.order_by("pk")
    transitions = transitions_of(old)
    assert [row.to_status for row in transitions] == ["firing", "resolved"]
    assert transitions[1].reason == f"superseded by alert {new.pk}"
    assert old.first_resolved_at is None


def test_alerts_of_one_body_are_applied_in_its_order():
    dispositions = deliver(10, firing(0), resolved(4), firing(6), firing(6))

    assert dispositions == ["unmatched", "resolved", "unmatched", "repeated"]
    assert list(Alert.objects.order_by("pk").values_list("status", "occurrences")) == [
        ("resolved", 1),
        ("firing", 2),
    ]


def test_the_first_transition_tells_who_delivered_it_and_from_where():
    deliver(1, firing(0), request_id="call-1")

    [transition] = transitions_of(Alert.objects.get())
    assert transition.actor == "alertmanager"
    assert transition.request_id == transition.cause_request_id == "call-1"
    assert transition.data == {"receiver": "poundcake", "client": "am"}


def test_the_story_keeps_the_request_id_of_the_call_that_opened_it():
    deliver(1, firing(0), request_id="call-1")
    deliver(5, resolved(4), request_id="call-2")

    transition = transitions_of(Alert.objects.get())[-1]
    assert (transition.request_id, transition.cause_request_id) == ("call-1", "call-2")


def test_fingerprints_keep_episodes_apart():
    other = alert_payload(labels=LABELS | {"instance": "server-02:9100"})

    assert deliver(1, firing(0), other) == ["unmatched", "unmatched"]
    assert Alert.objects.filter(active_fingerprint__isnull=False).count() == 2
