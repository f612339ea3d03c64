"""Fill both databases of the server in DATABASE_URL and measure; run by ``tools.growth``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from remediation.models import BucketVersion, Cause
from remediation.stackstorm import StackStormClient
from st2_sandbox import Sandbox, SandboxOptions
from tests import factories
from tools.growth import history, page_operations, report
from tools.growth.engine_operations import EngineOperations
from tools.growth.measure import Operation, measure

SMALL = 1_000


def main() -> int:
    """Return 0 if all operations are within the limit."""
    options = _options()
    logging.disable(logging.WARNING)
    start = time.monotonic()
    sender, operations = _prepare(options.rows)
    fill_seconds = time.monotonic() - start
    with Sandbox(api_key="growth-key", options=SandboxOptions(duration_seconds=0)) as sandbox:
        client = StackStormClient(api_url=sandbox.url, api_key="growth-key", timeout=5)
        operations = [*EngineOperations(sender, client).operations(), *operations]
        selected = [each for each in operations if options.only in f"{each.group}: {each.name}"]
        costs = measure(selected, turns=options.turns)
    about = {
        "rows": {"small": SMALL, "big": options.rows},
        "seconds": {"fill": round(fill_seconds), "whole": round(time.monotonic() - start)},
        "database": _version(),
    }
    sys.stdout.write(report.table(costs, about))
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(report.as_json(costs, about), indent=2) + "\n")
    return int(not all(cost.is_flat for cost in costs))


def _prepare(rows: int) -> tuple[Client, list[Operation]]:
    """Fill both databases; return a client that sends alerts, and the page operations."""
    small, big = history.DATABASES
    for database in (small, big):
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{database}`")
        history.use(database)
        call_command("migrate", verbosity=0)
    history.use(small)
    make_definitions()
    sender, program = factories.make_client("webhook"), factories.make_client("read")
    user = Client()
    user.force_login(User.objects.create_superuser("ada"))
    history.copy_definitions(small, big)
    for database, count in ((small, SMALL), (big, rows)):
        seconds = history.fill(database, count)
        sys.stderr.write(f"{count:,} rows a table in {seconds:.0f} s\n")
    return sender, page_operations.operations(user=user, program=program)


def make_definitions() -> None:
    """Create buckets 1 to 5, one for each alert name, the first with a cooldown."""
    for number, name in enumerate(history.NAMES):
        action = factories.make_action(
            st2_runner="local-shell-cmd",
            st2_parameters={"cmd": "true"},
        )
        bucket = factories.make_bucket(
            name=name, alert_name_pattern=name, cooldown_seconds=0 if number else 300
        )
        factories.make_step(bucket, action)
        BucketVersion.record(bucket, cause=Cause())


def _version() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        return f"MariaDB {cursor.fetchone()[0]}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--only", required=True)
    parser.add_argument("--json", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
