"""A sandbox whose clock moves only when a test advances it."""

from collections.abc import Iterator

import pytest

from st2_sandbox import Sandbox, SandboxOptions

from .client import API_KEY, Client, Clock


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def running_sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(api_key=API_KEY, username="st2admin", password="Ch@ngeMe", clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """The module's sandbox, reset and with default options."""
    defaults = SandboxOptions()
    running_sandbox.configure(
        **{name: getattr(defaults, name) for name in SandboxOptions.__dataclass_fields__}
    )
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)
