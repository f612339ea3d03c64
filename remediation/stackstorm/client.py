"""Ask StackStorm: one method for each thing that PoundCake needs."""

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
from remediation.stackstorm.answers import Answer
from remediation.stackstorm.credentials import ApiKey, Credentials, Login
from remediation.stackstorm.errors import StackStormRejected, StackStormUnavailable
from remediation.stackstorm.executions import (
    CancelAnswer,
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
from remediation.stackstorm.failures import failure_of, no_answer
from remediation.stackstorm.inquiries import OPEN_STATUS, RUNNER, Inquiry, read_inquiry
from remediation.stackstorm.launch_request import checked_tag, launch_body
from remediation.stackstorm.reading import (
    action_with,
    each,
    each_readable,
    execution_with,
    launch_with,
    read_answer,
    read_version,
)
from remediation.stackstorm.remedies import CHECK_STREAM_URL
from remediation.stackstorm.stream import SILENCE_SECONDS, UPDATE, read_updates
from remediation.stackstorm.transport import NoAnswerError, Transport
from remediation.stackstorm.urls import api_base, stream_base
from remediation.stackstorm.users import UserInfo, read_user

# StackStorm's max_page_size; 150 ids would still fit into its request line, 170 would not.
MAX_IDS_PER_REQUEST = 100

_T = TypeVar("_T")
_State = TypeVar("_State", bound=ExecutionState)
_Opened = TypeVar("_Opened", bound=Answer | Iterator[bytes])
_LATEST = datetime.max.replace(tzinfo=UTC)
_EXECUTION_ID = re.compile(r"[0-9a-f]{24}")


class StackStormClient:
    """StackStorm's API, typed. Safe to use from ``pool_size`` threads at once.

    Every method makes one request (one more for a token, or after a refused one; ``cancel`` reads
    once more after a 500) and raises
    StackStormUnavailable or StackStormRejected, whatever happens on the way. Nothing is
    repeated that may have been carried out.
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
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        ``api_url``, ``auth_url``: in any form that ``api_base`` reads. With an ``api_key`` the
        login is not used; with neither, requests go without credentials. ``timeout``: seconds,
        for the connection and again for every wait for the answer. ``verify``: check TLS
        certificates, with the system's CAs or those of the file or directory named.
        Raises ValueError, naming the setting, for what cannot work.
        """
        self._base = api_base(api_url)
        if isinstance(verify, str) and not Path(verify).exists():
            raise ValueError(f"ST2_CA_BUNDLE names a file that does not exist: {verify}")
        self._transport = Transport(timeout=timeout, verify=verify, pool_size=pool_size)
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
        """Start an action and return its execution, as it is at that moment.

        ``parameters``: ready to be sent; StackStorm renders Jinja in them, so escape first.
        ``trace_tag``: of letters, digits and ``._-``, unique, as ``find_by_trace_tag`` is the
        only way to learn what became of a request without an answer. ``notify_data``: given to
        StackStorm's notification rules at the end of the execution.
        Raises StackStormRejected when StackStorm refuses (it did not start),
        StackStormUnavailable otherwise: only if ``may_have_been_sent`` is False it did not
        start. Raises ValueError or TypeError when the parameters are no JSON (NaN is none).
        """
        body = launch_body(action_ref, parameters, trace_tag=trace_tag, notify_data=notify_data)
        path = "/executions"
        answer = self._ask("POST", path, body=body)
        return read_answer("POST", path, answer, launch_with(trace_tag))

    def executions(self, ids: Sequence[str]) -> list[ExecutionState]:
        """Return how far the executions with these ids are; unknown ones are left out.

        So are those that the answer shows twice or in a form that cannot be read: ask for each of
        them alone. At most MAX_IDS_PER_REQUEST at a time, ValueError above. What cannot be an id
        is unknown too: StackStorm would refuse the whole request for it.
        """
        return self._by_ids(ids, read_state, "status,start_timestamp,end_timestamp")

    def results(self, ids: Sequence[str]) -> list[ExecutionResult]:
        """Return how far the executions with these ids are, with their results.

        As ``executions``; but a result may be large, so it is for those that have ended, and for
        as many at a time as can be held in memory.
        """
        attributes = "status,start_timestamp,end_timestamp,result,children"
        return self._by_ids(ids, read_result, attributes)

    def find_by_trace_tag(
        self, tag: str, *, action_ref: str, after: datetime | None = None
    ) -> list[TracedExecution]:
        """Return the executions of this action that a launch with this tag made, oldest first.

        What StackStorm made of a launch (tasks, retries, re-runs, executions of its rules) is
        left out. Not being found is no proof of absence: a request may still be under way.
        ``after``: only those begun later, by StackStorm's clock; it spares StackStorm a search
        through everything.
        """
        query = {"filter": f"context.trace_context.trace_tag:{checked_tag(tag)}", "rule": "null"}
        if after is not None:
            query["timestamp_gt"] = _stamp(after)
        found = self._executions(
            each(read_traced),
            **query,
            include_attributes="status,start_timestamp,parent,action.ref,context",
        )
        # StackStorm ignores a filter that it does not know and answers with everything it has. An
        # id that it repeats is still one execution.
        launched = {one.id: one for one in found if one.trace_tag == tag and one.is_top_level}
        if not all(one.action_ref for one in launched.values()):
            # What cannot be told from a launch must not be taken for absent: that launches again.
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
        """Return the executions by which somebody ran this one again in StackStorm.

        ``after``: only those begun later, by StackStorm's clock; it spares StackStorm a search
        through everything.
        """
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
        # StackStorm ignores a filter that it does not know and answers with everything it has.
        return [one for one in found if one.rerun_of == execution_id and one.id != execution_id]

    def execution(self, execution_id: str) -> Execution:
        """Return the whole execution; StackStormRejected (404) if there is none (any more)."""
        path = f"/executions/{quote(execution_id, safe='')}"
        return read_answer("GET", path, self._ask("GET", path), execution_with(execution_id))

    def children(self, execution_id: str) -> list[Execution]:
        """Return the tasks of a workflow, of every depth, each complete and once.

        A task that cannot be read is logged and left out.
        """
        path = f"/executions/{quote(execution_id, safe='')}/children"
        found = read_answer("GET", path, self._ask("GET", path), each_readable(read_execution))
        children = {child.id: child for child in found if child.id != execution_id}
        return list(children.values())

    def pending_inquiries(self, workflow_id: str) -> list[Inquiry]:
        """Return the open inquiries that are direct tasks of a workflow, at most 100.

        Those of its sub-workflows are among ``children``; ``has_paused_task`` tells whether
        there can be any.
        """
        found = self._tasks(
            workflow_id,
            runner=RUNNER,
            status=OPEN_STATUS,
            include_attributes="status,parent,result,context,start_timestamp",
        )
        return [read_inquiry(one) for one in found]

    def has_paused_task(self, workflow_id: str) -> bool:
        """Return whether a direct task of a workflow is paused, as a sub-workflow that asks is."""
        attributes = "status,parent"
        return bool(self._tasks(workflow_id, status="paused", include_attributes=attributes))

    def inquiry(self, execution_id: str) -> Inquiry:
        """Return the inquiry that was launched under this id; its ``status`` may be any."""
        return read_inquiry(self.execution(execution_id))

    def _tasks(self, workflow_id: str, *, status: str, **query: str) -> list[Execution]:
        if not _EXECUTION_ID.fullmatch(workflow_id):
            return []
        found = self._executions(
            each_readable(read_execution), parent=workflow_id, status=status, **query
        )
        # StackStorm answers to a filter that it does not know with everything it has.
        return [one for one in found if (one.parent_id, one.status) == (workflow_id, status)]

    def cancel(self, execution_id: str) -> CancelAnswer:
        """Ask to cancel an execution; asking twice does no harm. Poll until its status is final.

        After a 500 it is read once more: without its message bus StackStorm cancels and answers
        500 all the same. Raises StackStormRejected (404) if there is no such execution.
        """
        path = f"/executions/{quote(execution_id, safe='')}"
        try:
            answer = self._ask("DELETE", path)
            return read_answer("DELETE", path, answer, lambda body: read_cancel(body, execution_id))
        except StackStormUnavailable as error:
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            states = self.executions([execution_id])
            if not states or states[0].status not in ("canceling", "canceled"):
                raise
            return CancelAnswer(states[0].status, is_accepted=True)

    def follow(self, stream_url: str) -> Iterator[list[Execution]]:
        """Yield executions when they move, whoever launched them; [] is a sign of life.

        The first one comes once StackStorm sends what happens from then on; what happened before
        is never sent. A stream has no end: raises StackStormUnavailable when it is refused, cut,
        ended or silent. ``stream_url``: in any form that ``stream_base`` reads, else ValueError.
        """
        url = f"{stream_base(stream_url)}/stream?events={UPDATE}"

        def connect(credentials: Mapping[str, str]) -> Answer | Iterator[bytes]:
            return self._transport.open_stream(
                url,
                credentials=credentials,
                secrets=(*self._credentials.secrets(), *credentials.values()),
                silence_seconds=SILENCE_SECONDS,
            )

        try:
            opened = self._authorized(connect)
            if isinstance(opened, Answer):
                raise self._no_stream(opened)
            yield from read_updates(opened)
        except NoAnswerError as error:
            raise no_answer("GET", "/stream", error) from None
        raise _stream_unavailable("StackStorm ended the stream.", status=HTTPStatus.OK)

    def _no_stream(self, answer: Answer) -> StackStormUnavailable:
        is_login = answer.status == HTTPStatus.UNAUTHORIZED
        remedy = self._credentials.remedy if is_login else CHECK_STREAM_URL
        return _stream_unavailable(
            answer.words or "no stream of events", status=answer.status, remedy=remedy
        )

    def action(self, ref: str) -> ActionInfo | None:
        """Return what is registered as ``pack.action``, None if nothing is."""
        path = f"/actions/views/overview/{quote(ref, safe='')}"
        try:
            answer = self._ask("GET", path)
        except StackStormRejected as error:
            # A wrong ST2_API_URL is a 404 too, but does not tell about references.
            if error.status == HTTPStatus.NOT_FOUND and "reference or id" in error.message:
                return None
            raise
        return read_answer("GET", path, answer, action_with(ref))

    def actions_of_pack(self, name: str) -> list[str] | None:
        """Return the refs of a pack's actions, sorted; None if it is not installed."""
        return packs.actions_of(name, self._ask)

    def user(self) -> UserInfo:
        """Return whom StackStorm takes us for: the test of address and credentials."""
        return read_answer("GET", "/user", self._ask("GET", "/user"), read_user)

    def version(self) -> str:
        """Return StackStorm's version, as in ``3.8.1``."""
        return read_answer("GET", "/", self._ask("GET", "/"), read_version)

    def _by_ids(
        self, ids: Sequence[str], read: Callable[[object], _State], attributes: str
    ) -> list[_State]:
        if len(ids) > MAX_IDS_PER_REQUEST:
            raise ValueError(f"ask for at most {MAX_IDS_PER_REQUEST} executions at a time")
        possible = [id_ for id_ in ids if _EXECUTION_ID.fullmatch(id_)]
        # Without an id there is no filter: StackStorm would tell the newest ones of anybody.
        if not possible:
            return []
        found = self._executions(
            each_readable(read), id=",".join(possible), include_attributes=attributes
        )
        # An id that is told twice has two statuses, and neither is known to be right.
        times = Counter(one.id for one in found)
        return [one for one in found if times[one.id] == 1 and one.id in possible]

    def _executions(self, read: Callable[[object], list[_T]], **query: str) -> list[_T]:
        path = "/executions"
        query["limit"] = str(MAX_IDS_PER_REQUEST)
        return read_answer("GET", path, self._ask("GET", path, query=query), read)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Return the answer if it is a success, else raise what it amounts to."""
        url = f"{self._base}{path}"
        if query:
            # StackStorm's own separators stay readable, and a hundred ids short.
            url = f"{url}?{urlencode(query, safe=',:')}"
        answer = self._authorized(
            lambda credentials: self._send(method, path, url, credentials, body)
        )
        if answer.status == (HTTPStatus.CREATED if method == "POST" else HTTPStatus.OK):
            return answer
        raise failure_of(method, path, answer, login_remedy=self._credentials.remedy)

    def _authorized(self, ask: Callable[[Mapping[str, str]], _Opened]) -> _Opened:
        """Return what ``ask`` does; if it is not let in, once more with other credentials."""
        credentials = self._credentials.headers()
        answer = ask(credentials)
        is_refused = isinstance(answer, Answer) and answer.status == HTTPStatus.UNAUTHORIZED
        if is_refused and self._credentials.is_renewable:
            # Whoever is not let in has started nothing: a POST too can be sent again.
            answer = ask(self._credentials.headers(refused=credentials))
        return answer

    def _send(
        self,
        method: str,
        path: str,
        url: str,
        credentials: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        secrets = (*self._credentials.secrets(), *credentials.values())
        try:
            return self._transport.send(
                method, url, credentials=credentials, secrets=secrets, body=body
            )
        except NoAnswerError as error:
            raise no_answer(method, path, error) from None


def _stream_unavailable(words: str, *, status: int, remedy: str = "") -> StackStormUnavailable:
    return StackStormUnavailable(
        "GET", "/stream", words, may_have_been_sent=False, status=status, remedy=remedy
    )


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
