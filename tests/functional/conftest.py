"""Real servers as fixtures. Without the program a test is skipped; in CI it fails."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers import alertmanager, mariadb, skip_if_missing
from tests.servers.alertmanager import Alertmanager
from tests.servers.mariadb import MariaDB


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """A MariaDB server, not the one that the other tests may use."""
    with skip_if_missing(mariadb.running()) as server:
        yield server


@pytest.fixture
def start_alertmanager() -> Iterator[Callable[..., Alertmanager]]:
    """Start an Alertmanager with the arguments of ``alertmanager.running``."""
    with ExitStack() as stack:

        def start(**options: str) -> Alertmanager:
            return stack.enter_context(skip_if_missing(alertmanager.running(**options)))

        yield start
