"""What can go wrong with StackStorm, seen by the only question a caller has: try again?

    Exception
    └── StackStormError               method, path, status, message, remedy
        ├── StackStormUnavailable     try again later; may_have_been_sent says what is at stake
        └── StackStormRejected        the same request would be refused again

``message`` is in StackStorm's own words, or the network's, shortened; it never holds the key,
the token or the password.
"""


class StackStormError(Exception):
    """A request to StackStorm that did not do what was asked.

    ``path``: below the API's base, without the query. ``status``: of the HTTP answer, None
    when there was none. ``remedy``: what a person can do about it, or empty.
    """

    def __init__(
        self, method: str, path: str, message: str, *, status: int | None, remedy: str
    ) -> None:
        super().__init__(method, path, message, status)
        self.method = method
        self.path = path
        self.message = message
        self.status = status
        self.remedy = remedy

    def _sentence(self, beginning: str) -> str:
        if not self.remedy:
            return f"{beginning}: {self.message}"
        end = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{beginning}: {self.message}{end} {self.remedy}"


class StackStormUnavailable(StackStormError):
    """StackStorm gave no usable answer; the same request may succeed later.

    ``may_have_been_sent``: False only when it is certain that StackStorm did not act on the
    request. True means nobody knows: what was asked may have happened, or may still.
    ``by_gateway``: a proxy before StackStorm answered (502, 503, 504). ``retry_after``: for how
    many seconds StackStorm or its proxy asks not to be called, None if it does not say.
    """

    def __init__(
        self,
        method: str,
        path: str,
        message: str,
        *,
        may_have_been_sent: bool,
        status: int | None = None,
        remedy: str = "",
        by_gateway: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(method, path, message, status=status, remedy=remedy)
        self.may_have_been_sent = may_have_been_sent
        self.by_gateway = by_gateway
        self.retry_after = retry_after

    @property
    def stops_others(self) -> bool:
        """Whether other calls would fail too now: no connection, a refusal, or a 5xx answer."""
        return not self.may_have_been_sent or (self.status or 0) >= 500

    def __str__(self) -> str:
        if self.status is not None:
            return self._sentence(f"StackStorm answered {self.method} {self.path} ({self.status})")
        if self.may_have_been_sent:
            return self._sentence(f"StackStorm gave no answer to {self.method} {self.path}")
        return self._sentence(f"StackStorm was not reached for {self.method} {self.path}")


class StackStormRejected(StackStormError):
    """StackStorm refused the request and did nothing; repeating it is useless."""

    status: int

    def __init__(self, method: str, path: str, status: int, message: str, remedy: str = "") -> None:
        super().__init__(method, path, message, status=status, remedy=remedy)

    def __str__(self) -> str:
        return self._sentence(f"StackStorm rejected {self.method} {self.path} ({self.status})")
