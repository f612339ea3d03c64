"""Eight threads run the same operation at once, in many rounds.

``python -m tests.functional.races`` uses the empty tables in ``DATABASE_URL`` and prints the
results of all rounds as JSON. It is a process of its own, since threads cannot share the tests'
in-memory database.
"""

import datetime
import json
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import django

django.setup()

from django.db import connection
from django.utils import timezone

from remediation import alertmanager
from remediation.engine.guards import cooldown
from remediation.engine.intake import receive
from remediation.engine.intake.deliveries import Delivery
from remediation.engine.intake.group_commit import GroupCommit
from remediation.engine.launching import launch, prepared_launch, recover
from remediation.engine.outcomes import settle
from remediation.engine.outcomes.outcome import Outcome
from remediation.models import (
    ActionExecution,
    Alert,
    ApiToken,
    BucketRun,
    Cause,
    JobSchedule,
    Transition,
)
from remediation.stackstorm import StackStormClient
from st2_sandbox import Sandbox
from tests import factories

THREADS, ROUNDS = 8, 25
POOL = ThreadPoolExecutor(THREADS)


def at_once(act: Callable[[int], Any]) -> list[Any]:
    """Run ``act`` in all threads at once; return the results or raise an exception of a thread."""
    barrier = Barrier(THREADS)

    def begin(number: int) -> Any:
        barrier.wait()
        return act(number)

    return list(POOL.map(begin, range(THREADS)))


def transitions_of(rows: Any) -> dict[str, int]:
    """Count the transitions of some rows by their new status."""
    subject_type = rows.model.SUBJECT_TYPE
    found = Transition.objects.filter(subject_type=subject_type, subject_id__in=rows.values("pk"))
    return dict(Counter(found.values_list("to_status", flat=True)))


def deliver(number: int) -> dict[str, Any]:
    """Deliver a notification of two alerts, one of them twice, in every thread."""
    name = f"Deliver{number}"
    bucket = factories.make_bucket(alert_name_pattern=name)
    factories.make_step(bucket)
    alerts = [
        factories.alert_payload(labels={"alertname": name, "instance": instance})
        for instance in ("a", "b", "a")
    ]
    body = json.dumps(factories.notification_body(*alerts)).encode()

    def act(thread: int) -> list[str]:
        cause = Cause(actor="alertmanager", request_id=f"{name}-{thread}")
        receipts = receive.receive(alertmanager.parse(body), cause=cause, client="10.0.0.9")
        return [str(receipt.disposition) for receipt in receipts]

    dispositions = Counter(one for result in at_once(act) for one in result)
    rows = Alert.objects.filter(alert_name=name)
    runs = BucketRun.objects.filter(bucket=bucket)
    executions = ActionExecution.objects.filter(bucket=bucket)
    return {
        "dispositions": dict(dispositions),
        "occurrences": sorted(rows.values_list("instance", "occurrences")),
        "open": rows.exclude(active_fingerprint=None).count(),
        "alerts": transitions_of(rows),
        "runs": transitions_of(runs),
        "executions": transitions_of(executions),
    }


def fire_and_resolve(number: int) -> dict[str, Any]:
    """Deliver an alert, then a late copy in four threads and its resolve in four others."""
    name = f"FireAndResolve{number}"
    bodies = [
        factories.notification_body(
            factories.alert_payload(
                labels={"alertname": name}, status=status, startsAt=startsAt, endsAt=endsAt
            )
        )
        for status, startsAt, endsAt in (
            ("firing", "2026-11-23T05:46:06Z", "0001-01-01T00:00:00Z"),
            ("resolved", "2026-11-23T05:46:06Z", "2026-11-23T05:50:00Z"),
        )
    ]

    def act(thread: int) -> None:
        body = json.dumps(bodies[thread % 2]).encode()
        cause = Cause(request_id=f"{name}-{thread}")
        receive.receive(alertmanager.parse(body), cause=cause, client="10.0.0.9")

    act(0)
    at_once(act)
    [alert] = Alert.objects.filter(alert_name=name)
    return {
        "has_no_gap": _has_no_gap(alert),
        "is_open_while_firing": alert.is_open == (alert.status == "firing"),
    }


def overtake(number: int) -> dict[str, Any]:
    """Deliver the first firing and the resolve of four alerts, each in its own thread."""
    name = f"Overtake{number}"

    def act(thread: int) -> None:
        status, labels = (
            ("firing", "resolved")[thread % 2],
            {"alertname": name, "i": str(thread // 2)},
        )
        alert = factories.alert_payload(
            labels=labels, status=status, startsAt="2026-11-23T05:46:06Z", fingerprint=None
        )
        body = json.dumps(factories.notification_body(alert)).encode()
        cause = Cause(request_id=f"{name}-{thread}")
        receive.receive(alertmanager.parse(body), cause=cause, client="10.0.0.9")

    at_once(act)
    rows = Alert.objects.filter(alert_name=name)
    return {"rows": rows.count(), "open": rows.exclude(active_fingerprint=None).count()}


def share_commits(number: int) -> dict[str, Any]:
    """Deliver through a group commit: an alert of its own in each thread, and shared ones.

    Of one shared alert two threads send copies; of the other one sends the firing, one the resolve.
    """
    name = f"ShareCommits{number}"
    bucket = factories.make_bucket(alert_name_pattern=name)
    factories.make_step(bucket)
    _, text = factories.make_token(["webhook"], name=name)
    group = GroupCommit()
    times = {"startsAt": "2026-11-23T05:46:06Z", "fingerprint": None}
    copied = ("copied", "firing")
    shared = [copied, copied, ("resolved", "firing"), ("resolved", "resolved")]

    def act(thread: int) -> list[tuple[str, str, bool]]:
        sent = [(f"own-{thread}", "firing"), *shared[thread : thread + 1]]
        labels = [{"alertname": name, "instance": instance} for instance, _ in sent]
        alerts = [
            factories.alert_payload(labels=one, status=status, **times)
            for one, (_, status) in zip(labels, sent, strict=True)
        ]
        body = json.dumps(factories.notification_body(*alerts)).encode()
        cause = Cause(actor=name, request_id=f"{name}-{thread}")
        token = ApiToken.find(text, at=cause.at)
        delivery = Delivery(alertmanager.parse(body), cause, "10.0.0.9", token)
        receipts = group.receive(delivery).receipts
        return [
            (instance.partition("-")[0], str(receipt.disposition), receipt.fingerprint == own)
            for receipt, own, (instance, _) in zip(
                receipts, map(alertmanager.fingerprint, labels), sent, strict=True
            )
        ]

    results = [one for result in at_once(act) for one in result]
    rows = Alert.objects.filter(alert_name=name)
    runs = BucketRun.objects.filter(bucket=bucket).exclude(alert__instance="resolved")
    return {
        "got_their_own": all(is_own for *_, is_own in results),
        "own": dict(Counter(done for kind, done, _ in results if kind == "own")),
        "copied": dict(Counter(done for kind, done, _ in results if kind == "copied")),
        "open": rows.exclude(instance="resolved").exclude(active_fingerprint=None).count(),
        "rows": rows.count(),
        "runs": transitions_of(runs),
        "have_no_gap": all(_has_no_gap(row) for row in rows),
        "are_open_while_firing": all(row.is_open == (row.status == "firing") for row in rows),
    }


def _has_no_gap(alert: Alert) -> bool:
    """Return whether each transition continues the one before, and the last one is the status."""
    found = Transition.objects.filter(subject_type="alert", subject_id=alert.pk).order_by("pk")
    before, after = zip(*found.values_list("from_status", "to_status"), strict=True)
    return before == ("", *after[:-1]) and after[-1] == alert.status


def start(number: int) -> dict[str, Any]:
    """Launch the same five due executions in every thread."""
    ActionExecution.objects.update(due_at=None)  # rows of other races
    bucket = factories.make_bucket()
    action = factories.make_action(st2_runner="local-shell-cmd")
    factories.make_step(bucket, action, parameters={"cmd": "true"})
    for place in range(5):
        alert = factories.make_alert(labels={"alertname": f"Start{number}-{place}"})
        factories.make_execution(factories.make_run(bucket, alert))

    with Sandbox(api_key="k") as sandbox:
        client = StackStormClient(api_url=sandbox.url, api_key="k", timeout=10, pool_size=80)
        claimed = at_once(lambda _: launch.launch_due(client=client))
        client.close()

    executions = ActionExecution.objects.filter(bucket=bucket)
    tags = executions.values_list("trace_tag", flat=True)
    return {
        "claimed": sum(claimed),
        "posts": sorted(sandbox.posts_by_trace_tag()[str(tag)] for tag in tags),
        "executions": transitions_of(executions),
        "runs": transitions_of(BucketRun.objects.filter(bucket=bucket)),
    }


def cool_down(number: int) -> dict[str, Any]:
    """Launch alerts that a bucket's cooldown treats as equal, one in every thread."""
    ActionExecution.objects.update(due_at=None)  # rows of other races
    bucket = factories.make_bucket(cooldown_seconds=3600, group_by="alertname")
    factories.make_step(bucket, factories.make_local_action(), parameters={"message": "x"})
    alerts = [
        factories.make_alert(labels={"alertname": f"Cool{number}", "replica": str(replica)})
        for replica in range(THREADS)
    ]
    key = cooldown.identity(alerts[0], bucket)
    rows = [
        factories.make_execution(factories.make_run(bucket, alert, identity=key))
        for alert in alerts
    ]

    at_once(lambda thread: prepared_launch.prepare_and_claim_one(_loaded(rows[thread])))

    runs = BucketRun.objects.filter(bucket=bucket)
    return {"runs": dict(Counter(runs.values_list("status", flat=True)))}


def _loaded(row: ActionExecution) -> ActionExecution:
    return ActionExecution.objects.select_related("run__alert", "run__bucket").get(pk=row.pk)


def end(number: int) -> dict[str, Any]:
    """Settle the same running execution in every thread, each with its own outcome."""
    bucket = factories.make_bucket()
    for _ in range(2):
        factories.make_step(bucket, run_when="always")
    alert = factories.make_alert(labels={"alertname": f"End{number}"})
    run = factories.make_run(bucket, alert, status="running")
    row = factories.make_execution(run, status="running", started_at=timezone.now())
    outcomes = [Outcome.success({}), Outcome.failure("no"), Outcome.unknown("no answer")]

    def act(thread: int) -> bool:
        mine = ActionExecution.objects.get(pk=row.pk)
        return settle.settle(mine, outcomes[thread % 2], cause=Cause())

    won = at_once(act)
    row.refresh_from_db()
    return {
        "won": sum(won),
        "transitions": sum(transitions_of(ActionExecution.objects.filter(pk=row.pk)).values()),
        "is_final": row.status in row.FINAL,
        "next": list(run.executions.exclude(pk=row.pk).values_list("step_order", "status")),
    }


def recover_launch(number: int) -> dict[str, Any]:
    """Recover the launch of the same dead worker in every thread."""
    alert = factories.make_alert(labels={"alertname": f"Recover{number}"})
    run = factories.make_run(alert=alert, status="running")
    row = factories.make_execution(run, status="launching", started_at=timezone.now())

    at_once(lambda _: recover.recover())

    row.refresh_from_db()
    return {"status": row.status, "unanswered_launches": row.unanswered_launches}


def beat(number: int) -> dict[str, Any]:
    """Claim the same heartbeat in every thread."""
    at, interval = timezone.now(), datetime.timedelta(hours=1)
    name = f"beat {number // 2}"
    if number % 2:
        JobSchedule.objects.filter(name=name).update(due_at=at)

    taken = at_once(lambda _: JobSchedule.start_if_due(name, at=at, interval=interval))

    return {"taken": sum(taken)}


def main() -> None:
    """Run all races and print the results of their rounds by race."""
    results = {}
    races = (
        *(deliver, fire_and_resolve, overtake, share_commits),
        *(start, cool_down, end, recover_launch, beat),
    )
    for race in races:
        results[race.__name__] = [race(number) for number in range(ROUNDS)]
    at_once(lambda _: connection.close())
    connection.close()
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
