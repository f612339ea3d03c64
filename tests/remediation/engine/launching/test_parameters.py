"""What an execution sends, by the runner of its action."""

import pytest

from remediation.engine.launching import parameters
from remediation.templating import TemplateError
from remediation.templating.commands import WINDOWS_RUNNERS
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db


def rendered(step_parameters, *, mapping=None, **action):
    bucket = make_bucket()
    columns = {"st2_runner": "remote-shell-cmd"} | action
    make_step(
        bucket, make_action(st2_parameters=mapping or {}, **columns), parameters=step_parameters
    )
    return parameters.render(make_execution(make_run(bucket)))


def test_a_runner_that_is_told_a_timeout_gets_ours():
    shown = rendered({"cmd": "true"}, st2_parameter_names=["cmd", "timeout"]).sent

    assert shown == {"cmd": "true", "timeout": 300}


def test_a_timeout_of_the_step_is_left_alone():
    shown = rendered({"cmd": "true", "timeout": 5}, st2_parameter_names=["cmd", "timeout"]).sent

    assert shown["timeout"] == 5


def test_what_stackstorm_calls_secret_is_sent_and_not_shown():
    made = rendered({"cmd": "true", "pin": "1234"}, st2_secret_parameters=["pin"])

    assert (made.sent["pin"], made.masked["pin"]) == ("1234", "********")


@pytest.mark.parametrize("runner", ["orquesta", "action-chain", "", "something-new"])
def test_text_like_a_template_is_refused_where_it_would_be_rendered_twice(runner):
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
def test_windows_gets_no_data_in_a_command(runner, step_parameters, mapping):
    with pytest.raises(TemplateError, match="Windows"):
        rendered(step_parameters, mapping=mapping, st2_runner=runner)


def test_windows_gets_a_command_that_the_operator_wrote():
    assert rendered({"cmd": "Restart-Service w3svc"}, st2_runner="winrm-ps-cmd").sent == {
        "cmd": "Restart-Service w3svc"
    }
