"""An action that StackStorm cannot show delays its own executions and no others."""

import pytest

from remediation import clock
from remediation.engine.launching import action_knowledge, launch
from remediation.models import Action, ActionExecution
from remediation.stackstorm import StackStormClient, StackStormRejected, StackStormUnavailable
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db

Status = ActionExecution.Status


def due_execution(ref, parameters):
    bucket = make_bucket()
    make_step(bucket, make_action(st2_action_ref=ref), parameters=parameters)
    return make_execution(make_run(bucket))


def answer_for(monkeypatch, ref, error):
    """Let every question about one action raise."""
    ask = StackStormClient.action

    def action(self, wanted):
        if wanted == ref:
            raise error
        return ask(self, wanted)

    monkeypatch.setattr(StackStormClient, "action", action)


def unreadable(status):
    return StackStormUnavailable(
        "GET", "/actions/x", "oops", may_have_been_sent=True, status=status
    )


ERRORS = [unreadable(200), unreadable(500), StackStormRejected("GET", "/actions/x", 404, "no page")]


@pytest.mark.parametrize("error", ERRORS, ids=["odd answer", "500", "404 of a proxy"])
def test_an_action_that_cannot_be_asked_for_holds_up_no_other(error, sandbox, st2, monkeypatch):
    answer_for(monkeypatch, "acme.odd", error)
    fine = [due_execution("core.local", {"cmd": "true"})]
    odd = due_execution("acme.odd", {"text": "x"})
    fine += [due_execution("core.local", {"cmd": "true"}) for _ in range(3)]

    for _ in range(2):
        launch.launch_due(client=st2)

    odd.refresh_from_db()
    assert (odd.status, odd.due_at > clock.now()) == (Status.PENDING, True)
    assert "StackStorm has to say first what the action takes" in odd.error_message
    assert {ActionExecution.objects.get(pk=row.pk).status for row in fine} == {Status.RUNNING}


@pytest.mark.parametrize("error", ERRORS, ids=["odd answer", "500", "404 of a proxy"])
def test_a_refresh_goes_on_behind_an_action_that_cannot_be_asked_for(
    error, sandbox, st2, monkeypatch
):
    answer_for(monkeypatch, "acme.odd", error)
    make_action(st2_action_ref="acme.odd")
    make_action(st2_action_ref="core.local")

    action_knowledge.refresh_due(client=st2)

    assert Action.objects.get(st2_action_ref="core.local").st2_check == "found"


def test_one_batch_asks_once_for_an_action_that_is_missing(sandbox, st2):
    # The first goes alone, as a probe.
    due_execution("core.local", {"cmd": "true"})
    bucket = due_execution("acme.fix", {"text": "x"}).bucket
    for _ in range(5):
        make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    asked = [path for method, path in sandbox.requests if "overview/acme.fix" in path]
    assert ActionExecution.objects.filter(status=Status.FAILURE).count() == 6
    assert len(asked) == 1
