"""Record logins, failed logins, lockouts and logouts as audit events."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

from remediation import clock
from remediation.admin.login import known_name
from remediation.models import ActorKind, AuditEvent, Cause
from remediation.values.clients import client_address

logger = logging.getLogger(__name__)

FAILURES_PERIOD = datetime.timedelta(hours=1)
FAILURES_MAX = 1_000  # recorded failures of one client in the period

Kind = AuditEvent.Kind


def connect() -> None:
    """Record the logins of this process from now on."""
    user_logged_in.connect(_logged_in)
    user_logged_out.connect(_logged_out)
    user_login_failed.connect(_failed)
    user_locked_out.connect(_locked)


def _logged_in(*, request: Any, user: Any, **_signal: Any) -> None:
    name = user.get_username()
    AuditEvent.record(Kind.LOGIN, subject=name, cause=_cause(request, name, ActorKind.USER))


def _logged_out(*, request: Any, user: Any, **_signal: Any) -> None:
    if user is not None:
        name = user.get_username()
        AuditEvent.record(Kind.LOGOUT, subject=name, cause=_cause(request, name, ActorKind.USER))


def _failed(*, credentials: dict[str, Any], request: Any = None, **_signal: Any) -> None:
    """Record a failure, but none during a lockout: its password was not checked."""
    if request is None or _is_refused(request):
        return
    # Only the name of a user is stored: other text may be a password in the wrong field.
    name = known_name(str(credentials.get("username") or ""))
    cause = _cause(request, name)
    recent = AuditEvent.objects.filter(
        kind=Kind.LOGIN_FAILED,
        client_host=cause.client_host,
        at__gt=cause.at - FAILURES_PERIOD,
    )
    count = recent.count() + 1
    if count > FAILURES_MAX:
        logger.warning("A failed login from %s is not recorded: too many.", cause.client_host)
        return
    data: dict[str, Any] = {} if name else {"reason": "there is no user with this name"}
    if count == FAILURES_MAX:
        data["last"] = "further failures of this client are not recorded for an hour"
    AuditEvent.record(Kind.LOGIN_FAILED, subject=name, cause=cause, data=data)


def _locked(*, request: Any, username: str, **_signal: Any) -> None:
    """Record the begin of a lockout. django-axes reports every attempt during it, too."""
    if not _is_refused(request):
        name = known_name(username)
        AuditEvent.record(Kind.LOGIN_LOCKED, subject=name, cause=_cause(request, name))


def _is_refused(request: Any) -> bool:
    """Return whether the attempt came during a lockout, so that nothing was counted."""
    is_locked = getattr(request, "axes_locked_out", False)
    return is_locked and request.axes_failures_since_start is None


def _cause(request: Any, name: str, kind: str = "") -> Cause:
    return Cause(
        at=clock.now(),
        actor=name,
        actor_kind=kind,
        client_host=client_address(request),
        request_id=getattr(request, "request_id", ""),
    )
