"""What every test of the StackStorm client stands on."""

from collections.abc import Iterator

import pytest
import responses


@pytest.fixture
def st2() -> Iterator[responses.RequestsMock]:
    """A StackStorm that gives the declared answers, and must be asked for each of them."""
    with responses.RequestsMock() as mock:
        yield mock
