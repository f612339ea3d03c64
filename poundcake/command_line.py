"""The command line: settings of the service, the database that a command acts on, and errors.

A wrong setting or a database that cannot be used ends a command with one sentence and status 1.
Services write everything to the log; other commands write to standard error.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import django
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import (
    CommandError,
    ManagementUtility,
    execute_from_command_line,
    get_commands,
)
from django.db import Error

from poundcake import environment, environment_file, logs, private_files
from remediation import log_context
from remediation.engine import database_errors

logger = logging.getLogger(__name__)

OUR_APPS = frozenset({"poundcake", "remediation", "audit"})
SERVICES = frozenset({"serve", "web", "worker", "follow_stackstorm"})
# These log the database, or use another one, or none.
NOT_ANNOUNCED = SERVICES | {"demo", "st2_sandbox"}
# Commands of Django and its apps that read or change the database.
DJANGO_COMMANDS = frozenset(
    {"changepassword", "clearsessions", "createsuperuser", "dbshell", "dumpdata", "flush"}
    | {"loaddata", "migrate", "shell", "showmigrations"}
)


def main(arguments: Sequence[str]) -> None:
    """Run a management command; ``arguments`` begins with the name of the program."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "poundcake.settings")
    command = arguments[1] if len(arguments) > 1 else ""
    is_help = bool({"-h", "--help"} & {*arguments})
    is_service = command in SERVICES and not is_help
    log_context.set_role(_role(command))
    try:
        warning = environment_file.load()
        django.setup()
        private_files.protect(settings.VAR_DIR)
        if is_service:
            _run_service(arguments, warning)
            return
        if warning:
            sys.stderr.write(f"Warning: {warning}\n")
        if acts_on_database(command) and not is_help:
            _announce()
        execute_from_command_line([*arguments])
    except ImproperlyConfigured as error:
        _stop(database_errors.explain(error) or str(error), is_service=is_service)
    except Error as error:
        if sentence := database_errors.explain(error):
            _stop(sentence, is_service=is_service)
        raise


def acts_on_database(command: str = "") -> bool:
    """Return whether the user must know which database this command acts on."""
    if command in NOT_ANNOUNCED:
        return False
    return command in DJANGO_COMMANDS or get_commands().get(command) in OUR_APPS


def _role(command: str) -> str:
    """Return the role of the process in its log lines."""
    return "follower" if command == "follow_stackstorm" else command or "command"


def _announce() -> None:
    from remediation.management import installation  # noqa: PLC0415 - models need the apps

    installation.announce()


def _run_service(arguments: Sequence[str], warning: str) -> None:
    """Run a command that does not end by itself; log its start, its end and its errors."""
    logs.log_uncaught()
    if warning:
        logger.warning("%s", warning)
    command = arguments[1]
    options = ["--traceback"]
    if ManagementUtility().fetch_command(command).requires_system_checks:
        options.append("--skip-checks")
    _log_checks()
    _log_start(command)
    try:
        execute_from_command_line([*arguments, *options])
    except CommandError as error:
        _stop(str(error), is_service=True)
    finally:
        logger.info("%s has stopped", command, extra={"event": "process.stopped"})


def _log_checks() -> None:
    """Log the warnings of the system checks; stop at an error."""
    for message in checks.run_checks():
        text = f"{message.msg} {message.hint or ''}".rstrip()
        if message.is_serious() and not message.is_silenced():
            _stop(text, is_service=True)
        if not message.is_silenced():
            logger.warning("%s", text)


def _log_start(command: str) -> None:
    logger.info(
        "%s starts with the database %s",
        command,
        database_errors.describe(),
        extra={"event": "process.started", "settings": environment.given_settings()},
    )


def _stop(sentence: str, *, is_service: bool) -> NoReturn:
    if not is_service:
        sys.exit(sentence)
    if not settings.configured:
        logs.configure_before_settings()
    logger.critical("%s", sentence)
    sys.exit(1)
