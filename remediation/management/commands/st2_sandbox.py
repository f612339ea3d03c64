"""`manage.py st2_sandbox`: a fake StackStorm that executes nothing."""

import json
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from st2_sandbox import SERVER_BANNER, OptionError, Sandbox, SandboxOptions


class Command(BaseCommand):
    help = "Serve a StackStorm sandbox. It replies like a recorded StackStorm and executes nothing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--bind", default="127.0.0.1:9101", type=_parse_bind, metavar="HOST:PORT"
        )
        parser.add_argument("--api-key", default="sandbox-key", help="the accepted key")
        parser.add_argument("--username", default="", help="with --password: issue tokens")
        parser.add_argument("--password", default="")
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            type=_parse_option,
            metavar="NAME=VALUE",
            help="an option of the sandbox, such as duration_seconds=2 or "
            """'outcomes={"linux.service": "failed"}'; may be repeated""",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sandbox_options = SandboxOptions().changed(dict(options["option"]))
            sandbox = Sandbox(
                options["bind"],
                api_key=options["api_key"],
                username=options["username"],
                password=options["password"],
                options=sandbox_options,
            )
            sandbox.start()
        except OptionError as error:
            raise CommandError(f"--option: {error}") from error
        except OSError as error:
            raise CommandError(f"--bind: cannot listen on this address: {error}") from error
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        self.stdout.write(f"{SERVER_BANNER}\nListening at {sandbox.url}; press Ctrl-C to stop.")
        self.stdout.flush()  # a parent process may wait for the URL
        stopped.wait()
        sandbox.stop()


def _parse_bind(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ArgumentTypeError(f"{text!r} must be HOST:PORT, such as 127.0.0.1:9101")
    return host.strip("[]"), int(port)


def _parse_option(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"{text!r} must be NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # plain text needs no quotes
