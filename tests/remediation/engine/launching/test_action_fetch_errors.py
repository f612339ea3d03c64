"""An action that cannot be fetched delays its own executions only."""

import pytest

from remediation import clock
from remediation.engine.launching import action_refresh, launch
from remediation.models import Action, ActionExecution
from remediation.stackstorm import StackStormClient, StackStormRejected, StackStormUnavailable
from tests.factories import make_action, make_execution, make_run
from tests.remediation.engine.launching.due_executions import due_execution_of

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


def fail_to_fetch(monkeypatch, ref, error):
    """Make every request for one action raise an error."""
    fetch = StackStormClient.action

    def action(self, wanted):
        if wanted == ref:
            raise error
        return fetch(self, wanted)

    monkeypatch.setattr(StackStormClient, "action", action)


def unavailable(status):
    return StackStormUnavailable(
        "GET", "/actions/x", "oops", may_have_been_sent=True, status=status
    )


ERRORS = [
    unavailable(200),
    unavailable(500),
    StackStormRejected("GET", "/actions/x", 404, "no page"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["invalid response", "500", "404 from a proxy"])
@pytest.mark.usefixtures("frozen_clock")
def test_an_action_that_cannot_be_fetched_does_not_delay_others(error, sandbox, st2, monkeypatch):
    fail_to_fetch(monkeypatch, "acme.broken", error)
    fine = [due_execution_of("core.local", {"cmd": "true"})]
    broken = due_execution_of("acme.broken", {"text": "x"})
    fine += [due_execution_of("core.local", {"cmd": "true"}) for _ in range(3)]

    for _ in range(2):
        launch.launch_due(client=st2)

    broken.refresh_from_db()
    assert broken.due_at is not None
    assert (broken.status, broken.due_at > clock.now()) == (Status.PENDING, True)
    assert "Waiting for the metadata of the action" in broken.error_message
    assert {ActionExecution.objects.get(pk=row.pk).status for row in fine} == {Status.RUNNING}


@pytest.mark.parametrize("error", ERRORS, ids=["invalid response", "500", "404 from a proxy"])
def test_a_refresh_continues_after_an_action_that_cannot_be_fetched(
    error, sandbox, st2, monkeypatch
):
    fail_to_fetch(monkeypatch, "acme.broken", error)
    make_action(st2_action_ref="acme.broken")
    make_action(st2_action_ref="core.local")

    action_refresh.refresh_due(client=st2)

    assert Action.objects.get(st2_action_ref="core.local").st2_check == "found"


def test_one_batch_fetches_a_missing_action_once(sandbox, st2):
    # The first launch goes alone, as a probe.
    due_execution_of("core.local", {"cmd": "true"})
    bucket = due_execution_of("acme.fix", {"text": "x"}).bucket
    for _ in range(5):
        make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    fetched = [path for method, path in sandbox.requests if "overview/acme.fix" in path]
    assert ActionExecution.objects.filter(status=Status.FAILURE).count() == 6
    assert len(fetched) == 1
