"""What a secret flows into is sent, but masked where it is stored, shown or logged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remediation.engine.launching import launch, parameters
from remediation.models import ActionExecution, ConfigValue
from remediation.templating import TemplateError
from tests.factories import make_action, make_alert, make_execution, make_run, make_step
from tests.remediation.engine.launching.due_executions import (
    due_execution,
    due_local_execution,
    launched,
)

pytestmark = pytest.mark.django_db

SECRET = "d'Artagnan-1844"


@pytest.fixture(autouse=True)
def _secret(settings: Any) -> None:
    settings.CONFIG_SECRETS = {"db_password": SECRET}


def rendered(step_parameters: dict[str, Any], mapping: Any = None, **columns: Any) -> Any:
    row = make_action(st2_parameters=mapping or {}, st2_runner="local-shell-cmd")
    return parameters.render(due_execution(step_parameters, action=row, **columns))


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        ("{{ config.db_password | reverse }}", SECRET[::-1]),
        ("{{ config.db_password | quote }}", "'d'\"'\"'Artagnan-1844'"),
        ("{{ config.db_password[:3] }}", "d'A"),
        ("{{ config.db_password | length }}", len(SECRET)),
        ("{{ config.db_password == 'x' }}", False),
        ("psql://app:{{ config.db_password | urlencode }}@db", "psql://app:d%27Artagnan-1844@db"),
        ("{% for letter in config.db_password %}{{ letter }} {% endfor %}", " ".join(SECRET) + " "),
    ],
)
@pytest.mark.parametrize("way", ["forwarded", "through the mapping"])
def test_a_value_computed_from_a_secret_is_sent_but_masked(
    source: str, sent: object, way: str
) -> None:
    mapping = (
        {} if way == "forwarded" else {"text": "{{ parameters.text }}", "n": "{{ run.number }}"}
    )

    made = rendered({"text": source}, mapping)

    assert made.sent["text"] == sent
    assert made.masked["text"] == "********"
    assert made.masked.get("n", 1) == 1


def test_only_the_leaf_is_masked() -> None:
    made = rendered({"env": {"A": "{{ config.db_password }}", "B": "{{ alert.instance }}"}})

    assert made.masked["env"] == {"A": "********", "B": "server-01:9100"}


@pytest.mark.parametrize(
    ("step_parameters", "mapping"),
    [
        ({"password": "Tr0ub4dor"}, {"cmd": "login {{ parameters.password[::-1] }}"}),
        (
            {"login": {"password": "Tr0ub4dor"}},
            {"cmd": "{{ parameters.login | tojson | reverse }}"},
        ),
        ({"text": "{{ alert.labels.api_token | reverse }}"}, {}),
        ({"text": "{{ alert.annotations.password | reverse }}"}, {}),
        ({"text": "{{ config.smtp.password | reverse }}"}, {}),
    ],
)
def test_values_under_secret_names_are_followed_too(step_parameters: Any, mapping: Any) -> None:
    ConfigValue.objects.create(key="smtp", value={"password": "Tr0ub4dor"})
    alert = make_alert(
        {"alertname": "HostDown", "api_token": "Tr0ub4dor"}, annotations={"password": "Tr0ub4dor"}
    )

    made = rendered(step_parameters, mapping, alert=alert)

    assert "rod4bu0rT" in json.dumps(made.sent)
    assert "********" in made.masked.values()
    assert "rod4bu0rT" not in json.dumps(made.masked)


def test_log_event_writes_a_masked_line(caplog: pytest.LogCaptureFixture) -> None:
    execution = due_local_execution("log_event", message="pw {{ config.db_password | reverse }}")

    with caplog.at_level("DEBUG"):
        launch.run_local()

    execution.refresh_from_db()
    assert execution.st2_result == {"logged": "********"}
    assert execution.parameters["message"] == "********"
    assert [record.message for record in caplog.records if record.name == "poundcake.events"] == [
        "********"
    ]
    assert SECRET[::-1] not in caplog.text


def test_a_local_actions_result_does_not_echo_what_a_secret_flowed_into() -> None:
    execution = due_local_execution(
        "tcp_check", host="{{ config.db_password[2:10] | lower }}.invalid", port=9, timeout=1
    )

    launch.run_local()

    execution.refresh_from_db()
    row = json.dumps([execution.st2_result, execution.error_message, execution.parameters])
    assert execution.status == "failure"
    assert "artagnan" not in row.lower()


def test_a_rejected_launch_does_not_echo_what_a_secret_flowed_into(sandbox: Any, st2: Any) -> None:
    schema = {"runner_type": "python-script", "parameters": {"port": {"type": "integer"}}}
    sandbox.configure(actions={"acme.fix": schema})

    execution = launched("acme.fix", {"port": "{{ config.db_password | replace('-', '_') }}"}, st2)

    assert execution.status == "failure"
    assert "Artagnan" not in execution.error_message
    assert "********" in execution.error_message


def test_an_error_does_not_contain_the_secret() -> None:
    execution = due_execution({"text": "{{ alert.labels[config.db_password] }}"})

    with pytest.raises(TemplateError, match="text: cannot be computed") as raised:
        parameters.render(execution)

    assert "Artagnan" not in str(raised.value)


def test_a_condition_on_a_secret_fails_the_step(st2: Any) -> None:
    # As written by SQL, or saved before the secret was configured.
    step = make_step(condition="config.db_password == 'x'", parameters={"cmd": "true"})
    execution = make_execution(make_run(step.bucket))

    launch.launch_due(client=st2)

    row = ActionExecution.objects.get(pk=execution.pk)
    assert row.status == "failure"
    assert "config.db_password is or contains a secret" in row.error_message


def test_a_condition_on_a_secret_is_refused_on_save() -> None:
    step = make_step(condition="config.db_password | length > 3")

    with pytest.raises(Exception, match="which a condition cannot read"):
        step.full_clean()
