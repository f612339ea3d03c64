"""The rules that map posted alerts to episodes: at least one case per clause."""

import datetime
import json

import pytest

from remediation.alertmanager import fingerprint, parse
from remediation.engine.intake.alert_changes import ENDED_ON_ARRIVAL
from remediation.engine.intake.receipts import Receipt
from remediation.engine.intake.receive import receive
from remediation.models import Alert, BucketRun, Cause, EarlyResolve, Transition
from tests.factories import LABELS, alert_payload, make_bucket, make_step, notification_body

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)


def at(minutes: float) -> datetime.datetime:
    return NOON + datetime.timedelta(minutes=minutes)


def receipts(now: float, *alerts: dict[str, object], request_id: str = "") -> list[Receipt]:
    """Deliver a body ``now`` minutes after noon."""
    body = json.dumps(notification_body(*alerts)).encode()
    cause = Cause(at=at(now), actor="alertmanager", request_id=request_id or f"call-at-{now}")
    return receive(parse(body), cause=cause, client="am")


def deliver(now: float, *alerts: dict[str, object], request_id: str = "") -> list[str]:
    """Deliver a body ``now`` minutes after noon and return its dispositions."""
    found = receipts(now, *alerts, request_id=request_id)
    return [str(receipt.disposition) for receipt in found]


def firing(starts: float | None) -> dict[str, object]:
    starts_at = None if starts is None else at(starts).isoformat()
    return alert_payload(startsAt=starts_at)


def resolved(ends: float | None, starts: float | None = 0) -> dict[str, object]:
    starts_at = None if starts is None else at(starts).isoformat()
    ends_at = None if ends is None else at(ends).isoformat()
    return alert_payload(status="resolved", startsAt=starts_at, endsAt=ends_at)


def transitions_of(alert):
    return list(Transition.objects.filter(subject_type="alert", subject_id=alert.pk).order_by("pk"))


# Deliveries as (minute of receipt, alert, expected disposition); then the statuses of all episodes.
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
    "startsAt moved later, to the time of the last delivery": (
        [(1, firing(0), "unmatched"), (2, firing(1), "repeated")],
        ["firing"],
    ),
    "startsAt moved later, after the last delivery": (
        [(1, firing(0), "unmatched"), (3, firing(1.01), "unmatched")],
        ["resolved", "firing"],
    ),
    "a new episode after a lost resolve": (
        [(1, firing(0), "unmatched"), (10, firing(9), "unmatched")],
        ["resolved", "firing"],
    ),
    "a resolve": (
        [(1, firing(0), "unmatched"), (5, resolved(4), "resolved")],
        ["resolved"],
    ),
    "a resolve that is sent twice": (
        [
            (1, firing(0), "unmatched"),
            (5, resolved(4), "resolved"),
            (6, resolved(4), "ignored"),
        ],
        ["resolved"],
    ),
    "a resolve without a firing alert": (
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
    "a new firing alert after the resolve": (
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
    "a late copy that starts when the episode ended": (
        [
            (1, firing(0), "unmatched"),
            (5, resolved(4), "resolved"),
            (6, firing(4), "reopened"),
        ],
        ["firing"],
    ),
    "a late copy with a second resolve": (
        [
            (1, firing(0), "unmatched"),
            (5, resolved(4), "resolved"),
            (6, firing(0), "reopened"),
            (7, resolved(4), "resolved"),
        ],
        ["resolved"],
    ),
    "a resolve with an older start that ends when the episode starts": (
        [(1, firing(0), "unmatched"), (5, resolved(0, starts=-1), "resolved")],
        ["resolved"],
    ),
    "a resolve with an older start that ends before the episode starts": (
        [(1, firing(0), "unmatched"), (5, resolved(-0.1, starts=-1), "ignored")],
        ["firing"],
    ),
    "a resolve that ends before it starts": (
        [(1, firing(0), "unmatched"), (5, resolved(-1), "resolved")],
        ["resolved"],
    ),
    "a resolve by a slow clock": (
        [(1, firing(10), "unmatched"), (5, resolved(5, starts=10), "resolved")],
        ["resolved"],
    ),
    "a resolve of a later start": (
        [(1, firing(0), "unmatched"), (5, resolved(-1, starts=0.5), "resolved")],
        ["resolved"],
    ),
    "a resolve without startsAt by a slow clock": (
        [(1, firing(None), "unmatched"), (2, resolved(-3, starts=None), "resolved")],
        ["resolved"],
    ),
    "a resolve without startsAt at the limit of RESOLVE_TIMEOUT": (
        [(1, firing(None), "unmatched"), (2, resolved(-4, starts=None), "resolved")],
        ["resolved"],
    ),
    "an old resolve without startsAt": (
        [(1, firing(None), "unmatched"), (2, resolved(-9, starts=None), "ignored")],
        ["firing"],
    ),
    "a resolve before its firing alert": (
        [(5, resolved(4), "ignored"), (6, firing(0), "ignored"), (7, firing(0), "ignored")],
        ["resolved"],
    ),
    "a resolve before the firing alert of the next episode": (
        [
            (1, firing(0), "unmatched"),
            (2, resolved(2), "resolved"),
            (9, resolved(8, starts=7), "ignored"),
            (10, firing(7), "ignored"),
        ],
        ["resolved", "resolved"],
    ),
    "a resolve before the firing alert of the next episode while one is open": (
        [
            (1, firing(0), "unmatched"),
            (9, resolved(8, starts=7), "resolved"),
            (10, firing(7), "ignored"),
        ],
        ["resolved"],
    ),
    "a new episode after an early resolve": (
        [(5, resolved(4), "ignored"), (6, firing(5), "unmatched"), (7, firing(0), "repeated")],
        ["firing"],
    ),
    "an episode that supersedes another after an early resolve": (
        [(5, resolved(4), "ignored"), (6, firing(5), "unmatched"), (8, firing(7), "unmatched")],
        ["resolved", "firing"],
    ),
    "a late firing alert supersedes the open episode before it": (
        [
            (5, resolved(9, starts=8), "ignored"),
            (6, firing(None), "unmatched"),
            (7, firing(8), "ignored"),
            (10, firing(10), "unmatched"),
        ],
        ["resolved", "resolved", "firing"],
    ),
    "a late firing alert whose resolve ended before it started": (
        [(5, resolved(-1), "ignored"), (6, firing(0), "ignored"), (7, firing(1), "unmatched")],
        ["resolved", "firing"],
    ),
    "startsAt of 1970": (
        [
            (1, alert_payload(startsAt="1970-01-01T00:00:00Z"), "unmatched"),
            (2, resolved(2, starts=None), "resolved"),
            (30, alert_payload(startsAt="1970-01-01T00:00:00Z"), "unmatched"),
        ],
        ["resolved", "firing"],
    ),
    "without startsAt, recently seen": (
        [(1, firing(None), "unmatched"), (5, firing(None), "repeated")],
        ["firing"],
    ),
    "without startsAt, last seen RESOLVE_TIMEOUT ago": (
        [(1, firing(None), "unmatched"), (6, firing(None), "repeated")],
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


@pytest.mark.parametrize(("deliveries", "statuses"), CASES.values(), ids=CASES.keys())
def test_an_alert_is_mapped_to_its_episode(deliveries, statuses):
    for now, alert, expected in deliveries:
        assert deliver(now, alert) == [expected]

    episodes = Alert.objects.order_by("pk")
    assert [alert.status for alert in episodes] == statuses
    opened = [alert for alert in episodes if alert.active_fingerprint is not None]
    assert len(opened) == statuses.count("firing") <= 1


def test_no_episode_ends_before_it_starts():
    deliver(1, firing(10))
    deliver(5, resolved(5, starts=10))

    alert = Alert.objects.get()
    assert alert.ends_at == alert.starts_at == at(10)


def test_a_late_firing_is_recorded_as_resolved_and_starts_nothing():
    make_step()
    make_step(make_bucket(trigger_on="resolved"))
    deliver(5, resolved(4))

    [receipt] = receipts(6, firing(0))

    alert = Alert.objects.get()
    assert (receipt.disposition, receipt.runs) == ("ignored", [])
    assert receipt.reason == alert.reason == ENDED_ON_ARRIVAL
    assert (alert.starts_at, alert.ends_at, alert.first_resolved_at) == (at(0), at(4), at(6))
    assert [row.to_status for row in transitions_of(alert)] == ["firing", "resolved"]
    assert not BucketRun.objects.exists()


def test_an_early_resolve_is_stored_once_and_pruned():
    deliver(5, resolved(4), resolved(4))
    deliver(6, resolved(3, starts=-1))
    deliver(7, resolved(6, starts=5))

    early = EarlyResolve.objects.get()
    assert (early.starts_at, early.ends_at, early.received_at) == (at(5), at(6), at(7))
    EarlyResolve.prune(before=at(7))
    assert EarlyResolve.objects.exists()
    EarlyResolve.prune(before=at(8))
    assert not EarlyResolve.objects.exists()


def shared(number: int, **members: object) -> dict[str, object]:
    """Return an alert of a sender that uses one fingerprint for all alerts."""
    labels = LABELS | {"disk": f"sd{number}"}
    return alert_payload(labels=labels, fingerprint="b7279a1f35f409de", **members)


def test_two_label_sets_with_one_fingerprint_are_two_alerts():
    start = at(0).isoformat()
    both = [shared(number, startsAt=start) for number in (1, 2)]

    assert deliver(1, *both) == ["unmatched", "unmatched"]
    assert deliver(2, *reversed(both)) == ["repeated", "repeated"]
    assert deliver(3, shared(2, status="resolved", startsAt=start)) == ["resolved"]
    assert deliver(4, shared(1, startsAt=start)) == ["repeated"]

    first, second = Alert.objects.order_by("pk")
    assert (first.labels["disk"], first.status) == ("sd1", "firing")
    assert (second.labels["disk"], second.status) == ("sd2", "resolved")
    assert first.fingerprint == "b7279a1f35f409de"
    assert second.fingerprint == fingerprint(second.labels)


def test_a_label_set_does_not_reopen_the_episode_of_another_one():
    start = at(0).isoformat()
    deliver(1, shared(1, startsAt=start))
    deliver(2, shared(1, status="resolved", startsAt=start, endsAt=at(2).isoformat()))

    assert deliver(3, shared(2, startsAt=start)) == ["unmatched"]
    assert deliver(4, shared(2, startsAt=start)) == ["repeated"]


def test_an_early_resolve_applies_to_its_own_label_set():
    start, end = at(0).isoformat(), at(4).isoformat()
    deliver(5, shared(1, status="resolved", startsAt=start, endsAt=end))

    assert deliver(6, shared(2, startsAt=start), shared(1, startsAt=start)) == [
        "unmatched",
        "ignored",
    ]


def test_a_superseded_episode_names_its_successor():
    deliver(1, firing(0))
    deliver(10, firing(9))

    old, new = Alert.objects.order_by("pk")
    transitions = transitions_of(old)
    assert [row.to_status for row in transitions] == ["firing", "resolved"]
    assert transitions[1].reason == f"superseded by alert {new.pk}"
    assert old.first_resolved_at is None


def test_the_alerts_of_a_body_are_applied_in_order():
    dispositions = deliver(10, firing(0), resolved(4), firing(6), firing(6))

    assert dispositions == ["unmatched", "resolved", "unmatched", "repeated"]
    assert list(Alert.objects.order_by("pk").values_list("status", "occurrences")) == [
        ("resolved", 1),
        ("firing", 2),
    ]


def test_the_first_transition_records_the_sender():
    deliver(1, firing(0), request_id="call-1")

    [transition] = transitions_of(Alert.objects.get())
    assert transition.actor == "alertmanager"
    assert transition.request_id == transition.cause_request_id == "call-1"
    assert transition.data == {"receiver": "poundcake", "client": "am"}


def test_an_episode_keeps_the_request_id_of_its_first_notification():
    deliver(1, firing(0), request_id="call-1")
    deliver(5, resolved(4), request_id="call-2")

    transition = transitions_of(Alert.objects.get())[-1]
    assert (transition.request_id, transition.cause_request_id) == ("call-1", "call-2")


def test_episodes_are_separate_per_fingerprint():
    other = alert_payload(labels=LABELS | {"instance": "server-02:9100"})

    assert deliver(1, firing(0), other) == ["unmatched", "unmatched"]
    assert Alert.objects.filter(active_fingerprint__isnull=False).count() == 2
