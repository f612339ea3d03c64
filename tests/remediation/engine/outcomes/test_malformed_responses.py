"""A response about another execution or in another form affects one row, no other."""

import datetime
import logging
from dataclasses import replace

import pytest
from django.utils import timezone

from remediation.engine import log_once
from remediation.engine.launching import launch, lookup
from remediation.engine.outcomes import poll, remote_outcomes, stream
from remediation.models import Action, ActionExecution, BucketRun
from remediation.stackstorm import StackStormClient
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

Status = ActionExecution.Status
FOREIGN_ID = "f" * 24


class AlteringClient(StackStormClient):
    """Returns ``alter(method, path, body)`` in place of each response body."""

    alter = staticmethod(lambda _method, _path, body: body)

    def _request(self, method, path, **request):
        answer = super()._request(method, path, **request)
        return replace(answer, body=self.alter(method, path, answer.body))


@pytest.fixture
def altering(sandbox):
    client = AlteringClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)
    log_once._logged.clear()
    yield client
    client.close()


@pytest.fixture
def make_rows(sandbox):
    """Make due executions of one-step runs."""
    action: list[Action] = []

    def make(count=3, **columns):
        action[:] = action or [make_action(st2_runner="local-shell-cmd")]
        bucket = make_bucket()
        make_step(bucket, action[0], parameters={"cmd": "true"})
        return [make_execution(make_run(bucket), **columns) for _ in range(count)]

    return make


def poll_all(client):
    ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
    poll.poll_due(client=client)
    lookup.look_up_due(client=client)


def statuses(rows):
    for row in rows:
        row.refresh_from_db()
    return [str(row.status) for row in rows]


def ids_by_tag(sandbox):
    """Return StackStorm's ids by trace tag."""
    return {one["context"]["trace_context"]["trace_tag"]: one["id"] for one in sandbox.executions}


@pytest.mark.parametrize("is_together", [True, False], ids=["of the batch", "of an earlier batch"])
def test_a_201_with_the_id_of_another_row_affects_no_other_response(
    is_together, sandbox, st2, altering, make_rows, settings
):
    rows = make_rows(1)
    if not is_together:
        launch.launch_due(client=st2)
    rows += make_rows(3)
    first = []

    def name_the_first(method, path, body):
        if method == "POST":
            first.append(body["id"] if is_together else sandbox.executions[0]["id"])
            is_second = body["context"]["trace_context"]["trace_tag"] == rows[1].trace_tag
            return body | {"id": first[0]} if is_second else body
        return body

    altering.alter = name_the_first
    settings.ST2_MAX_CONCURRENT_REQUESTS = 2
    launch.launch_due(client=altering)

    assert sorted(statuses(rows)) == ["launching", "running", "running", "running"]
    [waiting] = [row for row in rows if row.status == Status.LAUNCHING]
    assert "which belongs to #" in waiting.error_message
    poll_all(altering)
    poll_all(altering)
    assert statuses(rows) == ["success"] * 4
    assert {row.trace_tag: row.st2_execution_id for row in rows} == ids_by_tag(sandbox)
    assert set(sandbox.posts_by_trace_tag().values()) == {1}


@pytest.mark.parametrize("altered_body", [{}, [], None, "x", {"id": 7}, {"id": "a" * 101}])
def test_a_201_without_an_execution_affects_no_other_response(
    altered_body, sandbox, altering, make_rows
):
    rows = make_rows()

    def lose_one(method, path, body):
        if method == "POST":
            is_lost = body["context"]["trace_context"]["trace_tag"] == rows[1].trace_tag
            return altered_body if is_lost else body
        return body

    altering.alter = lose_one
    launch.launch_due(client=altering)

    assert statuses(rows) == ["running", "launching", "running"]
    poll_all(altering)
    poll_all(altering)
    assert statuses(rows) == ["success"] * 3


ALTERED_LISTS = {
    "a foreign id": lambda rows: [rows[0] | {"id": FOREIGN_ID}, *rows],
    "members of other types": lambda rows: [None, "x", 7, {}, *rows],
    "a member without an id": lambda rows: [{"status": "failed"}, *rows],
    "one of ours without an id": lambda rows: [rows[0] | {"id": None}, *rows[1:]],
    "one of ours without a status": lambda rows: [rows[0] | {"status": None}, *rows[1:]],
    "one of ours twice": lambda rows: [rows[0], rows[0] | {"status": "failed"}, *rows[1:]],
    "none of ours": lambda rows: [row | {"id": FOREIGN_ID} for row in rows],
    "nothing": lambda _rows: [],
}


@pytest.mark.parametrize("kind", ALTERED_LISTS)
@pytest.mark.parametrize("is_result", [True, False], ids=["results", "statuses"])
def test_a_malformed_list_neither_breaks_the_batch_nor_settles_wrongly(
    kind, is_result, sandbox, altering, make_rows
):
    rows = make_rows()
    launch.launch_due(client=altering)

    def alter(method, path, body):
        if path != "/executions" or not body or is_result != ("result" in body[0]):
            return body
        return ALTERED_LISTS[kind](body)

    altering.alter = alter
    poll_all(altering)

    assert statuses(rows) == ["success"] * 3
    assert all(row.st2_result["succeeded"] for row in rows)
    assert {row.trace_tag: row.st2_execution_id for row in rows} == ids_by_tag(sandbox)


@pytest.mark.usefixtures("frozen_clock")
def test_a_response_about_another_execution_delays_that_row_and_is_logged_once(
    sandbox, altering, make_rows, caplog
):
    rows = make_rows()
    launch.launch_due(client=altering)
    statuses(rows)
    asked, other = rows[0].st2_execution_id, rows[1].st2_execution_id

    def swap(method, path, body):
        if path == "/executions":
            return [row for row in body if row["id"] != asked]
        return body | {"id": other} if path == f"/executions/{asked}" else body

    altering.alter = swap
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            poll_all(altering)

    assert statuses(rows) == ["running", "success", "success"]
    assert rows[0].st2_execution_id == asked
    assert rows[0].due_at > timezone.now()
    logged = [record for record in caplog.records if other in record.getMessage()]
    assert len(logged) == 1
    long_ago = timezone.now() - datetime.timedelta(days=2)
    ActionExecution.objects.update(running_at=long_ago, started_at=long_ago)
    poll_all(altering)
    assert statuses(rows)[0] == "unknown"


def test_malformed_tasks_do_not_stop_their_workflow_from_ending(sandbox, altering):
    bucket = make_bucket(
        use_stackstorm=True, st2_workflow_name="host_down", st2_workflow_pack="remediation"
    )
    row = make_execution(make_run(bucket))
    launch.launch_due(client=altering)
    altering.alter = lambda _method, path, body: (
        [{}, None, *body, body[0], body[0] | {"id": row.st2_execution_id}]
        if path.endswith("/children")
        else body
    )
    row.refresh_from_db()

    poll_all(altering)

    row.refresh_from_db()
    assert row.status == "success"
    assert row.tasks.count() == 2


def test_a_malformed_cancel_response_affects_no_other_row(sandbox, altering, make_rows):
    sandbox.configure(outcomes={"core.local": ["running", "succeeded"]})
    rows = make_rows(2)
    launch.launch_due(client=altering)
    BucketRun.objects.filter(pk=rows[0].run_id).update(stop="cancel")
    altering.alter = lambda method, _path, body: (
        body | {"id": FOREIGN_ID} if method == "DELETE" else body
    )

    poll_all(altering)

    assert sorted(statuses(rows)) == ["running", "success"]


@pytest.mark.parametrize("is_over", [True, False])
def test_a_look_up_that_finds_the_id_of_another_row_affects_no_other(
    is_over, sandbox, st2, altering, make_rows, settings
):
    settings.LAUNCH_LOOKUP_SECONDS = 0.0 if is_over else 300.0
    [owner] = make_rows(1)
    launch.launch_due(client=st2)
    owner.refresh_from_db()
    rows = make_rows(2)
    sandbox.configure(drop_answer_rate=1.0)
    launch.launch_due(client=st2)
    sandbox.configure(drop_answer_rate=0.0)
    mine = ids_by_tag(sandbox)[rows[0].trace_tag]

    def alter(method, path, body):
        if path == "/executions":
            return [
                row | {"id": owner.st2_execution_id} if row["id"] == mine else row for row in body
            ]
        return body

    altering.alter = alter
    ActionExecution.objects.filter(status="launching").update(due_at=timezone.now())
    lookup.look_up_due(client=altering)

    assert statuses(rows) == ["unknown" if is_over else "launching", "running"]
    if is_over:
        assert f"belongs to #{owner.pk}" in rows[0].error_message


def test_a_duplicate_with_the_id_of_another_row_is_not_followed(sandbox, st2, altering, make_rows):
    sandbox.configure(outcomes={"core.local": "running"})
    owner, row = make_rows(2)
    launch.launch_due(client=st2)
    statuses([owner, row])
    ActionExecution.objects.filter(pk=row.pk).update(unanswered_launches=1)
    before = row.st2_execution_id

    def alter(method, path, body):
        if path == "/executions" and body and "action" in body[0]:
            older = {"id": owner.st2_execution_id, "start_timestamp": "2020-01-01T00:00:00Z"}
            return [*body, body[0] | older]
        return body

    altering.alter = alter
    poll_all(altering)

    assert statuses([owner, row]) == ["running", "running"]
    assert (row.st2_execution_id, row.st2_ghost_ids) == (before, [])
    assert not any(method == "DELETE" for method, _ in sandbox.requests)


@pytest.mark.parametrize(
    "context",
    [
        {"trace_context": {"trace_tag": "poundcake-of-another"}},
        {"rule": {"name": "notify_poundcake"}},
        {"re-run": {"ref": FOREIGN_ID}},
    ],
    ids=["another tag", "of a rule", "a re-run"],
)
def test_an_event_that_contradicts_its_row_only_makes_the_poll_due(
    context, st2, altering, make_rows
):
    [row] = make_rows(1)
    launch.launch_due(client=st2)
    row.refresh_from_db()
    ActionExecution.objects.update(due_at=timezone.now() + datetime.timedelta(hours=1))
    event = replace(st2.execution(row.st2_execution_id), status="failed", context=context)

    stream.apply_events([event])

    assert statuses([row]) == ["running"]
    assert row.due_at <= timezone.now()
    poll.poll_due(client=st2)
    assert statuses([row]) == ["success"]


def test_an_event_that_is_applied_again_hints_no_second_poll(st2, make_rows):
    [row] = make_rows(1)
    launch.launch_due(client=st2)
    row.refresh_from_db()
    event = replace(st2.execution(row.st2_execution_id), id=FOREIGN_ID, status="failed")

    unmatched = stream.apply_events([event])
    later = timezone.now() + datetime.timedelta(hours=1)
    ActionExecution.objects.update(due_at=later)
    assert stream.apply_events([], pending=unmatched) == unmatched

    row.refresh_from_db()
    assert row.due_at == later


def test_a_poll_does_not_settle_a_row_that_now_follows_another_execution(st2, make_rows):
    [row] = make_rows(1)
    launch.launch_due(client=st2)
    row.refresh_from_db()
    event = replace(st2.execution(row.st2_execution_id), status="canceled")
    ActionExecution.objects.update(st2_execution_id=FOREIGN_ID)

    remote_outcomes.settle_without_tasks([(row, event)])

    assert statuses([row]) == ["running"]
    assert row.st2_execution_id == FOREIGN_ID


@pytest.mark.parametrize(
    "alter_overview",
    [
        lambda body: body | {"ref": "core.other"},
        lambda _body: {},
        lambda _body: None,
        lambda _b: [1],
    ],
    ids=["another action", "an empty object", "nothing", "a list"],
)
def test_malformed_action_metadata_delays_only_the_executions_of_that_action(
    alter_overview, sandbox, altering, caplog
):
    rows = []
    for ref, parameters in (("core.noop", {}), ("core.local", {"cmd": "true"})):
        bucket = make_bucket()
        make_step(bucket, make_action(st2_action_ref=ref), parameters=parameters)
        rows.append(make_execution(make_run(bucket)))
    altering.alter = lambda _method, path, body: (
        alter_overview(body) if path.endswith("core.noop") else body
    )

    for _ in range(3):
        launch.launch_due(client=altering)

    assert statuses(rows) == ["pending", "running"]
    assert rows[0].action is not None
    rows[0].action.refresh_from_db()
    assert "StackStorm returned 200 for GET /actions" in rows[0].action.st2_check_message
    logged = [one for one in caplog.records if "metadata of the action core.noop" in one.message]
    assert len(logged) == 1
