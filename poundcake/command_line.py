"""The command line: settings of the service, the database that a command acts on, and errors.

A wrong setting or a database that cannot be used ends a command with one sentence and status 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line, get_commands
from django.db import Error

from poundcake import environment_file, private_files
from remediation.engine import database_errors

OUR_APPS = frozenset({"poundcake", "remediation", "audit"})
# These log the database, or use another one, or none.
NOT_ANNOUNCED = frozenset(
    {"serve", "web", "worker", "cluster", "follow_stackstorm", "demo", "st2_sandbox"}
)
# Commands of Django and its apps that read or change the database.
DJANGO_COMMANDS = frozenset(
    {"changepassword", "clearsessions", "createsuperuser", "dbshell", "dumpdata", "flush"}
    | {"loaddata", "migrate", "shell", "showmigrations"}
)


def main(arguments: Sequence[str]) -> None:
    """Run a management command; ``arguments`` begins with the name of the program."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "poundcake.settings")
    try:
        if warning := environment_file.load():
            sys.stderr.write(f"Warning: {warning}\n")
        django.setup()
        private_files.protect(settings.VAR_DIR)
        if not {"-h", "--help"} & {*arguments} and acts_on_database(*arguments[1:2]):
            _announce()
        execute_from_command_line([*arguments])
    except ImproperlyConfigured as error:
        _stop(database_errors.explain(error) or str(error))
    except Error as error:
        if sentence := database_errors.explain(error):
            _stop(sentence)
        raise


def acts_on_database(command: str = "") -> bool:
    """Return whether the user must know which database this command acts on."""
    if command in NOT_ANNOUNCED:
        return False
    return command in DJANGO_COMMANDS or get_commands().get(command) in OUR_APPS


def _announce() -> None:
    from remediation.management import installation  # noqa: PLC0415 - models need the apps

    installation.announce()


def _stop(sentence: str) -> NoReturn:
    sys.exit(sentence)
