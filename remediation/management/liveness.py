"""Detect clusters that hang while their processes are alive.

The watch sends a heartbeat job through the cluster's own queue: the cluster starts jobs if it takes
the wake-up, and finishes jobs if it deletes it. Any other job that it starts counts too, since a
busy cluster is alive.
"""

import time
from collections.abc import Callable

from remediation import queue
from remediation.models import Heartbeat

START_SECONDS = 30.0  # grace period after a start
CHECKS_PER_TIMEOUT = 6  # heartbeat jobs sent within ``dead_seconds``
FINISHED_FACTOR = 3  # the current job and two waiting ones may each take the maximum time


class ClusterLiveness:
    """Tracks when one cluster last started and finished a job, on the supervisor's clock."""

    def __init__(
        self, own: str, *, dead_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Watch the cluster named ``own``, which is about to start."""
        self.own = own
        self.dead_seconds = dead_seconds
        self.clock = clock
        self.start()

    def start(self) -> None:
        """Begin the grace period of a cluster that has been started or restarted."""
        queue.discard_heartbeat_requests(self.own)
        self.beat_at = Heartbeat.last(self.own)
        self.next_request_at = self.clock()
        self.started_job_at = self.finished_job_at = self.clock() + START_SECONDS

    def check(self) -> str:
        """Return why the cluster must be replaced, or ''. Request the next heartbeat when due."""
        now = self.clock()
        beat_at = Heartbeat.last(self.own)
        # Only compare for a change: the stored time may jump, and a machine may have slept.
        if beat_at != self.beat_at:
            self.beat_at, self.started_job_at = beat_at, now
        if not queue.is_heartbeat_pending(self.own):
            self.finished_job_at = max(self.finished_job_at, now)
            if now >= self.next_request_at:
                self.next_request_at = now + self.dead_seconds / CHECKS_PER_TIMEOUT
                queue.request_heartbeat(self.own)
        if now - self.started_job_at > self.dead_seconds:
            return f"has started no job for {self.dead_seconds:g} s (WORKER_DEAD_SECONDS)"
        if now - self.finished_job_at > self.dead_seconds * FINISHED_FACTOR:
            return f"has finished no job for {self.dead_seconds * FINISHED_FACTOR:g} s"
        return ""

    def reset(self) -> None:
        """Restart both timers: without the database no cluster can report a heartbeat."""
        self.started_job_at = self.finished_job_at = self.clock()

    def stop(self) -> None:
        """Delete the heartbeat and the queued request of a stopped cluster."""
        queue.discard_heartbeat_requests(self.own)
        Heartbeat.objects.filter(name=self.own).delete()
