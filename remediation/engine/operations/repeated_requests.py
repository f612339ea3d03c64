"""Perform an operation once for a caller's key, and repeat the first answer afterwards."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from django.db import IntegrityError, OperationalError, transaction

from remediation.engine.operations.errors import NotPossible
from remediation.engine.transaction_retries import is_locked
from remediation.models import IdempotencyKey, IllegalTransitionError
from remediation.models.idempotency_key import KEPT

BODY_LENGTH_MAX = 4_000_000  # characters of a kept answer
# Refusals that depend on the state of the rows. They are answers too; their effects are undone.
REFUSALS = (NotPossible, IllegalTransitionError)


class KeyReused(Exception):
    """The caller has used the key for another request."""


class StillRunning(Exception):
    """Another request with the key has not ended yet."""


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key. ``sha256``: of its method, path and body."""

    caller: str
    key: str
    sha256: str
    at: datetime.datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. ``body`` is JSON."""

    status_code: int
    body: str
    is_repeated: bool = False


def perform_once(
    request: KeyedRequest,
    operate: Callable[[], Answer],
    *,
    refuse: Callable[[Exception], Answer],
) -> Answer:
    """Return the answer of ``operate``, or the first answer if the key was used before.

    ``refuse`` returns the answer for a refusal of the operation. The key is stored in the
    operation's transaction; any other exception undoes both. Of two concurrent requests the second
    waits for the first. Raises KeyReused and StillRunning.
    """
    try:
        with transaction.atomic():
            return _first_answer(request) or _perform(request, operate, refuse)
    except OperationalError as error:
        # MariaDB: the request that has the key takes too long, or several waited for it and its
        # failure caused a deadlock. Nothing is stored.
        if is_locked(error):
            raise StillRunning from error
        raise


def _first_answer(request: KeyedRequest) -> Answer | None:
    """Reserve the key and return None, or return the answer to its first request."""
    rows = IdempotencyKey.objects.filter(caller=request.caller, key=request.key)
    rows.filter(created_at__lt=request.at - KEPT).delete()
    try:
        with transaction.atomic():
            IdempotencyKey.objects.create(
                caller=request.caller,
                key=request.key,
                request_sha256=request.sha256,
                status_code=0,
                created_at=request.at,
            )
    except IntegrityError:
        row = rows.get()
        if row.request_sha256 != request.sha256:
            raise KeyReused from None
        return Answer(row.status_code, row.body, is_repeated=True)
    return None


def _perform(
    request: KeyedRequest, operate: Callable[[], Answer], refuse: Callable[[Exception], Answer]
) -> Answer:
    try:
        with transaction.atomic():
            answer = operate()
    except REFUSALS as error:
        answer = refuse(error)
    kept = answer.body if len(answer.body) <= BODY_LENGTH_MAX else "null"
    rows = IdempotencyKey.objects.filter(caller=request.caller, key=request.key)
    if not rows.update(status_code=answer.status_code, body=kept):
        raise StillRunning  # a deadlock inside the operation has undone the reservation
    return answer
