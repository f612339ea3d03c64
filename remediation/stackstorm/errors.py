"""The errors of the StackStorm client. Callers only need to know whether to retry.

    Exception
    └── StackStormError               method, path, status, message, hint
        ├── StackStormUnavailable     retry later; may_have_been_sent: StackStorm may have acted
        └── StackStormRejected        the same request would be refused again

``message`` is StackStorm's or the network's error text, shortened. It never contains the key, the
token or the password.
"""


class StackStormError(Exception):
    """A request to StackStorm failed.

    ``path``: below the API's base, without the query. ``status``: of the HTTP response, None
    without one. ``hint``: how to fix the cause, or empty.
    """

    def __init__(
        self, method: str, path: str, message: str, *, status: int | None, hint: str
    ) -> None:
        super().__init__(method, path, message, status)
        self.method = method
        self.path = path
        self.message = message
        self.status = status
        self.hint = hint

    def _sentence(self, beginning: str) -> str:
        if not self.hint:
            return f"{beginning}: {self.message}"
        end = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{beginning}: {self.message}{end} {self.hint}"


class StackStormUnavailable(StackStormError):
    """StackStorm gave no usable response; the same request may succeed later.

    ``may_have_been_sent``: False only if StackStorm certainly did not act on the request. True
    means that it may have acted, or may still act. ``by_gateway``: a proxy in front of StackStorm
    responded (502, 503, 504). ``retry_after``: seconds of the Retry-After header, or None.
    """

    def __init__(
        self,
        method: str,
        path: str,
        message: str,
        *,
        may_have_been_sent: bool,
        status: int | None = None,
        hint: str = "",
        by_gateway: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(method, path, message, status=status, hint=hint)
        self.may_have_been_sent = may_have_been_sent
        self.by_gateway = by_gateway
        self.retry_after = retry_after

    @property
    def stops_others(self) -> bool:
        """Whether other requests would fail too: no connection, a refusal, or a 5xx."""
        return not self.may_have_been_sent or (self.status or 0) >= 500

    def __str__(self) -> str:
        if self.status is not None:
            return self._sentence(
                f"StackStorm returned {self.status} for {self.method} {self.path}"
            )
        if self.may_have_been_sent:
            return self._sentence(f"StackStorm gave no response to {self.method} {self.path}")
        return self._sentence(f"StackStorm was not reached for {self.method} {self.path}")


class StackStormRejected(StackStormError):
    """StackStorm refused the request and did nothing; a retry is useless."""

    status: int

    def __init__(self, method: str, path: str, status: int, message: str, hint: str = "") -> None:
        super().__init__(method, path, message, status=status, hint=hint)

    def __str__(self) -> str:
        return self._sentence(f"StackStorm rejected {self.method} {self.path} ({self.status})")
