"""Files of PoundCake that only its user may read: the database, the secret key, logs."""

import os
from pathlib import Path

ONLY_OWNER = 0o077  # permissions that are removed


def protect(directory: Path) -> None:
    """Let only the owner read the files that this process creates, and those in the directory.

    Files and directories of other users are left alone.
    """
    os.umask(ONLY_OWNER)
    if directory.is_dir():
        for path in (directory, *directory.iterdir()):
            _protect(path)


def _protect(path: Path) -> None:
    if path.is_symlink():
        return
    status = path.stat()
    if status.st_uid == os.getuid() and status.st_mode & ONLY_OWNER:
        path.chmod(status.st_mode & ~ONLY_OWNER & 0o7777)
