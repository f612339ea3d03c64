"""Generated alerts in the webhook format of Alertmanager."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

ENDS_NEVER = "0001-01-01T00:00:00Z"


def new_fingerprint() -> str:
    """Return a random fingerprint of 16 hex digits, as Alertmanager's."""
    return os.urandom(8).hex()


def alert(name: str, fingerprint: str) -> dict[str, Any]:
    """Return a firing alert. Its instance holds the fingerprint, to find it in StackStorm."""
    return {
        "status": "firing",
        "labels": {
            "alertname": name,
            "cluster": "bench",
            "instance": f"node-{fingerprint}:9100",
            "job": "node",
            "severity": "critical",
        },
        "annotations": {
            "description": f"node-{fingerprint} has been failing for more than 5 minutes.",
            "runbook_url": f"https://runbooks.example.com/{name}",
            "summary": f"{name} on node-{fingerprint}",
        },
        "startsAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "endsAt": ENDS_NEVER,
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": fingerprint,
    }


def notification(name: str, fingerprints: Sequence[str]) -> bytes:
    """Return the body of a webhook call with these alerts."""
    alerts = [alert(name, fingerprint) for fingerprint in fingerprints]
    group = {"alertname": name}
    return json.dumps(
        {
            "receiver": "poundcake",
            "status": "firing",
            "alerts": alerts,
            "groupLabels": group,
            "commonLabels": _common([alert["labels"] for alert in alerts]),
            "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
            "externalURL": "http://alertmanager.example.com:9093",
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{name}"}}',
            "truncatedAlerts": 0,
        }
    ).encode()


def _common(sets: list[dict[str, str]]) -> dict[str, str]:
    first, *others = sets
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
