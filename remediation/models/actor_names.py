"""Names of actors. Records tell users, tokens and PoundCake apart by name, for readers too."""

from __future__ import annotations

from collections.abc import Iterable

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from remediation.values.names import visible_form

RESERVED = ("system", "stackstorm")


def token_name_problem(name: str) -> str:
    """Return why a new token cannot have this name, or ''."""
    users = get_user_model()._default_manager.values_list("username", flat=True)
    return _reserved_problem(name) or _problem(name, "user", users.iterator())


def validate_user_name(name: str) -> None:
    """Raise ValidationError if a new user cannot have this name. A user may keep its name."""
    users = get_user_model()._default_manager.values_list("username", flat=True)
    tokens = apps.get_model("remediation", "ApiToken").objects.values_list("name", flat=True)
    problem = (
        _reserved_problem(name)
        or _problem(name, "API token", tokens.iterator())
        # Django's own check reports an equal name.
        or _problem(name, "user", (other for other in users.iterator() if other != name))
    )
    if problem:
        raise ValidationError(problem)


def _reserved_problem(name: str) -> str:
    for reserved in RESERVED:
        if visible_form(name) == reserved:
            return f"Records use the name {reserved} for changes by the machine. Choose another."
    return ""


def _problem(name: str, kind: str, others: Iterable[str]) -> str:
    form = visible_form(name)
    for other in others:
        if visible_form(other) == form:
            return f"The {kind} {other} has this name or one that looks like it. Choose another."
    return ""
