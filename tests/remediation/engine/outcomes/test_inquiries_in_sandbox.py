"""Inquiries from launch to end, against the sandbox over HTTP."""

import pytest
import requests

from remediation import clock
from remediation.engine import cancel
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll
from remediation.models import ActionExecution, BucketRun, Cause
from remediation.stackstorm import StackStormClient
from st2_sandbox import Sandbox, SandboxOptions
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.st2_sandbox.client import Clock
from tests.st2_sandbox.inquiry_actions import ACTIONS

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

KEY = "sandbox-key"


@pytest.fixture
def sandbox_clock():
    return Clock()


@pytest.fixture
def sandbox(sandbox_clock):
    options = SandboxOptions(duration_seconds=1, actions=ACTIONS)
    with Sandbox(api_key=KEY, options=options, clock=sandbox_clock) as running:
        yield running


@pytest.fixture
def st2(sandbox):
    client = StackStormClient(api_url=sandbox.url, api_key=KEY, timeout=2)
    yield client
    client.close()


@pytest.fixture
def launch_asking(st2, sandbox_clock):
    """Launch a workflow and poll it until its inquiry is open; return its execution."""

    def start(workflow, **params):
        bucket = make_bucket(
            use_stackstorm=True,
            st2_workflow_pack="clienttest",
            st2_workflow_name=workflow,
            st2_workflow_params=params,
        )
        execution = make_execution(make_run(bucket))
        launch.launch_due(client=st2)
        sandbox_clock.advance(30)
        return poll_now(execution, st2)

    return start


def poll_now(execution, st2):
    ActionExecution.objects.filter(due_at__isnull=False).update(due_at=clock.now())
    poll.poll_due(client=st2)
    execution.refresh_from_db()
    return execution


def answer(sandbox, inquiry_id, response):
    reply = requests.put(
        f"{sandbox.url}/inquiries/{inquiry_id}",
        json={"response": response},
        headers={"St2-Api-Key": KEY},
        timeout=5,
    )
    assert reply.status_code == 200, reply.text


def test_a_run_succeeds_after_the_answer(sandbox, st2, sandbox_clock, launch_asking):
    row = launch_asking("ask_wf", host="web1")
    [inquiry] = row.inquiries
    assert (row.status, inquiry["task"]) == ("running", "ask")
    assert row.asking_since is not None

    answer(sandbox, inquiry["id"], {"approve": True})
    sandbox_clock.advance(30)
    poll_now(row, st2)

    assert (row.status, row.inquiries) == ("success", [])
    assert BucketRun.objects.get().status == "success"
    assert [task.name for task in row.tasks.order_by("step_order")] == ["look", "ask", "act"]


def test_a_run_times_out_when_the_inquiry_expires(st2, sandbox_clock, launch_asking):
    row = launch_asking("ask_ttl_wf", ttl=1)
    [inquiry] = row.inquiries

    sandbox_clock.advance(200)
    poll_now(row, st2)

    assert row.st2_action_execution_status == "succeeded"
    assert row.status == "timeout"
    assert row.error_message == (
        f"the inquiry {inquiry['id']} (task ask) expired unanswered after 1 minute"
    )
    assert BucketRun.objects.get().status == "timeout"


def test_the_inquiry_of_a_canceled_run_stays_open(sandbox, st2, sandbox_clock, launch_asking):
    row = launch_asking("ask_nested_wf")
    [inquiry] = row.inquiries
    run = BucketRun.objects.get()

    cancel.cancel(run, stop=BucketRun.Stop.CANCEL, reason="wrong host", cause=Cause(actor="ann"))
    poll_now(row, st2)

    run.refresh_from_db()
    assert run.status == "canceled"
    assert run.reason.startswith(f"wrong host; the inquiry {inquiry['id']} stays open")
    answer(sandbox, inquiry["id"], {"approve": True})
    sandbox_clock.advance(30)
    poll_now(row, st2)
    assert row.status == "skipped"


def test_an_action_chain_step_succeeds_after_the_answer(sandbox, st2, sandbox_clock):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_action_ref="examples.chain-test-inquiry"))
    row = make_execution(make_run(bucket))
    launch.launch_due(client=st2)
    sandbox_clock.advance(30)
    poll_now(row, st2)
    [inquiry] = row.inquiries
    assert inquiry["task"] == "task1"

    answer(sandbox, inquiry["id"], {"continue": True})
    sandbox_clock.advance(30)
    poll_now(row, st2)

    assert (row.status, row.inquiries, row.tasks.count()) == ("success", [], 0)
