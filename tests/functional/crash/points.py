"""The points at which a process can be cut off: around every commit and every HTTP request.

They are counted, so that of one story the same number is always the same point.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from django.db import OperationalError, connection
from requests.adapters import HTTPAdapter

WRITES = ("INSERT", "UPDATE", "DELETE")
OTHER_WORKER = "another worker"
# Where the process holds no lock of the database, which would stop all others as well.
FREEZABLE = ("after the commit", "before the request", "after the request", "after the UPDATE")
OURS = ("remediation.engine", "audit")


@dataclass
class Points:
    """Counts from 1. At ``kill_at`` the process dies, at ``cut_at`` the connection is gone.

    At ``freeze_at``, one of FREEZABLE, it is stopped, and ``meanwhile`` happens in another worker.
    """

    kill_at: int = 0
    cut_at: int = 0
    freeze_at: int = 0
    meanwhile: Callable[[], None] = lambda: None
    passed: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    def watch(self) -> None:
        """Count what this process does from now on; there is no way back."""
        connection.commit = self._around(connection.commit, "commit", _database_gone)
        connection.execute_wrappers.append(self._around_statement)
        HTTPAdapter.send = self._around(HTTPAdapter.send, "request", _peer_gone)

    def _around(
        self, call: Callable[..., Any], what: str, gone: Callable[[], Exception]
    ) -> Callable[..., Any]:
        def cut_off(*arguments: Any, **options: Any) -> Any:
            where = f"{what} in {_caller()}"
            self._reach(f"before the {where}", gone)
            answer = call(*arguments, **options)
            self._reach(f"after the {where}", gone)
            return answer

        return cut_off

    def _around_statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        # Outside a transaction every statement is a commit of its own.
        if connection.in_atomic_block or not sql.startswith(WRITES):
            return execute(sql, *rest)
        return self._around(execute, sql.split(" ", 1)[0], _database_gone)(sql, *rest)

    def _reach(self, point: str, gone: Callable[[], Exception]) -> None:
        if threading.current_thread().name == OTHER_WORKER:
            return
        self.passed.append(point)
        if len(self.passed) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.passed) == self.cut_at:
            raise gone()
        if len(self.passed) == self.freeze_at and point.startswith(FREEZABLE):
            other = threading.Thread(target=self._happen, name=OTHER_WORKER)
            other.start()
            other.join()
            if self.failure:
                raise self.failure

    def _happen(self) -> None:
        try:
            self.meanwhile()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self.failure = error
        finally:
            connection.close()


def _database_gone() -> Exception:
    return OperationalError(2013, "Lost connection to server during query")


def _peer_gone() -> Exception:
    return requests.ConnectionError(ConnectionResetError("Connection reset by peer"))


def _caller() -> str:
    """Return which function of ours is at work, for people to find the point."""
    frame = sys._getframe(1)
    while frame.f_back and not frame.f_globals["__name__"].startswith(OURS):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"
