"""Trace tags, which identify our executions in StackStorm.

The tags of an automatic run are derived from its alert and bucket, and those of later steps and
attempts from the first one. After a backup is restored, the same work gets the same tags again, so
that launches which the backup does not contain are found in StackStorm instead of repeated.
"""

from __future__ import annotations

import datetime

from django.utils.crypto import salted_hmac

from remediation.models.ids import new_id

PREFIX = "poundcake-"
_TIME_DIGITS = 12  # of new_id: milliseconds
_HASH_DIGITS = 20


def new_trace_tag() -> str:
    """Return a random tag, for work that an operator starts."""
    return f"{PREFIX}{new_id()}"


def of_automatic_run(*, fingerprint: str, starts_at: datetime.datetime, bucket_id: int) -> str:
    """Return the tag of the first execution of the automatic run of an episode.

    Like ``new_id`` it begins with a time, so that successive tags are neighbors in the index.
    """
    milliseconds = max(0, int(starts_at.timestamp() * 1000))
    instant = starts_at.astimezone(datetime.UTC).isoformat()
    return _derive(f"{milliseconds:012x}", fingerprint, instant, str(bucket_id))


def of_later_execution(first: str, *, step_order: int, attempt: int) -> str:
    """Return the tag of a later step or attempt of the run whose first execution has ``first``."""
    milliseconds = first.removeprefix(PREFIX)[:_TIME_DIGITS]
    return _derive(milliseconds, first, str(step_order), str(attempt))


def _derive(milliseconds: str, *parts: str) -> str:
    # Keyed, because several installations may share one StackStorm and receive the same alerts.
    digest = salted_hmac("poundcake.trace_tag", "\n".join(parts), algorithm="sha256").hexdigest()
    return f"{PREFIX}{milliseconds}{digest[:_HASH_DIGITS]}"
