"""Group commit: notifications that arrive while others are being stored share one transaction.

Of the waiting threads of a process one leads: it stores its own notification with all others that
wait. Those that arrive meanwhile are the next group, and the first of them leads it. A notification
that arrives alone is stored at once. If a leader is held up, for example by a locked row, the first
waiting thread leads the next group beside it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from remediation.alertmanager import IncomingAlert, fingerprint
from remediation.engine.intake.deliveries import Delivery, Stored
from remediation.engine.intake.receive import receive_confirmed

# Of one transaction, unless one notification alone has more. Locks are held for its time.
ALERTS_MAX = 500
BYTES_MAX = 4 * 2**20
LEADER_SECONDS = 2.0  # that the first waiting thread gives a leader

StoreAll = Callable[[Sequence[Delivery]], list[Stored | Exception]]


class Waiting:
    """A delivery whose thread waits.

    ``keys``: the fingerprints that episodes of its alerts may have. ``turn``: the result, or
    None to make the waiting thread the leader.
    """

    def __init__(self, delivery: Delivery) -> None:
        sent = delivery.notification.alerts
        self.delivery = delivery
        self.keys = {
            key
            for alert in sent
            if isinstance(alert, IncomingAlert)
            for key in (alert.fingerprint, fingerprint(alert.labels))
        }
        self.turn: Future[Stored | None] = Future()


def split(waiting: Iterable[Waiting]) -> tuple[list[Waiting], deque[Waiting]]:
    """Return the first one with those that fit into its transaction, and the rest, in order.

    Two notifications of the same alert need two transactions: the second one depends on the
    result of the first one.
    """
    group: list[Waiting] = []
    left: deque[Waiting] = deque()
    keys: set[str] = set()
    alerts = size = 0
    for one in waiting:
        sent = one.delivery.notification
        fits = alerts + len(sent.alerts) <= ALERTS_MAX and size + sent.size <= BYTES_MAX
        if not group or (fits and keys.isdisjoint(one.keys)):
            group.append(one)
            alerts, size = alerts + len(sent.alerts), size + sent.size
        else:
            left.append(one)
        # Also those of the rest: a later notification must not overtake it.
        keys |= one.keys
    return group, left


class GroupCommit:
    """The notifications that one process is storing."""

    def __init__(self, store_all: StoreAll = receive_confirmed) -> None:
        """Set up. ``store_all``: returns the result or the error of each delivery."""
        self._store_all = store_all
        self._lock = threading.Lock()
        self._waiting: deque[Waiting] = deque()
        self._leader: Waiting | None = None

    def receive(self, delivery: Delivery) -> Stored:
        """Store a delivery and return after the commit. Raises the error of ``store_all``."""
        member = Waiting(delivery)
        with self._lock:
            self._waiting.append(member)
            if self._leader is None:
                self._leader = member
        while self._leader is not member:
            try:
                if stored := member.turn.result(LEADER_SECONDS):
                    return stored
            except TimeoutError as error:
                if member.turn.done() and member.turn.exception() is error:
                    raise
                self._replace_leader(member)
        return self._lead(member)

    def _replace_leader(self, member: Waiting) -> None:
        """Make a thread that has waited for too long the leader if it is the first one."""
        with self._lock:
            if self._waiting and self._waiting[0] is member:
                self._leader = member

    def _lead(self, leader: Waiting) -> Stored:
        """Store the delivery of the leader, the first that waits, with others."""
        group: list[Waiting] = []
        try:
            with self._lock:
                group, self._waiting = split(self._waiting)
            results = self._store_all([member.delivery for member in group])
        except BaseException as error:
            for member in group[1:]:
                member.turn.set_exception(error)
            raise
        finally:
            self._pass_on(leader)
        for member, result in zip(group[1:], results[1:], strict=True):
            if isinstance(result, Exception):
                member.turn.set_exception(result)
            else:
                member.turn.set_result(result)
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def _pass_on(self, leader: Waiting) -> None:
        """Make the first waiting thread the next leader, unless another one has taken over."""
        with self._lock:
            if self._leader is not leader:
                return
            following = self._leader = self._waiting[0] if self._waiting else None
        if following:
            following.turn.set_result(None)
