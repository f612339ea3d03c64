"""The operator who runs a management command."""

import getpass
import os

from remediation.models import ActorKind, Cause


def operator_cause() -> Cause:
    """Return the operator, by the name of the operating system, as the cause of a change."""
    return Cause(actor=_operator_name(), actor_kind=ActorKind.COMMAND)


def _operator_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container a uid may have no name.
        return f"uid {os.getuid()}"
