"""Feel whether a cluster still works, and not only whether its processes are there.

A cluster can hang for good while all its processes live. So it is asked for a sign of life through
its own queue: to take the wake-up shows that jobs are begun, to be rid of it that they are
finished. Any other job that it begins counts as well, since a busy cluster is no dead one.
"""

import time
from collections.abc import Callable

from remediation import queue
from remediation.models import Heartbeat

START_SECONDS = 30.0  # in which a cluster that was started need not show life
ASKS = 6  # in the time after which a cluster counts as dead
FINISHED_FACTOR = 3  # a job in hand and two that wait may each take as long as one may


class Pulse:
    """The signs of life of one cluster, by its supervisor's clock."""

    def __init__(
        self, own: str, *, dead_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Watch the cluster that is called ``own``, which is about to start."""
        self.own = own
        self.dead_seconds = dead_seconds
        self.clock = clock
        self.begin()

    def begin(self) -> None:
        """Expect nothing yet of a cluster that is started, or started anew."""
        queue.forget(self.own)
        self.beat_at = Heartbeat.last(self.own)
        self.ask_at = self.clock()
        self.began_job_at = self.finished_job_at = self.clock() + START_SECONDS

    def feel(self) -> str:
        """Return why the cluster has to be replaced, or ''; ask it for the next sign of life."""
        now = self.clock()
        beat_at = Heartbeat.last(self.own)
        # Not the time in it counts: that may jump, and a machine that slept is not dead.
        if beat_at != self.beat_at:
            self.beat_at, self.began_job_at = beat_at, now
        if not queue.is_asked(self.own):
            self.finished_job_at = max(self.finished_job_at, now)
            if now >= self.ask_at:
                self.ask_at = now + self.dead_seconds / ASKS
                queue.ask_for_a_beat(self.own)
        if now - self.began_job_at > self.dead_seconds:
            return f"begins no job for {self.dead_seconds:g} s (WORKER_DEAD_SECONDS)"
        if now - self.finished_job_at > self.dead_seconds * FINISHED_FACTOR:
            return f"finishes no job for {self.dead_seconds * FINISHED_FACTOR:g} s"
        return ""

    def excuse(self) -> None:
        """Begin to count anew: without the database no cluster can show that it lives."""
        self.began_job_at = self.finished_job_at = self.clock()

    def end(self) -> None:
        """Leave nothing behind of a cluster that was stopped."""
        queue.forget(self.own)
        Heartbeat.objects.filter(name=self.own).delete()
