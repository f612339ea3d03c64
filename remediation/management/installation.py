"""The database and the workers that a management command acts on."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import Error, connection

from remediation import clock
from remediation.engine import database_errors
from remediation.models import Heartbeat, JobSchedule


def describe() -> str:
    """Return the database and its number of live workers; the number only if it can be read."""
    name = database_errors.describe()
    if connection.vendor == "sqlite" and _is_missing_file():
        return f"{name}, which does not exist yet"
    try:
        return f"{name}, {_describe_workers()}"
    except Error as error:
        return f"{name}, {'without tables' if _has_no_tables(error) else 'which does not respond'}"


def count_live_workers() -> int:
    """Return how many worker commands have sent a heartbeat lately, on all machines."""
    silence = datetime.timedelta(seconds=settings.WORKER_DEAD_SECONDS)
    names = Heartbeat.alive(at=clock.now(), silence=silence).filter(name__contains="@")
    # A heartbeat is named CLUSTER@HOST-PID.
    return len({name.partition("@")[2] for name in names.values_list("name", flat=True)})


def has_had_worker() -> bool:
    """Return whether a worker has ever used this database."""
    return JobSchedule.objects.filter(name="tick").exists()


def add_argument(parser: CommandParser) -> None:
    """Add the option that ``require_worker`` reads."""
    parser.add_argument(
        "--without-workers",
        action="store_true",
        help="allow a database that no worker has ever used, such as that of a new installation",
    )


def require_worker(*, without_workers: bool) -> None:
    """Raise CommandError if no worker has ever used the database: it may be the wrong one."""
    if without_workers or has_had_worker():
        return
    raise CommandError(
        f"No worker has ever used {database_errors.describe()}, so it is not the database of a"
        " running service. Correct DATABASE_URL, or set POUNDCAKE_ENV_FILE to the environment file"
        " of the service. On a new installation, pass --without-workers."
    )


def check_database() -> None:
    """Raise Error if the database has no tables, refuses the login or does not exist.

    A server that cannot be reached may be starting, so the processes wait for it.
    """
    try:
        has_had_worker()
    except Error as error:
        if not database_errors.is_unreachable(error):
            raise


def announce() -> None:
    """Write the line about the database and its workers to standard error."""
    sys.stderr.write(f"Database: {describe()}.\n")


def _describe_workers() -> str:
    live = count_live_workers()
    if not live and not has_had_worker():
        return "which no worker has ever used"
    return f"{live} live worker{'' if live == 1 else 's'}"


def _is_missing_file() -> bool:
    name = str(connection.settings_dict["NAME"])
    return not name.startswith((":", "file:")) and not Path(name).exists()


def _has_no_tables(error: Error) -> bool:
    return "manage.py migrate" in database_errors.explain(error)
