"""Create an API token and print it."""

from __future__ import annotations

import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from remediation import clock
from remediation.models import ApiToken, Scope
from remediation.models.token import scope_problem

DAYS_MAX = 36_500


class Command(BaseCommand):
    help = "Create an API token. Prints it once, alone on the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the name, the scopes and the number of days until expiry."""
        parser.add_argument("name", help="who uses it, for example alertmanager")
        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            required=True,
            metavar="SCOPE",
            help=f"may be repeated: {', '.join(Scope.values)}",
        )
        parser.add_argument("--expires-days", type=int, metavar="N", help="default: never")

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Store the token's hash and print the token."""
        if problem := scope_problem(options["scopes"]):
            raise CommandError(problem)
        try:
            row, text = ApiToken.issue(
                name=options["name"],
                scopes=options["scopes"],
                expires_at=_expires_at(options["expires_days"]),
            )
        except ValidationError as error:
            raise CommandError(_error_message(options["name"], error)) from error
        self.stdout.write(f"Token {row.name} with {', '.join(row.scopes)}. It is not shown again:")
        self.stdout.write(text)


def _expires_at(days: int | None) -> datetime.datetime | None:
    if days is None:
        return None
    if not 0 < days <= DAYS_MAX:
        raise CommandError(f"--expires-days must be 1 to {DAYS_MAX}.")
    return clock.now() + datetime.timedelta(days=days)


def _error_message(name: str, error: ValidationError) -> str:
    if ApiToken.objects.filter(name=name).exists():
        return f"A token named {name} already exists: choose another name, or revoke that token."
    return " ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
