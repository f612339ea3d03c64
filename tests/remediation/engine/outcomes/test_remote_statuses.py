"""Every word of StackStorm, its own and those nobody knows, in every state of ours."""

import datetime
from dataclasses import replace

import pytest
from django.utils import timezone

from remediation.engine.launching import lookup, recover
from remediation.engine.outcomes import poll, poll_hints
from remediation.models import ActionExecution, BucketRun, Transition
from remediation.stackstorm import KNOWN_STATUSES, StackStormClient
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.remediation.engine.invariants import MEANING

pytestmark = pytest.mark.django_db

STRANGE_WORDS = ("", "on-hold", "Succeeded", "success", "x" * 60)
WORDS = (*sorted(KNOWN_STATUSES), *STRANGE_WORDS)
RUN_OF = {"pending": "pending", "launching": "running", "running": "running", "unknown": "unknown"}
RUN_AFTER = {
    "success": "success",
    "failure": "failure",
    "timeout": "timeout",
    "skipped": "canceled",
}


class WordClient(StackStormClient):
    """Says one word of every execution."""

    word: str

    def executions(self, ids):
        return [replace(state, status=self.word) for state in super().executions(ids)]

    def execution(self, execution_id):
        return replace(super().execution(execution_id), status=self.word)

    def find_by_trace_tag(self, tag, **options):
        found = super().find_by_trace_tag(tag, **options)
        return [replace(execution, status=self.word) for execution in found]


@pytest.fixture
def told(sandbox):
    """Tell workers, whatever they do, one word of an execution in one state of ours."""
    sandbox.configure(outcomes={"core.local": "running"})
    client = WordClient(api_url=sandbox.url, api_key="sandbox-key", timeout=2)

    def tell(word, status):
        client.word = word
        row = row_in(status)
        remote = client.run_action("core.local", {"cmd": "true"}, trace_tag=row.trace_tag)
        if status not in ("pending", "launching"):
            ActionExecution.objects.update(st2_execution_id=remote.id)
        poll_hints.hint(st2_execution_id=remote.id, trace_tag=row.trace_tag)
        poll.poll_due(client=client)
        lookup.look_up_due(client=client)
        recover.recover()
        row.refresh_from_db()
        return row

    yield tell
    client.close()


def row_in(status):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    run = make_run(bucket, status=RUN_OF.get(status, "success"))
    now = timezone.now()
    return make_execution(
        run,
        status=status,
        due_at=None if status in ActionExecution.FINAL else now,
        started_at=None if status == "pending" else now,
        lookup_until=now + datetime.timedelta(minutes=5) if status == "launching" else None,
    )


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("status", ["running", "unknown"])
def test_what_is_followed_takes_a_final_word_and_keeps_any_other(status, word, told):
    row = told(word, status)

    assert row.status == MEANING.get(word, status)
    assert row.st2_action_execution_status == word[:50]
    assert BucketRun.objects.get().status == RUN_AFTER.get(row.status, status)


@pytest.mark.parametrize("word", WORDS)
def test_a_launch_without_an_answer_is_adopted_by_any_word_but_requested(word, told):
    row = told(word, "launching")

    if word == "requested":
        assert (row.status, row.st2_execution_id) == ("launching", None)
    else:
        assert (row.status, row.st2_action_execution_status) == ("running", word[:50])
        assert row.st2_execution_id


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("status", ["pending", *sorted(ActionExecution.FINAL)])
def test_what_was_not_sent_or_has_ended_takes_no_word_at_all(status, word, told):
    row = told(word, status)

    assert (row.status, row.st2_action_execution_status) == (status, "")
    assert BucketRun.objects.get().status == RUN_OF.get(status, "success")
    assert not Transition.objects.exists()


def test_every_state_of_ours_is_in_the_table():
    followed, looked_up = {"running", "unknown"}, {"launching"}

    assert {*ActionExecution.Status} == followed | looked_up | {"pending"} | ActionExecution.FINAL
