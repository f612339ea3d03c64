"""Interrupt a process before or after a commit or an HTTP request.

The points are counted, so in the same scenario a number is always the same point.
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
# Points where the process holds no database lock, which would block the other workers.
FREEZABLE = ("after the commit", "before the request", "after the request", "after the UPDATE")
OURS = ("remediation.engine", "audit")


@dataclass
class InterruptionPoints:
    """Counts from 1. At ``kill_at`` the process dies, at ``disconnect_at`` a connection breaks.

    At ``freeze_at``, if FREEZABLE, the process pauses while ``in_other_worker`` runs in a thread.
    """

    kill_at: int = 0
    disconnect_at: int = 0
    freeze_at: int = 0
    in_other_worker: Callable[[], None] = lambda: None
    passed: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    def watch(self) -> None:
        """Patch this process to count the points from now on; this cannot be undone."""
        connection.commit = self._around(connection.commit, "commit", _database_error)  # type: ignore[method-assign]  # patched
        connection.execute_wrappers.append(self._around_statement)
        HTTPAdapter.send = self._around(HTTPAdapter.send, "request", _network_error)  # type: ignore[method-assign]  # patched

    def _around(
        self, call: Callable[..., Any], kind: str, error: Callable[[], Exception]
    ) -> Callable[..., Any]:
        def interrupted(*arguments: Any, **options: Any) -> Any:
            where = f"{kind} in {_caller()}"
            self._reach(f"before the {where}", error)
            result = call(*arguments, **options)
            self._reach(f"after the {where}", error)
            return result

        return interrupted

    def _around_statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        # Outside of a transaction every statement is a commit.
        if connection.in_atomic_block or not sql.startswith(WRITES):
            return execute(sql, *rest)
        return self._around(execute, sql.split(" ", 1)[0], _database_error)(sql, *rest)

    def _reach(self, point: str, error: Callable[[], Exception]) -> None:
        if threading.current_thread().name == OTHER_WORKER:
            return
        self.passed.append(point)
        if len(self.passed) == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.passed) == self.disconnect_at:
            raise error()
        if len(self.passed) == self.freeze_at and point.startswith(FREEZABLE):
            other = threading.Thread(target=self._run_other_worker, name=OTHER_WORKER)
            other.start()
            other.join()
            if self.failure:
                raise self.failure

    def _run_other_worker(self) -> None:
        try:
            self.in_other_worker()
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            self.failure = error
        finally:
            connection.close()


def _database_error() -> Exception:
    return OperationalError(2013, "Lost connection to server during query")


def _network_error() -> Exception:
    return requests.ConnectionError(ConnectionResetError("Connection reset by peer"))


def _caller() -> str:
    """Return the innermost function of ours, to identify the point."""
    frame = sys._getframe(1)
    while frame.f_back and not frame.f_globals["__name__"].startswith(OURS):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"
