"""Error responses of a rate limiter or a proxy in front of StackStorm.

Only StackStorm's own nginx is recorded, so these are nginx's default error pages.
"""

import random
import threading
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from .http_messages import HttpResponse, error_page
from .options import SandboxOptions

CONTENT = "<hr><center>nginx</center>"


class ProxyRefusals:
    """Selects the requests to refuse; the same seed and order of requests repeat the selection."""

    def __init__(self, options: SandboxOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._random = random.Random(options.seed)  # noqa: S311 - repeatable, no secret
        self._passed: deque[float] = deque()
        self._lock = threading.Lock()

    def next(self) -> HttpResponse | None:
        """Return the refusal of the next request, None if it passes."""
        with self._lock:
            if self._options.refusal_status and self._random.random() < self._options.refusal_rate:
                return self._refusal(self._options.refusal_status)
            if self._is_beyond_limit():
                return self._refusal(self._options.refusal_status or 429)
        return None

    def _is_beyond_limit(self) -> bool:
        limit = self._options.limit_per_second
        if not limit:
            return False
        now = self._clock()
        while self._passed and self._passed[0] <= now - 1.0:
            self._passed.popleft()
        if len(self._passed) >= limit:
            return True
        self._passed.append(now)
        return False

    def _refusal(self, status: int) -> HttpResponse:
        page = error_page(status, f"{status} {HTTPStatus(status).phrase}", CONTENT)
        headers = dict(page.headers)
        if self._options.retry_after:
            headers["Retry-After"] = self._options.retry_after
        return HttpResponse(status, page.body, headers, page.content_type)
