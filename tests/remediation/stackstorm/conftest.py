"""Fixtures for the tests of the StackStorm client."""

from collections.abc import Iterator

import pytest
import responses


@pytest.fixture
def st2() -> Iterator[responses.RequestsMock]:
    """A mocked StackStorm; each declared response must be requested."""
    with responses.RequestsMock() as mock:
        yield mock
