"""Open inquiries, as recorded from StackStorm, are found by polls and by the stream."""

import datetime

import pytest
import responses
from django.utils import timezone

from remediation.engine.outcomes import poll, stored_inquiries, stream
from remediation.models import ActionExecution, BucketRun
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.remediation.engine.recorded import RecordedStackStorm

pytestmark = pytest.mark.django_db

WORKFLOW = "6b0ab193f1d0b61be1aa7fd0"
PAUSED = ("inquiry-workflow-paused", "inquiry-workflow-paused-children")
ASK = "6b0ab195f61463f7f50ce075"
QUESTION = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "description": "Reboot the host?", "required": True},
        "reason": {"type": "string", "description": "Why"},
    },
}


@pytest.fixture
def stackstorm():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield RecordedStackStorm(mock)


def running_workflow(st2_id=WORKFLOW, **columns):
    bucket = make_bucket(
        use_stackstorm=True, st2_workflow_name="ask_wf", st2_workflow_pack="clienttest"
    )
    now = timezone.now()
    defaults = {"status": "running", "started_at": now, "running_at": now}
    run = make_run(bucket, status="running", started_at=now)
    return make_execution(run, st2_execution_id=st2_id, **defaults | columns)


def running_step(st2_id, action_ref, **columns):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_action_ref=action_ref))
    run = make_run(bucket, status="running", started_at=timezone.now())
    now = timezone.now()
    defaults = {"status": "running", "started_at": now, "running_at": now}
    return make_execution(run, st2_execution_id=st2_id, **defaults | columns)


def poll_now(stackstorm, row):
    stackstorm.requests.clear()
    ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
    poll.poll_due(client=stackstorm.client)
    row.refresh_from_db()
    return list(stackstorm.requests)


def past(**time):
    return timezone.now() - datetime.timedelta(**time)


def ids_of(row):
    return [one["id"] for one in row.inquiries]


def test_the_inquiry_of_a_paused_workflow_is_stored(stackstorm):
    stackstorm.show(*PAUSED)
    row = running_workflow()

    poll_now(stackstorm, row)

    assert row.status == "running"
    assert row.asking_since is not None
    [found] = row.inquiries
    assert found == {
        "id": ASK,
        "task": "ask",
        "workflow_id": WORKFLOW,
        "route": "ops",
        "ttl_minutes": 60,
        "users": ["st2admin", "alice"],
        "roles": [],
        "asked_at": "2026-11-28T10:48:53.423099+00:00",
        "schema": QUESTION,
    }


def test_one_filtered_request_finds_it_and_is_not_repeated_at_every_poll(stackstorm):
    stackstorm.show(*PAUSED)
    row = running_workflow()

    first = poll_now(stackstorm, row)
    again = poll_now(stackstorm, row)

    assert any("status=pending&runner=inquirer" in path for _, path in first)
    assert not any(path.endswith("/children") for _, path in first)
    assert len(again) == 1


@pytest.mark.parametrize("status", ["pausing", "resuming"])
def test_it_is_found_while_the_workflow_pauses_or_resumes(stackstorm, status):
    stackstorm.show(*PAUSED)
    stackstorm.shown[WORKFLOW]["status"] = status
    row = running_workflow()

    poll_now(stackstorm, row)

    assert ids_of(row) == [ASK]
    assert row.asking_since is not None


def test_a_workflow_that_hangs_in_resuming_still_waits_for_its_answer(stackstorm):
    stackstorm.show(*PAUSED)
    row = running_workflow()
    poll_now(stackstorm, row)
    since = row.asking_since
    stackstorm.shown[WORKFLOW]["status"] = "resuming"

    poll_now(stackstorm, row)

    assert (ids_of(row), row.asking_since) == ([ASK], since)


def test_the_time_until_the_answer_does_not_count_as_running_time(stackstorm):
    stackstorm.show(*PAUSED)
    row = running_workflow(running_at=past(minutes=10))
    poll_now(stackstorm, row)
    ActionExecution.objects.update(asking_since=past(minutes=5))
    stackstorm.show("inquiry-workflow-right-after-answer", "inquiry-in-workflow-answered")

    poll_now(stackstorm, row)

    assert (row.status, row.inquiries, row.asking_since) == ("running", [], None)
    assert row.running_at > past(minutes=6)


def test_a_workflow_that_runs_beside_its_inquiry_is_checked_at_growing_intervals(stackstorm):
    st2_id = "6b0ab469f1d0b61be1aa808d"
    stackstorm.show(
        "inquiry-workflow-running-beside-ask", "inquiry-workflow-running-beside-ask-children"
    )
    stackstorm.shown["6b0ab46cf61463f7f50ce8bb"]["runner"] = {"name": "inquirer"}
    row = running_workflow(st2_id)

    assert len(poll_now(stackstorm, row)) == 1, "it has just started to run"
    ActionExecution.objects.update(running_at=past(seconds=20), started_at=past(seconds=20))
    assert len(poll_now(stackstorm, row)) == 3
    assert len(poll_now(stackstorm, row)) == 1

    assert ids_of(row) == ["6b0ab46cf61463f7f50ce8bb"]
    assert row.asking_since is not None


def test_the_inquiry_timeout_applies_while_another_branch_runs(stackstorm, settings):
    settings.ST2_INQUIRY_TIMEOUT = 3600
    st2_id = "6b0ab469f1d0b61be1aa808d"
    stackstorm.show(
        "inquiry-workflow-running-beside-ask", "inquiry-workflow-running-beside-ask-children"
    )
    stackstorm.answer_delete("inquiry-workflow-running-delete")
    row = running_workflow(
        st2_id,
        running_at=past(hours=3),
        asking_since=past(minutes=50),
        inquiries=[stored_inquiries.stored_inquiry("6b0ab46cf61463f7f50ce8bb")],
        inquiries_checked_at=timezone.now(),
        st2_action_execution_status="running",
    )

    assert not any(method == "DELETE" for method, _ in poll_now(stackstorm, row))
    ActionExecution.objects.update(asking_since=past(minutes=61))
    assert any(method == "DELETE" for method, _ in poll_now(stackstorm, row))


def test_the_inquiry_of_a_sub_workflow_is_found_among_the_children(stackstorm):
    st2_id = "6b0ab35df1d0b61be1aa805e"
    stackstorm.show("inquiry-nested-paused", "inquiry-nested-children")
    row = running_workflow(st2_id)

    poll_now(stackstorm, row)

    [found] = row.inquiries
    assert (found["id"], found["task"]) == ("6b0ab363f61463f7f50ce685", "ask")
    assert found["workflow_id"] == "6b0ab35ef61463f7f50ce664"


def test_the_inquiry_of_a_sub_workflow_is_found_while_the_outer_one_runs(stackstorm):
    st2_id = "6b0ab35df1d0b61be1aa805e"
    stackstorm.show("inquiry-nested-paused", "inquiry-nested-children")
    stackstorm.shown[st2_id]["status"] = "running"
    row = running_workflow(st2_id, running_at=past(seconds=20), started_at=past(seconds=20))

    poll_now(stackstorm, row)

    assert ids_of(row) == ["6b0ab363f61463f7f50ce685"]


def test_an_inquiry_that_is_the_step_itself_is_read_once(stackstorm):
    stackstorm.show("inquiry-plain-pending")
    row = running_step("6b0ab172f1d0b61be1aa7fca", "core.ask")

    first = poll_now(stackstorm, row)
    again = poll_now(stackstorm, row)

    assert (len(first), len(again)) == (2, 1)
    [found] = row.inquiries
    assert (found["id"], found["route"]) == ("6b0ab172f1d0b61be1aa7fca", "ops")
    assert found["schema"]["properties"]["approve"]["description"] == "Reboot web1?"


def test_the_children_of_a_paused_action_chain_are_read(stackstorm):
    st2_id = "6b0ab453f1d0b61be1aa808a"
    stackstorm.show("inquiry-in-action-chain")
    row = running_step(st2_id, "examples.chain-test-inquiry")

    requests = poll_now(stackstorm, row)

    assert ("GET", f"/v1/executions/{st2_id}/children") in requests
    assert row.asking_since is not None


def test_a_workflow_paused_by_a_user_has_no_inquiry(stackstorm):
    stackstorm.show(*PAUSED)
    del stackstorm.shown[ASK]
    row = running_workflow()

    poll_now(stackstorm, row)

    assert row.inquiries == []
    assert row.asking_since is not None


def test_a_step_with_a_plain_runner_is_not_checked_for_inquiries(stackstorm):
    stackstorm.show("inquiry-workflow-running-beside-ask")
    row = running_step("6b0ab469f1d0b61be1aa808d", "core.local", running_at=past(seconds=99))
    row.action.st2_runner = "local-shell-cmd"
    row.action.save()

    assert len(poll_now(stackstorm, row)) == 1


def test_secrets_in_a_schema_are_masked_and_its_questions_are_not(settings):
    settings.CONFIG_SECRETS = {"x": "hunter2-of-config"}
    schema = {
        "properties": {
            "password": {"type": "string", "description": "Your password", "default": "abc"},
            "note": {"type": "string", "description": "not hunter2-of-config"},
            "pin": {"type": "string", "secret": True, "default": "1234"},
        }
    }

    shown = stored_inquiries.masked_schema(schema)["properties"]

    assert shown["password"] == {
        "type": "string",
        "description": "Your password",
        "default": "********",
    }
    assert shown["note"]["description"] == "not ********"
    assert shown["pin"]["default"] == "********"


def test_a_schema_that_is_too_large_is_dropped():
    assert stored_inquiries.masked_schema({"title": "x" * 30_000}) == {}


def test_the_event_of_an_inquiry_makes_the_poll_of_its_workflow_due(stackstorm, settings):
    """The inquiry's own event names its workflow, which may still be running."""
    stackstorm.show(*PAUSED)
    client = stackstorm.client
    row = running_workflow(due_at=timezone.now() + datetime.timedelta(hours=1))
    stackstorm.shown[WORKFLOW]["status"] = "running"

    stream.apply_events([client.execution(ASK)])
    stackstorm.requests.clear()
    poll.poll_due(client=client)

    row.refresh_from_db()
    assert ids_of(row) == [ASK]
    assert BucketRun.objects.get().status == "running"
