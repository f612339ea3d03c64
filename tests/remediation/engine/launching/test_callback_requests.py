"""Callbacks are requested only with ST2_NOTIFY, because each is an execution in StackStorm."""

import pytest

from remediation.engine.launching import launch
from tests.remediation.engine.launching.due_executions import due_execution

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_launch_requests_a_callback_if_enabled(is_enabled, sandbox, st2, settings):
    settings.ST2_NOTIFY = is_enabled
    execution = due_execution()

    launch.launch_due(client=st2)

    [remote] = sandbox.executions
    requested = remote["liveaction"].get("notify", {}).get("on-complete", {})
    data = {"trace_tag": execution.trace_tag}
    assert (requested.get("routes"), requested.get("data")) == (
        (["poundcake"], data) if is_enabled else (None, None)
    )


def test_callbacks_are_off_by_default(settings):
    assert settings.ST2_NOTIFY is False
