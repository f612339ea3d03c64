"""The state machine of the stateful test: any sequence of events and faults."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, ClassVar

import time_machine
from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from remediation import clock as shared_clock
from remediation.engine import cancel
from remediation.engine.launching import (
    future_due_times,
    launch,
    launch_responses,
    launch_timeout,
    lookup,
    prepared_launch,
    recover,
)
from remediation.engine.operations import pause, retry, set_outcome
from remediation.engine.operations.errors import NotPossible
from remediation.engine.outcomes import poll, poll_hints
from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    Bucket,
    BucketRun,
    Cause,
    IllegalTransitionError,
)
from remediation.stackstorm import Execution, StackStormError, TooLateToSend
from st2_sandbox import Sandbox
from st2_sandbox.timeline import STATUSES
from tests.remediation.engine.alert_events import AlertEvents
from tests.remediation.engine.buckets import make_buckets
from tests.remediation.engine.invariants import OPEN, InvariantChecks
from tests.remediation.engine.slow_client import SlowClient

BEGIN = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
NO_FAULTS = {
    "drop_request_rate": 0.0,
    "drop_answer_rate": 0.0,
    "error_rate": 0.0,
    "ghost_rate": 0.0,
    "unavailable": False,
    "unauthorized": False,
    "land_late_seconds": 0.0,
}
FAULTS = [
    {"drop_request_rate": 1.0},
    {"drop_answer_rate": 1.0},
    {"error_rate": 1.0},
    {"ghost_rate": 1.0},
    {"drop_answer_rate": 1.0, "land_late_seconds": 200.0},
    {"unavailable": True},
    {"unauthorized": True},
]
REMOTE_STATUSES = [
    *STATUSES,
    *["failed", "timeout", "succeeded"] * 3,
]  # final statuses are more likely, so that runs continue
POSITIONS = st.integers(0, 3)  # 0 is the newest row
SECONDS = st.sampled_from([0, 1, 6, 6, 70, 400, 400, 4_000])
TICK_SECONDS = 60
LIMITS = {
    "LAUNCH_LOOKUP_SECONDS": 300.0,
    "LAUNCH_TIMEOUT": 6_000.0,
    "ST2_QUEUE_TIMEOUT": 600.0,
    "ST2_INQUIRY_TIMEOUT": 900.0,
    "ST2_TIMEOUT": 2.0,
    "POLL_INTERVAL": 60.0,
}
SET_BACK = datetime.timedelta(seconds=600)
DRAIN_ROUNDS = 300


class SteppingClock(shared_clock.MachineClock):
    """The clock of PoundCake, which the test sets; StackStorm and Alertmanager have their own."""

    ahead = datetime.timedelta(0)

    def now(self) -> datetime.datetime:
        return super().now() + self.ahead


class RemediationMachine(AlertEvents):
    """Two hosts, three buckets, several workers, and users who interfere."""

    sandbox: ClassVar[Sandbox]
    client: ClassVar[SlowClient]

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        self.traveling = time_machine.travel(BEGIN, tick=False)
        self.clock = self.traveling.start()
        self.shared = SteppingClock()
        shared_clock._shared = lambda: self.shared
        self.sandbox.reset()
        self.sandbox.configure(**NO_FAULTS, outcomes={}, duration_seconds=0)
        self.invariant_checks = InvariantChecks(self.sandbox)
        self.claimed: list[prepared_launch.PreparedLaunch] = []
        self.responses: list[tuple[prepared_launch.PreparedLaunch, Future[Execution]]] = []

    @initialize(
        columns=st.fixed_dictionaries(
            {
                "on_resolved": st.sampled_from(["continue", "stop", "cancel"]),
                "cooldown_seconds": st.sampled_from([0, 0, 300]),
                "timeout_seconds": st.sampled_from([0, 0, 100]),
            }
        ),
        on_failure=st.sampled_from(["stop", "continue"]),
        remote_status=st.sampled_from(["succeeded", "failed", "running"]),
        faults=st.sampled_from([{}, *FAULTS]),
    )
    def begin(
        self, columns: dict[str, Any], on_failure: str, remote_status: str, faults: dict[str, Any]
    ) -> None:
        make_buckets(columns, on_failure=on_failure)
        self.alert_fires("web-01:9100", "newer")
        self.executions_end_as(remote_status, 3)
        self.sandbox.configure(**faults)

    # Workers

    @rule(data=st.data())
    def worker_works(self, data: st.DataObject) -> None:
        """Run one job; another worker may run another job during it."""
        jobs = st.sampled_from(list(self._jobs()))
        name, meanwhile = data.draw(jobs), data.draw(st.none() | jobs)
        self.client.meanwhile = self._jobs()[meanwhile] if meanwhile else None
        self._jobs()[name]()
        self.client.meanwhile = None

    @rule(seconds=SECONDS, rounds=st.integers(1, 4))
    def workers_work(self, seconds: int, rounds: int) -> None:
        """Repeatedly let time pass and run all jobs."""
        for _ in range(rounds):
            self.clock.shift(seconds)
            self._work()
            self.invariant_checks.check()

    def _work(self) -> None:
        for job in self._jobs().values():
            job()

        waiting = ActionExecution.objects.filter(status="pending").exclude(run__stop="")
        assert not waiting.exists(), "a stopped run waits for its next step"

    def _jobs(self) -> dict[str, Callable[[], object]]:
        return {
            "poll": lambda: poll.poll_due(client=self.client),
            "look up": lambda: lookup.look_up_due(client=self.client),
            "launch": lambda: launch.launch_due(client=self.client),
            "run local": launch.run_local,
            "recover": recover.recover,
            "correct due times": future_due_times.correct,
            "expire": launch_timeout.expire,
            "cancel overdue": cancel.cancel_overdue,
            "carry out": cancel.apply_stops,
        }

    @rule(fate=st.sampled_from(["dies", "dies after sending", "sends later", "records later"]))
    def worker_claims(self, fate: str) -> None:
        """Claim a launch that is not completed at once."""
        for execution in launch.stackstorm_due()[:1]:
            request = prepared_launch.prepare_and_claim_one(execution)
            if request is None or fate == "dies":
                continue
            if fate == "sends later":
                self.claimed.append(request)
                continue
            response = self._send(request)
            if fate == "records later":
                self.responses.append((request, response))

    @precondition(lambda self: self.claimed)
    @rule()
    def worker_sends(self) -> None:
        """A worker that stalled after its claim continues, before or after its lease expires."""
        request = self.claimed.pop(0)
        self.responses.append((request, self._send(request)))

    def _send(self, request: prepared_launch.PreparedLaunch) -> Future[Execution]:
        response: Future[Execution] = Future()
        try:
            response.set_result(request.send(self.client))
        except (StackStormError, TooLateToSend) as error:
            response.set_exception(error)
        return response

    @precondition(lambda self: self.responses)
    @rule()
    def worker_records(self) -> None:
        launch_responses.record(*self.responses.pop(0), client=self.client)

    @rule()
    def clock_is_set_back(self) -> None:
        """Set the clock back, so that existing timestamps are in the future."""
        self.shared.ahead -= SET_BACK

    # StackStorm

    @rule(faults=st.sampled_from(FAULTS))
    def stackstorm_gets_faults(self, faults: dict[str, Any]) -> None:
        self.sandbox.configure(**NO_FAULTS | faults)

    @precondition(lambda self: self._has_faults())
    @rule()
    def stackstorm_recovers(self) -> None:
        self.sandbox.configure(**NO_FAULTS)

    def _has_faults(self) -> bool:
        return any(getattr(self.sandbox.options, name) for name in NO_FAULTS)

    @rule(remote_status=st.sampled_from(REMOTE_STATUSES), seconds=st.sampled_from([0, 3, 90]))
    def executions_end_as(self, remote_status: str, seconds: int) -> None:
        refs = ("core.local", "core.noop", "remediation.host_down")
        self.sandbox.configure(
            outcomes=dict.fromkeys(refs, remote_status), duration_seconds=seconds
        )

    @rule(position=POSITIONS)
    def user_cancels_in_stackstorm(self, position: int) -> None:
        if remotes := [remote for remote in self.sandbox.executions if "parent" not in remote]:
            with contextlib.suppress(StackStormError):
                self.client.cancel(remotes[-1 - position % len(remotes)]["id"])

    @rule(
        position=POSITIONS, key=st.sampled_from(["st2_execution_id", "trace_tag", "both", "none"])
    )
    def callback_arrives(self, position: int, key: str) -> None:
        """A callback may arrive before the POST's response, late, twice or for no execution."""
        row = _newest(ActionExecution, position, parent=None, executed_via_stackstorm=True)
        names = {"st2_execution_id": "f" * 24, "trace_tag": "poundcake-forged"}
        if row and key != "none":
            names = {"st2_execution_id": row.st2_execution_id or "", "trace_tag": row.trace_tag}
            names |= {name: "" for name in names if key not in (name, "both")}
        before = self._statuses()

        result = poll_hints.hint(**names)

        is_named = row is not None and key != "none" and any(names.values())
        is_final = row is not None and row.status in ActionExecution.FINAL
        assert result == (("unchanged" if is_final else "accepted") if is_named else "ignored")
        assert self._statuses() == before

    # Users

    @rule(position=POSITIONS, stop=st.sampled_from([BucketRun.Stop.STOP, BucketRun.Stop.CANCEL]))
    def user_stops_a_run(self, position: int, stop: BucketRun.Stop) -> None:
        run = _newest(BucketRun, position)
        if run is None:
            return
        was_open = run.status in OPEN
        try:
            cancel.cancel(run, stop=stop, reason="manual", cause=self._cause("anna"))
        except IllegalTransitionError:
            assert not was_open
        else:
            assert was_open

    @precondition(lambda self: any(run.status == "failure" for run in self.invariant_checks.runs))
    @rule(position=POSITIONS)
    def user_retries_from_failed(self, position: int) -> None:
        run = _newest(BucketRun, position, status="failure")
        with self._expect_refusal_if_blocked(run.alert, run.bucket):
            retry.retry_from_failed(run, cause=self._cause("anna"))

    @precondition(lambda self: any(run.completed_at for run in self.invariant_checks.runs))
    @rule(position=POSITIONS)
    def user_retries_from_start(self, position: int) -> None:
        run = _newest(BucketRun, position, completed_at__isnull=False)
        with self._expect_refusal_if_blocked(run.alert, run.bucket):
            retry.retry_from_start(run, cause=self._cause("anna"))

    @rule(alert_position=POSITIONS, bucket_position=POSITIONS)
    def user_runs_a_bucket(self, alert_position: int, bucket_position: int) -> None:
        alert, bucket = _newest(Alert, alert_position), _newest(Bucket, bucket_position)
        if alert and bucket:
            with self._expect_refusal_if_blocked(alert, bucket):
                retry.run_manually(bucket, alert, cause=self._cause("anna"))

    @rule(position=POSITIONS)
    def user_matches_again(self, position: int) -> None:
        if alert := _newest(Alert, position):
            with contextlib.suppress(NotPossible):
                retry.match_again(alert, cause=self._cause("anna"))

    @contextlib.contextmanager
    def _expect_refusal_if_blocked(self, alert: Alert, bucket: Bucket) -> Iterator[None]:
        runs = BucketRun.objects.filter(alert=alert, bucket=bucket)
        is_blocked = runs.filter(status__in=[*OPEN, "unknown"]).exists()
        try:
            yield
        except NotPossible:
            return
        assert not is_blocked

    @precondition(
        lambda self: any(row.status == "unknown" for row in self.invariant_checks.executions)
    )
    @rule(position=POSITIONS, status=st.sampled_from(sorted(ActionExecution.FINAL)))
    def user_sets_outcome(self, position: int, status: ActionExecution.Status) -> None:
        if row := _newest(ActionExecution, position, status="unknown", parent=None):
            set_outcome.set_outcome(
                row,
                ActionExecution.Status(status),
                reason="I looked",
                cause=self._cause("operator"),
            )

    @rule(seconds=SECONDS)
    def user_pauses(self, seconds: int) -> None:
        """Pause for a time, or until a user resumes."""
        expires_at = timezone.now() + datetime.timedelta(seconds=seconds) if seconds else None
        pause.pause(reason="maintenance", expires_at=expires_at, cause=self._cause("anna"))

    @rule()
    def user_resumes(self) -> None:
        pause.resume(cause=self._cause("anna"))

    @rule(position=POSITIONS, model=st.sampled_from([Bucket, Action]))
    def user_switches(self, position: int, model: type[Bucket] | type[Action]) -> None:
        """Disable a bucket or an action, or enable it if one is disabled."""
        row = _newest(model, position)
        if not model.objects.filter(is_enabled=False).update(is_enabled=True):
            model.objects.filter(pk=row.pk).update(is_enabled=False)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.clock.shift(seconds)

    @invariant()
    def invariants_hold(self) -> None:
        self.clock.shift(0.001)  # each event takes some time
        self.invariant_checks.check()

    def teardown(self) -> None:
        try:
            self._drain()
            self.invariant_checks.check_end()
        finally:
            self.traveling.stop()
            shared_clock._shared = shared_clock.MachineClock
            transaction.savepoint_rollback(self.savepoint)

    def _drain(self) -> None:
        """Let everything end without further interference."""
        self.sandbox.configure(**NO_FAULTS)
        pause.resume(cause=self._cause("anna"))
        for _ in range(DRAIN_ROUNDS):
            self.clock.shift(TICK_SECONDS)
            self._work()
            due = ActionExecution.objects.filter(status__in=OPEN).aggregate(due=Min("due_at"))[
                "due"
            ]
            if due is None:
                break
            self.clock.move_to(max(due - self.shared.ahead, timezone.now()))
        self.invariant_checks.check()

    def _statuses(self) -> list[tuple[int, str]]:
        return list(ActionExecution.objects.order_by("pk").values_list("pk", "status"))

    def _cause(self, actor: str) -> Cause:
        return Cause(actor=actor, request_id=f"request-{next(self.numbers)}")


def _newest(model: Any, position: int, **columns: Any) -> Any:
    """Return the row at this position from the newest, or None if there are no rows."""
    rows = list(model.objects.filter(**columns).order_by("-pk"))
    return rows[position % len(rows)] if rows else None
