"""Only the owner can read PoundCake's files."""

import os
import stat

import pytest

from poundcake import private_files


@pytest.fixture(autouse=True)
def _umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_existing_and_new_files_are_private(tmp_path):
    var = tmp_path / "var"
    var.mkdir(mode=0o755)
    for name in ("poundcake.sqlite3", "poundcake.sqlite3-wal", "poundcake.log"):
        (var / name).touch(mode=0o644)
    outside = tmp_path / "outside"
    outside.touch(mode=0o644)
    (var / "link").symlink_to(outside)

    private_files.protect(var)
    (var / "new").touch()

    assert mode(var) == 0o700
    names = ("poundcake.sqlite3", "poundcake.sqlite3-wal", "poundcake.log", "new")
    assert {name: mode(var / name) for name in names} == dict.fromkeys(names, 0o600)
    assert mode(outside) == 0o644


def test_a_missing_directory_is_no_error(tmp_path):
    private_files.protect(tmp_path / "missing")
