"""A process runner on a database of its own."""

from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from itertools import count

import pytest

from tests.functional.crash import process_runner
from tests.functional.crash.process_runner import API_KEY, ProcessRunner

numbers = count(1)


@pytest.fixture
def database_url(database, request, tmp_path) -> str:
    if database == "sqlite":
        return f"sqlite:///{tmp_path / 'crash.sqlite3'}"
    server = request.getfixturevalue("mariadb_server")
    with closing(import_module("MySQLdb").connect(unix_socket=str(server.unix_socket))) as mariadb:
        mariadb.query("CREATE DATABASE " + (name := f"crash{next(numbers)}"))
    return str(server.database_url).replace("/poundcake?", f"/{name}?")


@pytest.fixture
def processes(database_url, sandbox) -> Iterator[ProcessRunner]:
    environment = {
        "DATABASE_URL": database_url,
        "ST2_API_URL": sandbox.url,
        "ST2_API_KEY": API_KEY,
        "CONFIG_STACKSTORM": sandbox.url,
        "LOCAL_ACTION_ALLOWED_NETWORKS": "127.0.0.0/8",
        "SECRET_KEY": "crash-tests-0123456789-0123456789-0123456789",
        "LOG_LEVEL": "CRITICAL",
    }
    with process_runner.running(environment) as runner:
        yield runner
