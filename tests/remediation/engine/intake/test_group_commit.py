"""Notifications that wait at the same time are stored together, each for its own sender."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError

from remediation import alertmanager
from remediation.engine.intake import group_commit, receive
from remediation.engine.intake.deliveries import Delivery, Stored, store
from remediation.engine.intake.episodes import Disposition
from remediation.engine.intake.group_commit import GroupCommit
from remediation.engine.intake.receipts import Receipt
from remediation.engine.intake.receive import UnconfirmedToken, receive_all, receive_confirmed
from remediation.models import Alert, ApiToken, Cause
from tests.factories import LABELS, alert_payload, make_step, make_token, notification_body
from tests.remediation.refused_rows import TEXT, refused

SECONDS = 10


def delivery(*names: str, request_id: str = "") -> Delivery:
    """Return a delivery with one alert for each name."""
    alerts = [alert_payload(labels=LABELS | {"alertname": name}) for name in names]
    notification = alertmanager.parse(json.dumps(notification_body(*alerts)).encode())
    return Delivery(notification, Cause(request_id=request_id or "-".join(names)), "192.0.2.1")


def names_of(deliveries: Sequence[Delivery]) -> list[str]:
    return [one.cause.request_id for one in deliveries]


class GatedStorage:
    """Keeps each group until the test lets it pass, and then stores it with ``store``."""

    def __init__(self, store: Callable[[Delivery], Stored | Exception]) -> None:
        self.store = store
        self.groups: list[list[str]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def __call__(self, deliveries: Sequence[Delivery]) -> list[Stored | Exception]:
        self.groups.append(names_of(deliveries))
        self.entered.release()
        assert self.gate.acquire(timeout=SECONDS)
        return [self.store(one) for one in deliveries]


def receipt(one: Delivery) -> Stored:
    return Stored([Receipt("", one.cause.request_id, Disposition.CREATED)])


class Senders:
    """Threads that send while the first one leads."""

    def __init__(self, storage: GatedStorage, pool: ThreadPoolExecutor) -> None:
        self.storage, self.pool = storage, pool
        self.group = GroupCommit(storage)

    def send(self, one: Delivery) -> Future[Stored]:
        """Send in a thread, and return once it leads or waits."""
        waiting = len(self.group._waiting)
        is_leader = self.group._leader is None
        future = self.pool.submit(self.group.receive, one)
        if is_leader:
            self.wait_for_group()
        else:
            while len(self.group._waiting) == waiting:
                assert not future.done()
        return future

    def wait_for_group(self) -> None:
        assert self.storage.entered.acquire(timeout=SECONDS)

    def let_pass(self) -> None:
        self.storage.gate.release()


@contextmanager
def senders(store: Callable[[Delivery], Any] = receipt) -> Iterator[Senders]:
    with ThreadPoolExecutor(16) as pool:
        yield Senders(GatedStorage(store), pool)


def test_a_notification_that_arrives_alone_is_stored_at_once():
    group = GroupCommit(lambda deliveries: [receipt(one) for one in deliveries])

    assert group.receive(delivery("A")).receipts[0].alert_name == "A"
    assert group.receive(delivery("B")).receipts[0].alert_name == "B"


def test_those_that_arrive_during_a_commit_share_the_next_one():
    with senders() as threads:
        sent = {name: threads.send(delivery(name)) for name in "ABCD"}
        threads.let_pass()
        threads.wait_for_group()
        threads.let_pass()

        for name, future in sent.items():
            assert future.result(SECONDS).receipts[0].alert_name == name
    assert threads.storage.groups == [["A"], ["B", "C", "D"]]


def test_notifications_of_one_alert_are_stored_in_their_order_in_several_groups():
    with senders() as threads:
        sent = [
            threads.send(delivery(*names, request_id=request_id))
            for request_id, names in [
                ("1", ["A"]),
                ("2", ["B", "C"]),
                ("3", ["C", "D"]),  # after 2
                ("4", ["D"]),  # after 3, although D is in no earlier group
                ("5", ["E"]),
            ]
        ]
        for _ in range(3):
            threads.let_pass()
            threads.wait_for_group()
        threads.let_pass()
        for future in sent:
            future.result(SECONDS)

    assert threads.storage.groups == [["1"], ["2", "5"], ["3"], ["4"]]


def test_labels_identify_an_alert_whatever_fingerprint_is_sent():
    labels = LABELS | {"alertname": "A"}
    bodies = [
        notification_body(alert_payload(labels=labels, fingerprint=sent))
        for sent in ("0123456789abcdef", "fedcba9876543210")
    ]
    waiting = [
        group_commit.Waiting(
            Delivery(alertmanager.parse(json.dumps(body).encode()), Cause(), "192.0.2.1")
        )
        for body in bodies
    ]

    group, left = group_commit.split(waiting)

    assert (group, list(left)) == (waiting[:1], waiting[1:])


@pytest.mark.parametrize(
    ("limit", "sizes"), [("ALERTS_MAX", [1, 3, 2]), ("BYTES_MAX", [1, 2, 2, 1])]
)
def test_a_group_is_limited(limit, sizes, monkeypatch):
    monkeypatch.setattr(group_commit, "ALERTS_MAX", 3 if limit == "ALERTS_MAX" else 100)
    waiting = [group_commit.Waiting(delivery(name)) for name in "ABCDE"]
    if limit == "BYTES_MAX":
        monkeypatch.setattr(group_commit, limit, 2 * waiting[0].delivery.notification.size)
    # It exceeds both limits alone.
    waiting.insert(0, group_commit.Waiting(delivery(*"VWXYZ")))
    left, found = deque(waiting), []

    while left:
        group, left = group_commit.split(left)
        found.append(len(group))

    assert found == sizes


def test_an_error_is_raised_for_its_sender_only():
    def fail_for_c(one: Delivery) -> Stored | Exception:
        return ValueError("C") if one.cause.request_id == "C" else receipt(one)

    with senders(fail_for_c) as threads:
        sent = {name: threads.send(delivery(name)) for name in "ABCD"}
        threads.let_pass()
        threads.wait_for_group()
        threads.let_pass()

        with pytest.raises(ValueError, match="C"):
            sent["C"].result(SECONDS)
        for name in "ABD":
            assert sent[name].result(SECONDS).receipts[0].alert_name == name


def test_the_next_group_is_led_after_a_leader_that_fails():
    def exit_for_a(one: Delivery) -> Stored:
        if one.cause.request_id == "A":
            raise SystemExit
        return receipt(one)

    with senders(exit_for_a) as threads:
        sent = {name: threads.send(delivery(name)) for name in "ABC"}
        threads.let_pass()
        threads.wait_for_group()
        threads.let_pass()

        with pytest.raises(SystemExit):
            sent["A"].result(SECONDS)
        assert sent["C"].result(SECONDS).receipts[0].alert_name == "C"


def test_a_leader_that_is_held_up_does_not_delay_the_others(monkeypatch):
    monkeypatch.setattr(group_commit, "LEADER_SECONDS", 0.3)
    held_up = threading.Event()

    def hold_up_a(one: Delivery) -> Stored:
        if one.cause.request_id == "A":
            assert held_up.wait(SECONDS)
        return receipt(one)

    with senders(hold_up_a) as threads:
        sent = {name: threads.send(delivery(name)) for name in "ABC"}
        threads.let_pass()
        threads.wait_for_group()
        threads.let_pass()
        for name in "BC":
            assert sent[name].result(SECONDS).receipts[0].alert_name == name
        # No thread leads beside the one that is held up, so the next one leads at once.
        sent["D"] = threads.send(delivery("D"))
        threads.let_pass()
        assert sent["D"].result(SECONDS).receipts[0].alert_name == "D"
        assert not sent["A"].done()

        held_up.set()
        assert sent["A"].result(SECONDS).receipts[0].alert_name == "A"
        sent["E"] = threads.send(delivery("E"))
        threads.let_pass()
        assert sent["E"].result(SECONDS).receipts[0].alert_name == "E"
    assert threads.storage.groups == [["A"], ["B", "C"], ["D"], ["E"]]


def test_an_error_of_a_time_limit_is_raised_for_its_sender():
    def time_out(one: Delivery) -> Stored | Exception:
        return TimeoutError("slow") if one.cause.request_id == "B" else receipt(one)

    with senders(time_out) as threads:
        sent = {name: threads.send(delivery(name)) for name in "AXB"}
        threads.let_pass()
        threads.wait_for_group()
        threads.let_pass()

        with pytest.raises(TimeoutError, match="slow"):
            sent["B"].result(SECONDS)


# Creating a trigger ends the transaction of a test on MariaDB.
@pytest.mark.django_db(transaction=True)
def test_a_refused_notification_does_not_affect_the_others_of_its_group():
    make_step()
    deliveries = [delivery(name) for name in ("A", "B", "Bad", "C", "D")]

    with refused(Alert, "NEW.alert_name = 'Bad'", event="INSERT"):
        results = receive_all(deliveries)

    assert [isinstance(one, Stored) for one in results] == [True, True, False, True, True]
    assert TEXT in str(results[2])
    assert [one.receipts[0].alert_name for one in results if isinstance(one, Stored)] == [*"ABCD"]
    assert sorted(Alert.objects.values_list("alert_name", "request_id")) == [
        (name, name) for name in "ABCD"
    ]


@pytest.mark.django_db
def test_an_outage_of_the_database_is_raised_for_all(monkeypatch):
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OperationalError(1290, "running with --read-only")

    monkeypatch.setattr("remediation.engine.intake.deliveries.save_runs", fail)
    results = receive_all([delivery("A"), delivery("B")])

    assert [type(one) for one in results] == [OperationalError] * 2
    assert results[0] is not results[1]
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_a_revoked_token_of_one_sender_does_not_affect_the_others():
    def found(scope: str) -> ApiToken:
        _, text = make_token([scope])
        token = ApiToken.find(text, at=Cause().at)
        assert token
        return token

    valid, revoked = found("webhook"), found("webhook")
    revoked.revoke(cause=Cause())
    tokens = [valid, revoked, None, valid]
    deliveries = [
        replace(delivery(name), token=token) for name, token in zip("ABCD", tokens, strict=True)
    ]

    results = receive_confirmed(deliveries)

    assert [type(one) for one in results] == [Stored, UnconfirmedToken, Stored, Stored]
    assert [one.receipts[0].alert_name for one in results if isinstance(one, Stored)] == [*"ACD"]
    assert set(Alert.objects.values_list("alert_name", flat=True)) == set("ACD")


@pytest.mark.django_db
def test_without_a_valid_token_nothing_is_stored():
    token, text = make_token(["webhook"])
    found = ApiToken.find(text, at=Cause().at)
    token.revoke(cause=Cause())

    [result] = receive_confirmed([replace(delivery("A"), token=found)])

    assert isinstance(result, UnconfirmedToken)
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_a_locked_row_delays_only_its_own_notification(monkeypatch):
    monkeypatch.setattr("remediation.engine.transaction_retries.TRIES", 1)

    def locked(deliveries: Sequence[Delivery], **options: Any) -> list[Stored]:
        if "B" in names_of(deliveries):
            raise OperationalError(1205, "Lock wait timeout exceeded")
        return store(deliveries, **options)

    monkeypatch.setattr(receive, "store", locked)
    results = receive_all([delivery(name) for name in "ABCD"])

    assert [type(one) for one in results] == [Stored, OperationalError, Stored, Stored]
    assert set(Alert.objects.values_list("alert_name", flat=True)) == set("ACD")
