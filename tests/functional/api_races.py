"""Eight threads send the same API request at once, in many rounds.

``python -m tests.functional.api_races`` uses the empty tables in ``DATABASE_URL`` and prints the
results of all rounds as JSON, as ``tests.functional.races`` does.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

# Sets Django up.
from tests.functional.races import at_once  # isort: skip

from django.db import connection
from django.test import Client

from remediation.models import BucketRun, BucketVersion, IdempotencyKey
from tests import factories

ROUNDS = 8


def patch_bucket(_number: int) -> dict[str, Any]:
    """Change the same bucket in every thread, each with the ETag from before."""
    client = factories.make_client("edit")
    bucket = factories.make_step().bucket
    path = f"/api/v1/buckets/{bucket.pk}/"
    tag = client.get(path)["ETag"]

    def act(thread: int) -> int:
        return _send(client, "PATCH", path, {"priority": 1_000 + thread}, {"If-Match": tag})

    statuses = Counter(at_once(act))
    return {
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "versions": BucketVersion.objects.filter(bucket=bucket).count(),
    }


def patch_other_fields(_number: int) -> dict[str, Any]:
    """Change eight fields of the same bucket without a precondition; none may get lost."""
    client = factories.make_client("edit")
    bucket = factories.make_step().bucket
    path = f"/api/v1/buckets/{bucket.pk}/"
    changes: list[dict[str, Any]] = [
        {"priority": 7},
        {"description": "changed"},
        {"label_matchers": 'a="b"'},
        {"cooldown_seconds": 7},
        {"group_by": "alertname"},
        {"timeout_seconds": 7},
        {"continue_matching": True},
        {"on_resolved": "stop"},
    ]

    at_once(lambda thread: _send(client, "PATCH", path, changes[thread], {}))

    row = client.get(path).json()
    return {"lost": [change for change in changes if not change.items() <= row.items()]}


def retry_with_one_key(number: int) -> dict[str, Any]:
    """Retry the same run with the same key in every thread."""
    client = factories.make_client("operate")
    run = factories.make_run(status="failure")
    path = f"/api/v1/runs/{run.pk}/retry/"
    headers = {"Idempotency-Key": f"round-{number}"}

    def act(_thread: int) -> int:
        return _send(client, "POST", path, {"from": "start"}, headers)

    statuses = Counter(at_once(act))
    return {
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "runs": BucketRun.objects.filter(retry_of=run).count(),
        "keys": IdempotencyKey.objects.filter(key=f"round-{number}").count(),
    }


def _send(client: Client, method: str, path: str, body: Any, headers: dict[str, str]) -> int:
    response = client.generic(
        method, path, json.dumps(body), content_type="application/json", headers=headers
    )
    return response.status_code


def main() -> None:
    """Run all races and print the results of their rounds by race."""
    results = {
        race.__name__: [race(number) for number in range(ROUNDS)]
        for race in (patch_bucket, patch_other_fields, retry_with_one_key)
    }
    at_once(lambda _: connection.close())
    connection.close()
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
