"""Group commit: notifications that arrive while others are being stored share one transaction.

Of the waiting threads of a process one leads: it stores its own notification with all others that
wait. Those that arrive meanwhile are the next group, and the first of them leads it. Nobody waits
for a group to fill: a notification that arrives alone is stored at once.
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

StoreAll = Callable[[Sequence[Delivery]], list[Stored | Exception]]


class Waiting:
    """A delivery whose thread waits.

    ``keys``: the fingerprints that episodes of its alerts may have. ``turn``: what was stored, or
    None to make the waiting thread the leader.
    """

    def __init__(self, delivery: Delivery) -> None:
        sent = delivery.notification.alerts
        alerts = [alert for alert in sent if isinstance(alert, IncomingAlert)]
        self.delivery = delivery
        self.keys = {alert.fingerprint for alert in alerts}
        self.keys |= {fingerprint(alert.labels) for alert in alerts}
        self.turn: Future[Stored | None] = Future()


def split(waiting: Iterable[Waiting]) -> tuple[list[Waiting], deque[Waiting]]:
    """Return the first one with those that fit into its transaction, and the rest, in order.

    Two notifications of the same alert need two transactions: the second one depends on what the
    first one has stored.
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
        """Set up. ``store_all``: returns for each delivery what was stored, or an error."""
        self._store_all = store_all
        self._lock = threading.Lock()
        self._waiting: deque[Waiting] = deque()
        self._has_leader = False

    def receive(self, delivery: Delivery) -> Stored:
        """Store a delivery and return after the commit. Raises what storing it raised."""
        member = Waiting(delivery)
        with self._lock:
            self._waiting.append(member)
            leads, self._has_leader = not self._has_leader, True
        if not leads and (stored := member.turn.result()):
            return stored
        return self._lead()

    def _lead(self) -> Stored:
        """Store the first of those that wait, which is of this thread, with others."""
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
            self._pass_on()
        for member, result in zip(group[1:], results[1:], strict=True):
            if isinstance(result, Exception):
                member.turn.set_exception(result)
            else:
                member.turn.set_result(result)
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def _pass_on(self) -> None:
        """Make the first waiting thread the leader of the next group."""
        with self._lock:
            self._has_leader = bool(self._waiting)
            following = self._waiting[0] if self._waiting else None
        if following:
            following.turn.set_result(None)
