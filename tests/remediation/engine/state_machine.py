"""What alerts, StackStorm, workers and people can do, in any order."""

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
from tests.remediation.engine.invariants import OPEN, Laws
from tests.remediation.engine.slow_client import SlowClient

BEGIN = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
WELL = {
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
WORDS = [
    *STATUSES,
    *["failed", "timeout", "succeeded"] * 3,
]  # those that let a run go on are likelier
PLACES = st.integers(0, 3)  # counted from the newest
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
    """The clock of PoundCake, which people set; StackStorm and Alertmanager have theirs."""

    ahead = datetime.timedelta(0)

    def now(self) -> datetime.datetime:
        return super().now() + self.ahead


class Machine(AlertEvents):
    """Two hosts, three buckets, any number of workers, and people who interfere."""

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
        self.sandbox.configure(**WELL, outcomes={}, duration_seconds=0)
        self.laws = Laws(self.sandbox)
        self.requests: list[prepared_launch.PreparedLaunch] = []
        self.answers: list[tuple[prepared_launch.PreparedLaunch, Future[Execution]]] = []

    @initialize(
        columns=st.fixed_dictionaries(
            {
                "on_resolved": st.sampled_from(["continue", "stop", "cancel"]),
                "cooldown_seconds": st.sampled_from([0, 0, 300]),
                "timeout_seconds": st.sampled_from([0, 0, 100]),
            }
        ),
        on_failure=st.sampled_from(["stop", "continue"]),
        word=st.sampled_from(["succeeded", "failed", "running"]),
        faults=st.sampled_from([{}, *FAULTS]),
    )
    def begin(
        self, columns: dict[str, Any], on_failure: str, word: str, faults: dict[str, Any]
    ) -> None:
        make_buckets(columns, on_failure=on_failure)
        self.alert_fires("web-01:9100", "newer")
        self.executions_end_as(word, 3)
        self.sandbox.configure(**faults)

    # Workers

    @rule(data=st.data())
    def worker_works(self, data: st.DataObject) -> None:
        """Do one job, in the middle of which another worker may do another one."""
        jobs = st.sampled_from(list(self._jobs()))
        name, meanwhile = data.draw(jobs), data.draw(st.none() | jobs)
        self.client.meanwhile = self._jobs()[meanwhile] if meanwhile else None
        self._jobs()[name]()
        self.client.meanwhile = None

    @rule(seconds=SECONDS, rounds=st.integers(1, 4))
    def workers_work(self, seconds: int, rounds: int) -> None:
        """Let some time pass, and the workers then do whatever there is to do; again and again."""
        for _ in range(rounds):
            self.clock.shift(seconds)
            self._work()
            self.laws.check()

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
        """Begin a launch that does not go to its end at once."""
        for execution in launch.stackstorm_due()[:1]:
            request = prepared_launch.prepare_and_claim_one(execution)
            if request is None or fate == "dies":
                continue
            if fate == "sends later":
                self.requests.append(request)
                continue
            answer = self._send(request)
            if fate == "records later":
                self.answers.append((request, answer))

    @precondition(lambda self: self.requests)
    @rule()
    def worker_sends(self) -> None:
        """A worker that was stopped after its claim goes on, before or after its lease."""
        request = self.requests.pop(0)
        self.answers.append((request, self._send(request)))

    def _send(self, request: prepared_launch.PreparedLaunch) -> Future[Execution]:
        answer: Future[Execution] = Future()
        try:
            answer.set_result(request.send(self.client))
        except (StackStormError, TooLateToSend) as error:
            answer.set_exception(error)
        return answer

    @precondition(lambda self: self.answers)
    @rule()
    def worker_records(self) -> None:
        launch_responses.record(*self.answers.pop(0), client=self.client)

    @rule()
    def clock_is_set_back(self) -> None:
        """All that was stamped before is from the future then."""
        self.shared.ahead -= SET_BACK

    # StackStorm

    @rule(faults=st.sampled_from(FAULTS))
    def stackstorm_misbehaves(self, faults: dict[str, Any]) -> None:
        self.sandbox.configure(**WELL | faults)

    @precondition(lambda self: self._is_unwell())
    @rule()
    def stackstorm_gets_well(self) -> None:
        self.sandbox.configure(**WELL)

    def _is_unwell(self) -> bool:
        return any(getattr(self.sandbox.options, name) for name in WELL)

    @rule(word=st.sampled_from(WORDS), seconds=st.sampled_from([0, 3, 90]))
    def executions_end_as(self, word: str, seconds: int) -> None:
        refs = ("core.local", "core.noop", "remediation.host_down")
        self.sandbox.configure(outcomes=dict.fromkeys(refs, word), duration_seconds=seconds)

    @rule(place=PLACES)
    def somebody_cancels_in_stackstorm(self, place: int) -> None:
        if remotes := [remote for remote in self.sandbox.executions if "parent" not in remote]:
            with contextlib.suppress(StackStormError):
                self.client.cancel(remotes[-1 - place % len(remotes)]["id"])

    @rule(place=PLACES, key=st.sampled_from(["st2_execution_id", "trace_tag", "both", "none"]))
    def callback_comes(self, place: int, key: str) -> None:
        """It may come before the POST's answer, late, again, or be about nothing of ours."""
        row = _newest(ActionExecution, place, parent=None, executed_via_stackstorm=True)
        names = {"st2_execution_id": "f" * 24, "trace_tag": "poundcake-forged"}
        if row and key != "none":
            names = {"st2_execution_id": row.st2_execution_id or "", "trace_tag": row.trace_tag}
            names |= {name: "" for name in names if key not in (name, "both")}
        before = self._states()

        word = poll_hints.hint(**names)

        is_named = row is not None and key != "none" and any(names.values())
        is_final = row is not None and row.status in ActionExecution.FINAL
        assert word == (("unchanged" if is_final else "accepted") if is_named else "ignored")
        assert self._states() == before

    # People

    @rule(place=PLACES, stop=st.sampled_from([BucketRun.Stop.STOP, BucketRun.Stop.CANCEL]))
    def person_stops_a_run(self, place: int, stop: BucketRun.Stop) -> None:
        run = _newest(BucketRun, place)
        if run is None:
            return
        was_open = run.status in OPEN
        try:
            cancel.cancel(run, stop=stop, reason="by hand", cause=self._cause("anna"))
        except IllegalTransitionError:
            assert not was_open
        else:
            assert was_open

    @precondition(lambda self: any(run.status == "failure" for run in self.laws.runs))
    @rule(place=PLACES)
    def person_repeats_what_failed(self, place: int) -> None:
        run = _newest(BucketRun, place, status="failure")
        with self._refused_if_unsettled(run.alert, run.bucket):
            retry.retry_from_failed(run, cause=self._cause("anna"))

    @precondition(lambda self: any(run.completed_at for run in self.laws.runs))
    @rule(place=PLACES)
    def person_repeats_a_run(self, place: int) -> None:
        run = _newest(BucketRun, place, completed_at__isnull=False)
        with self._refused_if_unsettled(run.alert, run.bucket):
            retry.retry_from_start(run, cause=self._cause("anna"))

    @rule(alert_place=PLACES, bucket_place=PLACES)
    def person_runs_a_bucket(self, alert_place: int, bucket_place: int) -> None:
        alert, bucket = _newest(Alert, alert_place), _newest(Bucket, bucket_place)
        if alert and bucket:
            with self._refused_if_unsettled(alert, bucket):
                retry.run_manually(bucket, alert, cause=self._cause("anna"))

    @rule(place=PLACES)
    def person_matches_again(self, place: int) -> None:
        if alert := _newest(Alert, place):
            with contextlib.suppress(NotPossible):
                retry.match_again(alert, cause=self._cause("anna"))

    @contextlib.contextmanager
    def _refused_if_unsettled(self, alert: Alert, bucket: Bucket) -> Iterator[None]:
        runs = BucketRun.objects.filter(alert=alert, bucket=bucket)
        is_unsettled = runs.filter(status__in=[*OPEN, "unknown"]).exists()
        try:
            yield
        except NotPossible:
            return
        assert not is_unsettled

    @precondition(lambda self: any(row.status == "unknown" for row in self.laws.executions))
    @rule(place=PLACES, status=st.sampled_from(sorted(ActionExecution.FINAL)))
    def person_judges(self, place: int, status: ActionExecution.Status) -> None:
        if row := _newest(ActionExecution, place, status="unknown", parent=None):
            word = ActionExecution.Status(status)
            set_outcome.set_outcome(row, word, reason="I looked", cause=self._cause("judge"))

    @rule(seconds=SECONDS)
    def person_pauses(self, seconds: int) -> None:
        """Hold all back for a time, or until somebody lets it go on."""
        expires_at = timezone.now() + datetime.timedelta(seconds=seconds) if seconds else None
        pause.pause(reason="maintenance", expires_at=expires_at, cause=self._cause("anna"))

    @rule()
    def person_resumes(self) -> None:
        pause.resume(cause=self._cause("anna"))

    @rule(place=PLACES, model=st.sampled_from([Bucket, Action]))
    def person_switches(self, place: int, model: type[Bucket] | type[Action]) -> None:
        """Switch a bucket or an action off; or on, when one is off."""
        row = _newest(model, place)
        if not model.objects.filter(is_enabled=False).update(is_enabled=True):
            model.objects.filter(pk=row.pk).update(is_enabled=False)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.clock.shift(seconds)

    @invariant()
    def laws_hold(self) -> None:
        self.clock.shift(0.001)  # whatever happens takes some time
        self.laws.check()

    def teardown(self) -> None:
        try:
            self._drain()
            self.laws.check_the_end()
        finally:
            self.traveling.stop()
            shared_clock._shared = shared_clock.MachineClock
            transaction.savepoint_rollback(self.savepoint)

    def _drain(self) -> None:
        """Let everything end once nobody interferes any more."""
        self.sandbox.configure(**WELL)
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
        self.laws.check()

    def _states(self) -> list[tuple[int, str]]:
        return list(ActionExecution.objects.order_by("pk").values_list("pk", "status"))

    def _cause(self, actor: str) -> Cause:
        return Cause(actor=actor, request_id=f"request-{next(self.calls)}")


def _newest(model: Any, place: int, **columns: Any) -> Any:
    """Return a row counted from the newest, or None if there is none at all."""
    rows = list(model.objects.filter(**columns).order_by("-pk"))
    return rows[place % len(rows)] if rows else None
