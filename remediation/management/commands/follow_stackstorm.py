"""Follow StackStorm's event stream, so that executions are settled as soon as they end."""

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from remediation.engine.outcomes.stream import follow
from remediation.engine.stackstorm_client import NotConfigured, stackstorm_client
from remediation.engine.totals import flush
from remediation.stackstorm import stream_base


class Command(BaseCommand):
    help = "Follow StackStorm's event stream until stopped. Polling continues."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Follow the stream of ST2_STREAM_URL."""
        if not settings.ST2_STREAM_URL:
            raise CommandError(
                "ST2_STREAM_URL is not set. Set it to StackStorm's stream, for example"
                " https://st2.example.com/stream/v1, or do not run this command: polling works"
                " without it."
            )
        try:
            stream_base(settings.ST2_STREAM_URL)
            client = stackstorm_client()
        except (NotConfigured, ValueError) as error:
            raise CommandError(str(error)) from error
        # It is safe to stop at any line, so Ctrl-C needs no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        flush.enable()
        follow(client=client)
