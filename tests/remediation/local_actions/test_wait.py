"""wait, whose delay passes before its run, without occupying a worker."""

import pytest

from remediation import local_actions
from remediation.local_actions import InvalidParameters


@pytest.mark.parametrize(("seconds", "delay"), [(90, 90.0), ("1.5", 1.5), (0, 0.0), (86400, 86400)])
def test_the_duration_is_the_delay(seconds, delay):
    assert local_actions.delay_seconds("wait", {"seconds": seconds}) == delay


def test_the_run_ends_immediately():
    result = local_actions.run("wait", {"seconds": 86400}, deadline_seconds=5)

    assert result == {"waited_seconds": 86400.0}


@pytest.mark.parametrize("parameters", [{}, {"seconds": -1}, {"seconds": 86401}, {"seconds": "x"}])
def test_an_invalid_duration_is_refused(parameters):
    with pytest.raises(InvalidParameters, match=r"'seconds' .* a number from 0 to 86400"):
        local_actions.delay_seconds("wait", parameters)
