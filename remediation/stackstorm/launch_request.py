"""The body of the request that starts an action."""

import json
import re
from collections.abc import Mapping

# A rule on core.st2.generic.notifytrigger recognizes our executions by this route.
NOTIFY_ROUTE = "poundcake"

_TRACE_TAG = re.compile(r"[A-Za-z0-9._-]+")


def launch_body(
    action_ref: str,
    parameters: Mapping[str, object],
    *,
    trace_tag: str,
    notify_data: Mapping[str, object] | None,
) -> bytes:
    """Return the JSON body; raise ValueError or TypeError if the parameters are not JSON."""
    body: dict[str, object] = {
        "action": action_ref,
        "parameters": parameters,
        "context": {"trace_context": {"trace_tag": checked_tag(trace_tag)}},
    }
    if notify_data is not None:
        body["notify"] = {
            "on-complete": {
                "routes": [NOTIFY_ROUTE],
                "message": "An execution that PoundCake launched has ended.",
                "data": notify_data,
            }
        }
    return json.dumps(body, allow_nan=False).encode()


def checked_tag(tag: str) -> str:
    """Return the trace tag; raise ValueError if StackStorm could not search for it."""
    # StackStorm splits filters at spaces and colons, and refuses an empty tag.
    if not _TRACE_TAG.fullmatch(tag):
        raise ValueError("a trace tag has only letters, digits, dots, dashes and underscores")
    return tag
