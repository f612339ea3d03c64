"""Callbacks are asked for only with ST2_NOTIFY, since each is an execution of its own."""

import pytest

from remediation.engine.launching import launch
from tests.factories import make_action, make_bucket, make_execution, make_run, make_step

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_callback_is_asked_for_when_it_is_wanted(is_wanted, sandbox, st2, settings):
    settings.ST2_NOTIFY = is_wanted
    bucket = make_bucket()
    make_step(bucket, make_action(st2_runner="local-shell-cmd"), parameters={"cmd": "true"})
    execution = make_execution(make_run(bucket))

    launch.launch_due(client=st2)

    [remote] = sandbox.executions
    asked = remote["liveaction"].get("notify", {}).get("on-complete", {})
    data = {"trace_tag": execution.trace_tag}
    assert (asked.get("routes"), asked.get("data")) == (
        (["poundcake"], data) if is_wanted else (None, None)
    )


def test_callbacks_are_off_unless_somebody_wants_them(settings):
    assert settings.ST2_NOTIFY is False
