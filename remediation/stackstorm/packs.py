"""StackStorm's installed packs and their actions."""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from remediation.stackstorm.actions import read_refs
from remediation.stackstorm.errors import StackStormRejected
from remediation.stackstorm.response_readers import read_response
from remediation.stackstorm.responses import Response


def actions_of(name: str, send: Callable[..., Response]) -> list[str] | None:
    """Return the refs of a pack's actions, sorted; None if the pack is not installed.

    ``send``: sends a request with a method and a path.
    """
    path = "/actions"
    response = send("GET", path, query={"pack": name, "include_attributes": "ref"})
    refs = read_response("GET", path, response, read_refs)
    return refs if refs or _is_installed(name, send) else None


def _is_installed(name: str, send: Callable[..., Response]) -> bool:
    try:
        send("GET", f"/packs/{quote(name, safe='')}")
    except StackStormRejected as error:
        if error.status == HTTPStatus.NOT_FOUND and "ref or id" in error.message:
            return False
        raise
    return True
