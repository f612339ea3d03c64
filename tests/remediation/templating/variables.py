"""The variables of one alert, as passed to a launch."""

from collections.abc import Mapping

from remediation.templating import render_step_parameters


def make_variables(
    labels: Mapping[str, object] | None = None,
    parameters: dict[str, object] | None = None,
    **overrides: object,
) -> dict[str, object]:
    """Return variables with ``parameters`` (the step's templates) already rendered."""
    variables: dict[str, object] = {
        "alert": {
            "instance": "server-01:9100",
            "alert_name": "HostDown",
            "severity": "critical",
            "status": "firing",
            "fingerprint": "0123456789abcdef",
            "starts_at": "2026-01-02T03:04:05Z",
            "labels": {"team": "db", **(labels or {})},
            "annotations": {"summary": "server-01 is down"},
        },
        "bucket": {"name": "host_down"},
        "config": {"KEY": "from config", "FLAG": "-x"},
        "run": {"number": 1},
        "steps": {"check": {"status": "success", "result": {"stdout": "up", "list": [{"n": 1}]}}},
        **overrides,
    }
    variables["parameters"] = render_step_parameters(parameters or {}, variables)
    return variables
