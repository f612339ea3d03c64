"""Make an API token and print it, once."""

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
    help = "Make an API token; it is printed this once, alone on the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the name, the scopes and the days until it expires."""
        parser.add_argument("name", help="who will use it, for example alertmanager")
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
        """Store the token and print its text."""
        if problem := scope_problem(options["scopes"]):
            raise CommandError(problem)
        try:
            row, text = ApiToken.issue(
                name=options["name"],
                scopes=options["scopes"],
                expires_at=_expires_at(options["expires_days"]),
            )
        except ValidationError as error:
            raise CommandError(_sentence(options["name"], error)) from error
        self.stdout.write(f"Token {row.name} with {', '.join(row.scopes)}, shown this once:")
        self.stdout.write(text)


def _expires_at(days: int | None) -> datetime.datetime | None:
    if days is None:
        return None
    if not 0 < days <= DAYS_MAX:
        raise CommandError(f"--expires-days: give 1 to {DAYS_MAX} days.")
    return clock.now() + datetime.timedelta(days=days)


def _sentence(name: str, error: ValidationError) -> str:
    if ApiToken.objects.filter(name=name).exists():
        return f"There is a token named {name} already: choose another name, or revoke that one."
    return " ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
