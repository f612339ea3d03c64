"""Alert data in the target of a local action: refused on save, in simulate and at launch alike."""

import datetime

import pytest
from django.core.exceptions import ValidationError

from remediation.engine.launching import launch
from remediation.engine.operations.simulation import simulate
from remediation.models import ActionExecution
from tests.factories import make_alert, make_bucket, make_local_action, make_step
from tests.remediation.engine.launching.due_executions import due_execution

pytestmark = pytest.mark.django_db

CASES = [
    ("http_request", {"url": "{{ alert.annotations.url }}"}, "url: alert.annotations.url is in"),
    ("http_request", {"url": "http://a/{{ alert.instance }}"}, "url: alert.instance must end in"),
    ("ping", {"host": "{{ alert.instance }}"}, "host: alert.instance must end in | host"),
    (
        "tcp_check",
        {"host": "web-01", "port": "{{ alert.annotations.port }}"},
        "port: alert.annotations.port must not set the port",
    ),
]
ANNOTATIONS = {"url": "http://evil.example/", "port": "22"}


@pytest.mark.parametrize(("action_type", "parameters", "problem"), CASES)
@pytest.mark.parametrize("is_mapped", [False, True])
def test_data_must_not_choose_the_target(action_type, parameters, problem, is_mapped):
    mapping = parameters if is_mapped else {}
    step_parameters = {} if is_mapped else parameters
    action = make_local_action(action_type, st2_parameters=mapping)
    bucket = make_bucket()
    step = make_step(bucket, action, name="call", parameters=step_parameters)
    alert = make_alert(annotations=ANNOTATIONS)

    with pytest.raises(ValidationError, match="alert") as refused:
        (action if is_mapped else step).full_clean()
    [simulated] = simulate(bucket, alert, steps={}).steps
    execution = due_execution(step_parameters, action=action, alert=alert)
    launch.run_local()

    execution.refresh_from_db()
    assert problem in str(refused.value)
    assert problem in str(simulated.error)
    assert execution.status == ActionExecution.Status.FAILURE
    assert execution.error_message.startswith(problem)
    assert execution.st2_result is None


def test_a_refused_address_fails_the_execution_with_the_setting():
    execution = due_execution(
        {"host": "{{ alert.instance | host }}", "port": 22},
        action=make_local_action("tcp_check"),
        alert=make_alert(instance="169.254.169.254:80"),
    )
    started = datetime.datetime.now(datetime.UTC)

    launch.run_local()

    execution.refresh_from_db()
    assert execution.status == ActionExecution.Status.FAILURE
    assert execution.error_message == (
        "tcp_check: parameter 'host' names 169.254.169.254, a cloud metadata address: it is refused"
        " unless LOCAL_ACTION_ALLOWED_NETWORKS lists 169.254.169.254/32 or a network inside it"
    )
    assert execution.completed_at is not None
    assert execution.completed_at - started < datetime.timedelta(seconds=5)
