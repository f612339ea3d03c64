"""A fake StackStorm for demos and tests: it serves StackStorm's HTTP API and executes nothing.

Its responses match recordings of a real StackStorm: `tests/st2_sandbox/test_conformance.py` replays
`tests/contracts/stackstorm` against it. It identifies itself as a fake at startup, in the `Server`
header and at `/`. Executions change status with time. `SandboxOptions` sets their outcomes and
injects faults. `Sandbox` and the endpoints under `/sandbox` show the received requests.
"""

from .http_messages import SERVER_BANNER
from .options import OptionError, SandboxOptions
from .server import Sandbox

__all__ = ["SERVER_BANNER", "OptionError", "Sandbox", "SandboxOptions"]
