"""The StackStorm client: one method for each request that PoundCake needs."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

from remediation.stackstorm import packs
from remediation.stackstorm.actions import ActionInfo
from remediation.stackstorm.credentials import ApiKey, Credentials, Login
from remediation.stackstorm.error_hints import CHECK_STREAM_URL
from remediation.stackstorm.errors import StackStormRejected, StackStormUnavailable
from remediation.stackstorm.executions import (
    CancelResult,
    Execution,
    ExecutionResult,
    ExecutionState,
    RerunExecution,
    TracedExecution,
    read_cancel,
    read_execution,
    read_rerun,
    read_result,
    read_state,
    read_traced,
)
from remediation.stackstorm.inquiries import OPEN_STATUS, RUNNER, Inquiry, read_inquiry
from remediation.stackstorm.launch_request import checked_tag, launch_body
from remediation.stackstorm.response_errors import error_for_response, error_without_response
from remediation.stackstorm.response_readers import (
    action_with,
    each,
    each_readable,
    execution_with,
    launch_with,
    read_response,
    read_version,
)
from remediation.stackstorm.responses import Response
from remediation.stackstorm.stream import SILENCE_SECONDS, UPDATE, read_updates
from remediation.stackstorm.transport import NoResponseError, RequestObserver, Transport
from remediation.stackstorm.urls import api_base, stream_base
from remediation.stackstorm.users import UserInfo, read_user

# StackStorm's max_page_size. Its request line would take 150 ids, but not 170.
MAX_IDS_PER_REQUEST = 100

_T = TypeVar("_T")
_State = TypeVar("_State", bound=ExecutionState)
_Opened = TypeVar("_Opened", bound=Response | Iterator[bytes])
_LATEST = datetime.max.replace(tzinfo=UTC)
_EXECUTION_ID = re.compile(r"[0-9a-f]{24}")


class StackStormClient:
    """A typed client for StackStorm's API. Up to ``pool_size`` threads can use it.

    Each method makes one request, plus one for a token or after a refused token; ``cancel`` reads
    once more after a 500. Every failure raises StackStormUnavailable or StackStormRejected. A
    request that may have been executed is never retried.
    """

    def __init__(
        self,
        *,
        api_url: str,
        api_key: str = "",
        auth_url: str = "",
        username: str = "",
        password: str = "",
        timeout: float,
        verify: bool | str = True,
        pool_size: int = 10,
        on_request: RequestObserver | None = None,
    ) -> None:
        """Create a client; this sends nothing.

        ``api_url``, ``auth_url``: any form that ``api_base`` accepts. An ``api_key`` takes
        precedence over the login; without both, requests have no credentials. ``timeout``: seconds
        for the connection, and again for each wait for the response. ``verify``: verify TLS
        certificates with the system's CAs, or with those of a file or directory.
        Raises ValueError with the name of a wrong setting.
        """
        self._base = api_base(api_url)
        if isinstance(verify, str) and not Path(verify).exists():
            raise ValueError(f"ST2_CA_BUNDLE names a file that does not exist: {verify}")
        self._transport = Transport(
            timeout=timeout, verify=verify, pool_size=pool_size, on_request=on_request
        )
        self._credentials: Credentials = ApiKey(api_key)
        if username and not api_key:
            if not password or not auth_url:
                raise ValueError("ST2_USERNAME needs ST2_PASSWORD and ST2_AUTH_URL")
            self._credentials = Login(
                self._transport,
                auth_base=api_base(auth_url, setting="ST2_AUTH_URL"),
                username=username,
                password=password,
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(api_url={self._base!r})"

    def close(self) -> None:
        """Close the pooled connections."""
        self._transport.close()

    def run_action(
        self,
        action_ref: str,
        parameters: Mapping[str, object],
        *,
        trace_tag: str,
        notify_data: Mapping[str, object] | None = None,
    ) -> Execution:
        """Start an action and return its new execution.

        ``parameters``: StackStorm renders Jinja in them, so they must be escaped.
        ``trace_tag``: unique, of letters, digits and ``._-``; after a request without a response,
        only ``find_by_trace_tag`` can find the execution. ``notify_data``: passed to StackStorm's
        notification rules when the execution ends.
        Raises StackStormRejected if StackStorm refuses, which starts nothing, else
        StackStormUnavailable, which starts nothing only if ``may_have_been_sent`` is False.
        Raises ValueError or TypeError if the parameters are not JSON (NaN is not).
        """
        body = launch_body(action_ref, parameters, trace_tag=trace_tag, notify_data=notify_data)
        path = "/executions"
        response = self._request("POST", path, body=body)
        return read_response("POST", path, response, launch_with(trace_tag))

    def executions(self, ids: Sequence[str]) -> list[ExecutionState]:
        """Return the states of the executions with these ids, without those that are unknown.

        Executions that the response contains twice or in an unreadable form are left out too;
        request each of them alone. Invalid ids are never sent, because StackStorm would refuse the
        request. Raises ValueError for more than MAX_IDS_PER_REQUEST ids.
        """
        return self._by_ids(ids, read_state, "status,start_timestamp,end_timestamp")

    def results(self, ids: Sequence[str]) -> list[ExecutionResult]:
        """Return the states and results of the executions with these ids, as ``executions`` does.

        Results may be large: request only ended executions, and few at a time.
        """
        attributes = "status,start_timestamp,end_timestamp,result,children"
        return self._by_ids(ids, read_result, attributes)

    def find_by_trace_tag(
        self, tag: str, *, action_ref: str, after: datetime | None = None
    ) -> list[TracedExecution]:
        """Return the executions of this action that a launch with this tag created, oldest first.

        Tasks, retries, re-runs and executions of rules are left out. An empty result does not prove
        that none will come: a request may still be in flight. ``after``: only executions that
        started later, by StackStorm's clock, which makes the search cheaper.
        """
        query = {"filter": f"context.trace_context.trace_tag:{checked_tag(tag)}", "rule": "null"}
        if after is not None:
            query["timestamp_gt"] = _stamp(after)
        found = self._executions(
            each(read_traced),
            **query,
            include_attributes="status,start_timestamp,parent,action.ref,context",
        )
        # StackStorm ignores an unknown filter and returns all executions. An id that appears twice
        # is one execution.
        launched = {one.id: one for one in found if one.trace_tag == tag and one.is_top_level}
        if not all(one.action_ref for one in launched.values()):
            # If a launch cannot be recognized, it must not count as absent: it would be sent again.
            raise StackStormUnavailable(
                "GET",
                "/executions",
                f"an execution with the trace tag {tag} is shown without its action",
                may_have_been_sent=True,
                status=HTTPStatus.OK,
            )
        launches = [one for one in launched.values() if one.action_ref == action_ref]
        return sorted(launches, key=lambda one: one.start_timestamp or _LATEST)

    def reruns(self, execution_id: str, *, after: datetime | None = None) -> list[RerunExecution]:
        """Return the re-runs of an execution. ``after``: as for ``find_by_trace_tag``."""
        if not _EXECUTION_ID.fullmatch(execution_id):
            return []
        query = {"filter": f"context.re-run.ref:{execution_id}"}
        if after is not None:
            query["timestamp_gt"] = _stamp(after)
        found = self._executions(
            each_readable(read_rerun),
            **query,
            include_attributes="status,start_timestamp,context,web_url",
        )
        # StackStorm ignores an unknown filter and returns all executions.
        return [one for one in found if one.rerun_of == execution_id and one.id != execution_id]

    def execution(self, execution_id: str) -> Execution:
        """Return the complete execution; StackStormRejected (404) if it does not exist."""
        path = f"/executions/{quote(execution_id, safe='')}"
        return read_response("GET", path, self._request("GET", path), execution_with(execution_id))

    def children(self, execution_id: str) -> list[Execution]:
        """Return the tasks of a workflow at every depth, each complete and once.

        An unreadable task is logged and skipped.
        """
        path = f"/executions/{quote(execution_id, safe='')}/children"
        found = read_response(
            "GET", path, self._request("GET", path), each_readable(read_execution)
        )
        children = {child.id: child for child in found if child.id != execution_id}
        return list(children.values())

    def pending_inquiries(self, workflow_id: str) -> list[Inquiry]:
        """Return the open inquiries that are direct tasks of a workflow, at most 100.

        Inquiries of sub-workflows are in ``children``; they exist only if ``has_paused_task``.
        """
        found = self._tasks(
            workflow_id,
            runner=RUNNER,
            status=OPEN_STATUS,
            include_attributes="status,parent,result,context,start_timestamp",
        )
        return [read_inquiry(one) for one in found]

    def has_paused_task(self, workflow_id: str) -> bool:
        """Return whether a direct task is paused, as a sub-workflow with an open inquiry is."""
        attributes = "status,parent"
        return bool(self._tasks(workflow_id, status="paused", include_attributes=attributes))

    def inquiry(self, execution_id: str) -> Inquiry:
        """Return the inquiry with this id, in any status."""
        return read_inquiry(self.execution(execution_id))

    def _tasks(self, workflow_id: str, *, status: str, **query: str) -> list[Execution]:
        if not _EXECUTION_ID.fullmatch(workflow_id):
            return []
        found = self._executions(
            each_readable(read_execution), parent=workflow_id, status=status, **query
        )
        # StackStorm ignores an unknown filter and returns all executions.
        return [one for one in found if (one.parent_id, one.status) == (workflow_id, status)]

    def cancel(self, execution_id: str) -> CancelResult:
        """Cancel an execution. The request is idempotent; poll until the status is final.

        After a 500 the execution is read once: without its message bus, StackStorm cancels and
        still responds 500. Raises StackStormRejected (404) if the execution does not exist.
        """
        path = f"/executions/{quote(execution_id, safe='')}"
        try:
            response = self._request("DELETE", path)
            return read_response(
                "DELETE", path, response, lambda body: read_cancel(body, execution_id)
            )
        except StackStormUnavailable as error:
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            states = self.executions([execution_id])
            if not states or states[0].status not in ("canceling", "canceled"):
                raise
            return CancelResult(states[0].status, is_accepted=True)

    def follow(self, stream_url: str) -> Iterator[list[Execution]]:
        """Yield lists of updated executions of all clients; an empty list is a heartbeat.

        The first list means that the stream is connected; earlier events are never sent. Raises
        StackStormUnavailable if the stream is refused, broken, ended or silent. ``stream_url``: any
        form that ``stream_base`` accepts, else ValueError.
        """
        url = f"{stream_base(stream_url)}/stream?events={UPDATE}"

        def connect(credentials: Mapping[str, str]) -> Response | Iterator[bytes]:
            return self._transport.open_stream(
                url,
                credentials=credentials,
                secrets=(*self._credentials.secrets(), *credentials.values()),
                silence_seconds=SILENCE_SECONDS,
            )

        try:
            opened = self._authorized(connect)
            if isinstance(opened, Response):
                raise self._no_stream(opened)
            yield from read_updates(opened)
        except NoResponseError as error:
            raise error_without_response("GET", "/stream", error) from None
        raise _stream_unavailable("StackStorm ended the stream.", status=HTTPStatus.OK)

    def _no_stream(self, response: Response) -> StackStormUnavailable:
        is_login = response.status == HTTPStatus.UNAUTHORIZED
        hint = self._credentials.hint if is_login else CHECK_STREAM_URL
        return _stream_unavailable(
            response.error_text or "no event stream", status=response.status, hint=hint
        )

    def action(self, ref: str) -> ActionInfo | None:
        """Return the action ``pack.action``, or None if it is not registered."""
        path = f"/actions/views/overview/{quote(ref, safe='')}"
        try:
            response = self._request("GET", path)
        except StackStormRejected as error:
            # With a wrong ST2_API_URL the 404 has another text.
            if error.status == HTTPStatus.NOT_FOUND and "reference or id" in error.message:
                return None
            raise
        return read_response("GET", path, response, action_with(ref))

    def actions_of_pack(self, name: str) -> list[str] | None:
        """Return the refs of a pack's actions, sorted; None if it is not installed."""
        return packs.actions_of(name, self._request)

    def user(self) -> UserInfo:
        """Return the StackStorm user; checks the URL and the credentials."""
        return read_response("GET", "/user", self._request("GET", "/user"), read_user)

    def version(self) -> str:
        """Return StackStorm's version, as in ``3.8.1``."""
        return read_response("GET", "/", self._request("GET", "/"), read_version)

    def _by_ids(
        self, ids: Sequence[str], read: Callable[[object], _State], attributes: str
    ) -> list[_State]:
        if len(ids) > MAX_IDS_PER_REQUEST:
            raise ValueError(f"request at most {MAX_IDS_PER_REQUEST} executions at a time")
        valid = [id_ for id_ in ids if _EXECUTION_ID.fullmatch(id_)]
        # Without an id there is no filter, and StackStorm would return the newest executions.
        if not valid:
            return []
        found = self._executions(
            each_readable(read), id=",".join(valid), include_attributes=attributes
        )
        # An id that appears twice has two statuses, and neither is reliable.
        counts = Counter(one.id for one in found)
        return [one for one in found if counts[one.id] == 1 and one.id in valid]

    def _executions(self, read: Callable[[object], list[_T]], **query: str) -> list[_T]:
        path = "/executions"
        query["limit"] = str(MAX_IDS_PER_REQUEST)
        return read_response("GET", path, self._request("GET", path, query=query), read)

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Return a successful response; raise the error of any other."""
        url = f"{self._base}{path}"
        if query:
            # Unescaped separators keep a hundred ids short enough.
            url = f"{url}?{urlencode(query, safe=',:')}"
        response = self._authorized(
            lambda credentials: self._send(method, path, url, credentials, body)
        )
        if response.status == (HTTPStatus.CREATED if method == "POST" else HTTPStatus.OK):
            return response
        raise error_for_response(method, path, response, login_hint=self._credentials.hint)

    def _authorized(self, send: Callable[[Mapping[str, str]], _Opened]) -> _Opened:
        """Return ``send(credentials)``; after a 401, once more with new credentials."""
        credentials = self._credentials.headers()
        response = send(credentials)
        is_refused = isinstance(response, Response) and response.status == HTTPStatus.UNAUTHORIZED
        if is_refused and self._credentials.is_renewable:
            # A request with a 401 started nothing, so a POST can be sent again too.
            response = send(self._credentials.headers(refused=credentials))
        return response

    def _send(
        self,
        method: str,
        path: str,
        url: str,
        credentials: Mapping[str, str],
        body: bytes | None,
    ) -> Response:
        secrets = (*self._credentials.secrets(), *credentials.values())
        try:
            return self._transport.send(
                method, url, credentials=credentials, secrets=secrets, body=body
            )
        except NoResponseError as error:
            raise error_without_response(method, path, error) from None


def _stream_unavailable(text: str, *, status: int, hint: str = "") -> StackStormUnavailable:
    return StackStormUnavailable(
        "GET", "/stream", text, may_have_been_sent=False, status=status, hint=hint
    )


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
