"""Who types a command."""

import getpass
import os


def operator() -> str:
    """Return the name of the person at the command line, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container a uid needs no name.
        return f"uid {os.getuid()}"
