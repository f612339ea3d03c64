"""A step whose template cannot be rendered fails alone, and its reason names the field."""

import pytest

from remediation import templating
from remediation.engine.launching import launch, parameters, preparation
from remediation.models import ActionExecution
from remediation.templating import budget
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step
from tests.remediation.engine.launching.due_executions import due_execution, due_local_execution

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

Status = ActionExecution.Status
SLOW_SECONDS = 0.6  # longer than parameters.SLOW_SECONDS
NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
MEMORY = "".join(f"{{% set a{number} = [0] * 900000 %}}" for number in range(200))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ alert.instance | truncate(2) }}", "cannot be computed: expected length >= 3, got 2"),
        (NESTED, "takes longer than 1 s (TEMPLATE_TIMEOUT_SECONDS): make it simpler"),
        (MEMORY, "takes too much memory: make it smaller"),
    ],
    ids=["assertion", "time", "memory"],
)
def test_a_template_that_cannot_be_rendered_fails_alone(template, reason, sandbox, st2):
    before = due_execution()
    bad = due_execution({"message": template})
    after = due_execution()

    launch.launch_due(client=st2)
    launch.launch_due(client=st2)

    for row in (before, bad, after):
        row.refresh_from_db()
    assert (before.status, after.status) == (Status.RUNNING, Status.RUNNING)
    assert (bad.status, bad.error_message) == (Status.FAILURE, f"message: {reason}")


def test_a_condition_that_takes_too_long_fails_alone(sandbox, st2):
    bucket = make_bucket()
    values = "range(99999) | map('string') | join | list | sort | unique | list"
    condition = " or ".join([f"({values} | length) > 99999999"] * 30)
    make_step(bucket, make_action(), parameters={"cmd": "true"}, condition=condition)
    bad, fine = make_execution(make_run(bucket)), due_execution()

    launch.launch_due(client=st2)
    launch.launch_due(client=st2)

    bad.refresh_from_db()
    fine.refresh_from_db()
    assert (bad.status, fine.status) == (Status.FAILURE, Status.RUNNING)
    assert bad.error_message.startswith("condition: takes longer than 1 s")


def test_an_exception_fails_its_execution_alone_without_its_message(
    sandbox, st2, monkeypatch, caplog
):
    bad, fine = due_execution(), due_execution()
    render_step = parameters.render_step

    def raise_for_one(step, variables, *, action):
        if variables["run"]["id"] == bad.run_id:
            raise RuntimeError("hunter2")
        return render_step(step, variables, action=action)

    monkeypatch.setattr(parameters, "render_step", raise_for_one)

    launch.launch_due(client=st2)

    bad.refresh_from_db()
    fine.refresh_from_db()
    assert (bad.status, fine.status) == (Status.FAILURE, Status.RUNNING)
    assert bad.error_message == "parameters: cannot be rendered: RuntimeError"
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_local_action_that_cannot_be_rendered_fails():
    bad = due_local_execution("log_event", message="{{ 'x' | truncate(2) }}")

    launch.run_local()

    bad.refresh_from_db()
    assert bad.status == Status.FAILURE
    assert bad.error_message == "message: cannot be computed: expected length >= 3, got 2"


def test_a_bucket_of_endless_templates_does_not_delay_others(sandbox, st2, monkeypatch):
    monkeypatch.setattr(parameters, "_slow_steps", parameters._SlowSteps())
    monkeypatch.setattr(preparation, "RENDER_SECONDS", SLOW_SECONDS)
    limits = budget.current()
    templating.configure(seconds=SLOW_SECONDS, max_bytes=limits.max_bytes)
    endless, fine = make_bucket(), make_bucket()
    make_step(endless, make_action(st2_runner="local-shell-cmd"), parameters={"message": NESTED})
    make_step(fine, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    for _ in range(20):
        make_execution(make_run(endless))
        make_execution(make_run(fine))
    fine_rows = ActionExecution.objects.filter(bucket=fine)
    try:
        while fine_rows.filter(status=Status.PENDING).exists():
            launch.launch_due(client=st2)
    finally:
        templating.configure(seconds=limits.seconds, max_bytes=limits.max_bytes)

    assert set(fine_rows.values_list("status", flat=True)) == {Status.RUNNING}
    ended = ActionExecution.objects.filter(bucket=endless).exclude(status=Status.PENDING)
    assert ended.count() < 10
    assert set(ended.values_list("status", flat=True)) == {Status.FAILURE}
