"""The packs that are installed in StackStorm, and the actions in them."""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from remediation.stackstorm.actions import read_refs
from remediation.stackstorm.answers import Answer
from remediation.stackstorm.errors import StackStormRejected
from remediation.stackstorm.reading import read_answer


def actions_of(name: str, ask: Callable[..., Answer]) -> list[str] | None:
    """Return the refs of a pack's actions, sorted; None if the pack is not installed.

    ``ask``: the client's request for a method and a path.
    """
    path = "/actions"
    answer = ask("GET", path, query={"pack": name, "include_attributes": "ref"})
    refs = read_answer("GET", path, answer, read_refs)
    return refs if refs or _is_installed(name, ask) else None


def _is_installed(name: str, ask: Callable[..., Answer]) -> bool:
    try:
        ask("GET", f"/packs/{quote(name, safe='')}")
    except StackStormRejected as error:
        if error.status == HTTPStatus.NOT_FOUND and "ref or id" in error.message:
            return False
        raise
    return True
