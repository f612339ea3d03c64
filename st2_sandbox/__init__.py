"""A StackStorm to try things on: a real HTTP server that answers as recorded, executes nothing.

It is a stand-in that says it is one: in its banner, in the `Server` header and at `/`. Its states
move with time, its outcomes and faults can be chosen (`SandboxOptions`), and what it was asked can
be looked at. A test replays the recordings against it.
"""

from .http_messages import SERVER_BANNER
from .options import OptionError, SandboxOptions
from .server import Sandbox

__all__ = ["SERVER_BANNER", "OptionError", "Sandbox", "SandboxOptions"]
