"""The web server: granian with PoundCake's limits. ADR 0009 compares it with others."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import socket
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections
from django.urls import get_resolver
from django.utils.module_loading import import_string
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from remediation.management.parent_death import kill_forks_with_parent

# Of each process. They include those of slow clients, which occupy nothing else.
CONNECTIONS_MAX = 4096
HEADER_SECONDS = 15  # for the headers of a request, and for an idle connection
HEADER_BYTES_MAX = 64 * 1024
# Requests under way are finished. A slow client may keep its connection longer than that.
STOP_SECONDS = 20


class AddressInUse(Exception):
    """Another process listens at the address."""


def load_application() -> Any:
    """Import everything that requests need, to be shared by the processes, and return the app."""
    application = import_string(settings.ASGI_APPLICATION)
    # Else each process would import the views, at its first request.
    get_resolver().url_patterns  # noqa: B018 - imports them
    return application


def run(application: Any) -> None:
    """Serve at BIND in WEB_PROCESSES processes until stopped. Raises CommandError."""
    try:
        serve(application, bind=settings.BIND, processes=settings.WEB_PROCESSES)
    except AddressInUse as error:
        raise CommandError(f"BIND cannot be used: {error}.") from error


def serve(application: Any, *, bind: str, processes: int) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT; replace a process that ends.

    ``bind``: address:port. Raises AddressInUse. The application and what it has imported are shared
    by the processes, so it must have started no thread yet.
    """
    host, _, port = bind.rpartition(":")
    address = host.strip("[]")
    _check_free(address, int(port))
    # The processes share the memory of the imported modules as long as nothing writes to it.
    multiprocessing.set_start_method("fork", force=True)
    _allow_connections()
    kill_forks_with_parent()
    connections.close_all()
    gc.collect()
    gc.freeze()
    server = Server(
        "poundcake.asgi",
        address=address,
        port=int(port),
        interface=Interfaces.ASGINL,
        workers=processes,
        loop=Loops.asyncio,
        http=HTTPModes.http1,
        websockets=False,
        backlog=CONNECTIONS_MAX,
        backpressure=CONNECTIONS_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=HEADER_BYTES_MAX
        ),
        log_level=LogLevels.warning,
        log_dictconfig={"loggers": {"_granian": {"propagate": True}}},
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=STOP_SECONDS,
    )
    server.serve(target_loader=lambda _target: application)


def _allow_connections() -> None:
    """Raise the limit of open files, which systemd sets to 1024 for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * CONNECTIONS_MAX
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _check_free(address: str, port: int) -> None:
    """Raise AddressInUse if another process listens.

    The web processes set SO_REUSEPORT, so a second server would start and get some requests.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            raise AddressInUse(f"{address}:{port}: {error.strerror}") from error
