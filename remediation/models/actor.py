"""Who caused a change: a person, a token or PoundCake itself."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any, Self

from django.db import models

from remediation import clock
from remediation.values.clients import client_address


class ActorKind(models.TextChoices):
    """What an actor's name refers to. '' in rows of earlier versions, and without credentials."""

    USER = "user"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    COMMAND = "command"  # the operating system's user who ran a management command
    STACKSTORM = "stackstorm"
    SYSTEM = "system"


def actor_kind_field() -> models.CharField[str, str]:
    """Return a field for the kind of the actor in another column."""
    return models.CharField(
        max_length=20, choices=ActorKind, blank=True, default="", db_default="", editable=False
    )


@dataclass(frozen=True, slots=True)
class Cause:
    """The actor and time of a change, and the inbound API call ('' for jobs) with its client."""

    at: datetime.datetime = field(default_factory=clock.now)
    actor: str = "system"
    request_id: str = ""
    actor_kind: str = ActorKind.SYSTEM
    client_host: str = ""

    @classmethod
    def of_request(cls, request: Any) -> Self:
        """Return the user and the request id of an HTTP request, which audit's middleware sets."""
        return cls(
            actor=request.user.get_username(),
            actor_kind=kind_of_user(request.user),
            request_id=request.request_id,
            client_host=client_address(request),
        )

    @classmethod
    def of_stackstorm(cls) -> Self:
        """Return StackStorm, which reported the change."""
        return cls(actor="stackstorm", actor_kind=ActorKind.STACKSTORM)


def kind_of_user(user: Any) -> str:
    """Return the kind of a request's user: a user, a token, or '' without credentials."""
    if not user.is_authenticated:
        return ""
    kind: str = getattr(user, "actor_kind", ActorKind.USER)
    return kind
