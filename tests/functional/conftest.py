"""Real parts as fixtures; one that is missing skips its tests, or fails them in CI."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers import alertmanager, mariadb, skip_if_missing
from tests.servers.alertmanager import Alertmanager
from tests.servers.mariadb import MariaDB


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """A MariaDB server beside the one that the tests may run on."""
    with skip_if_missing(mariadb.running()) as server:
        yield server


@pytest.fixture
def start_alertmanager() -> Iterator[Callable[..., Alertmanager]]:
    """Start an Alertmanager for a webhook: takes what ``alertmanager.running`` takes."""
    with ExitStack() as stack:

        def start(**options: str) -> Alertmanager:
            return stack.enter_context(skip_if_missing(alertmanager.running(**options)))

        yield start
