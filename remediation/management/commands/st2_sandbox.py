"""`manage.py st2_sandbox`: a StackStorm that executes nothing, for trying things out."""

import json
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from st2_sandbox import BANNER, OptionError, Sandbox, SandboxOptions


class Command(BaseCommand):
    help = "Serve a StackStorm sandbox: it answers like the recordings and executes nothing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1:9101", type=_address, metavar="HOST:PORT")
        parser.add_argument("--api-key", default="sandbox-key", help="the key it accepts")
        parser.add_argument("--username", default="", help="with --password: gives out tokens")
        parser.add_argument("--password", default="")
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            type=_option,
            metavar="NAME=VALUE",
            help="an option of the sandbox, such as duration_seconds=2 or "
            """'outcomes={"linux.service": "failed"}'; may be repeated""",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            played = SandboxOptions().changed(dict(options["option"]))
            sandbox = Sandbox(
                options["bind"],
                api_key=options["api_key"],
                username=options["username"],
                password=options["password"],
                options=played,
            )
            sandbox.start()
        except OptionError as error:
            raise CommandError(f"--option: {error}") from error
        except OSError as error:
            raise CommandError(f"--bind: cannot listen there: {error}") from error
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        self.stdout.write(f"{BANNER}\nListening at {sandbox.url}; Ctrl-C ends it.")
        self.stdout.flush()  # whoever started it in the background waits for the address
        stopped.wait()
        sandbox.stop()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ArgumentTypeError(f"{text!r} must be HOST:PORT, such as 127.0.0.1:9101")
    return host.strip("[]"), int(port)


def _option(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"{text!r} must be NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # plain text needs no quotes
