"""The parameters sent, by the runner of the action."""

import pytest

from remediation.engine.launching import parameters
from remediation.templating import TemplateError
from remediation.templating.shell_commands import WINDOWS_RUNNERS
from tests.factories import make_action
from tests.remediation.engine.launching.due_executions import due_execution

pytestmark = pytest.mark.django_db


def rendered(step_parameters, *, mapping=None, **action):
    columns = {"st2_runner": "remote-shell-cmd"} | action
    row = make_action(st2_parameters=mapping or {}, **columns)
    return parameters.render(due_execution(step_parameters, action=row))


def test_the_steps_time_limit_is_sent_as_timeout():
    sent = rendered({"cmd": "true"}, st2_parameter_names=["cmd", "timeout"]).sent

    assert sent == {"cmd": "true", "timeout": 300}


def test_a_timeout_parameter_of_the_step_is_kept():
    sent = rendered({"cmd": "true", "timeout": 5}, st2_parameter_names=["cmd", "timeout"]).sent

    assert sent["timeout"] == 5


def test_a_secret_parameter_is_sent_but_masked_in_the_row():
    made = rendered({"cmd": "true", "pin": "1234"}, st2_secret_parameters=["pin"])

    assert (made.sent["pin"], made.masked["pin"]) == ("1234", "********")


@pytest.mark.parametrize("runner", ["orquesta", "action-chain", "", "something-new"])
def test_template_syntax_in_data_is_refused_if_it_would_be_rendered_twice(runner):
    with pytest.raises(TemplateError, match="cmd"):
        rendered({"cmd": "echo {{ '{{' }}"}, st2_runner=runner)


@pytest.mark.parametrize("runner", sorted(WINDOWS_RUNNERS))
@pytest.mark.parametrize(
    ("step_parameters", "mapping"),
    [
        ({"cmd": "echo {{ alert.instance | quote }}"}, {}),
        ({}, {"cmd": "echo {{ alert.instance | quote }}"}),
        ({"name": "{{ alert.instance }}"}, {"cmd": "echo {{ parameters.name | quote }}"}),
    ],
)
def test_alert_data_in_a_windows_command_is_refused(runner, step_parameters, mapping):
    with pytest.raises(TemplateError, match="Windows"):
        rendered(step_parameters, mapping=mapping, st2_runner=runner)


def test_a_literal_windows_command_is_sent():
    assert rendered({"cmd": "Restart-Service w3svc"}, st2_runner="winrm-ps-cmd").sent == {
        "cmd": "Restart-Service w3svc"
    }
