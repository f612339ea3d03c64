"""A fake StackStorm that serves recorded executions to a real client."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import responses

from remediation.stackstorm import StackStormClient
from tests.remediation.stackstorm.recordings import HOST, make_client, recording


class RecordedStackStorm:
    """Responds from recordings; ``show`` adds or replaces executions and their tasks.

    Query filters such as ``parent`` and ``status`` apply to the shown executions, as in StackStorm.
    ``requests``: method and path of each request.
    """

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.shown: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.delete_response: tuple[int, Any] = (500, {"faultstring": "not shown"})
        self.is_shown_after_delete = False
        for method in ("GET", "DELETE"):
            mock.add_callback(method, re.compile(f"{HOST}/v1/executions.*"), self._answer)

    @property
    def client(self) -> StackStormClient:
        return make_client()

    def show(self, *names: str) -> None:
        """Merge the executions of these recordings into those that are served."""
        for name in names:
            body = recording(name).body
            for row in body if isinstance(body, list) else [body]:
                self.shown[row["id"]] = self.shown.get(row["id"], {}) | row

    def answer_delete(self, name: str, *, then_show: bool = False) -> None:
        """Answer every DELETE as recorded; ``then_show``: show the recorded body afterwards."""
        self.delete_response = (recording(name).status, recording(name).body)
        self.is_shown_after_delete = then_show

    def _answer(self, request: Any) -> tuple[int, dict[str, str], str]:
        url = urlsplit(request.url)
        self.requests.append((request.method, url.path + (f"?{url.query}" if url.query else "")))
        status, body = self._response(request.method, url.path.split("/")[3:], parse_qs(url.query))
        return status, {"Content-Type": "application/json"}, json.dumps(body)

    def _response(
        self, method: str, path: list[str], query: dict[str, list[str]]
    ) -> tuple[int, Any]:
        if method == "DELETE":
            if self.is_shown_after_delete:
                self.shown[path[0]] |= self.delete_response[1]
            return self.delete_response
        if not path:
            return 200, [row for row in self.shown.values() if _matches(row, query)]
        if path[0] not in self.shown:
            return 404, {"faultstring": f'Unable to identify resource with id "{path[0]}".'}
        if path[1:] == ["children"]:
            return 200, self._descendants(path[0])
        return 200, self.shown[path[0]]

    def _descendants(self, parent: str) -> list[dict[str, Any]]:
        tasks = [row for row in self.shown.values() if _parent_of(row) == parent]
        return [one for task in tasks for one in (task, *self._descendants(task["id"]))]


def _matches(row: dict[str, Any], query: dict[str, list[str]]) -> bool:
    actual = {
        "parent": _parent_of(row),
        "status": row["status"],
        "runner": row.get("runner", {}).get("name"),
    }
    wanted = {name: query[name][0] for name in actual if name in query}
    ids = query.get("id", [row["id"]])[0].split(",")
    return row["id"] in ids and all(actual[name] == value for name, value in wanted.items())


def _parent_of(row: dict[str, Any]) -> str | None:
    parent: str | None = row.get("context", {}).get("parent", {}).get("execution_id")
    return row.get("parent", parent)
