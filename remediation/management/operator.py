"""The operator who runs a management command."""

import getpass
import os


def operator_name() -> str:
    """Return the login name of the operator, for the audit trail."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container a uid may have no name.
        return f"uid {os.getuid()}"
