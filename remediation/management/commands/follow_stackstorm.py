"""Follow StackStorm's stream: executions are settled as soon as they end."""

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from remediation.engine.connection import NotConfigured, stackstorm_client
from remediation.engine.outcomes.stream import follow
from remediation.stackstorm import stream_base


class Command(BaseCommand):
    help = "Follow StackStorm's stream of events until stopped; the poll goes on beside it."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Follow the stream that ST2_STREAM_URL names."""
        if not settings.ST2_STREAM_URL:
            raise CommandError(
                "ST2_STREAM_URL is not set: name StackStorm's stream, for example"
                " https://st2.example.com/stream/v1, or leave this command away: polling does"
                " without it."
            )
        try:
            stream_base(settings.ST2_STREAM_URL)
            client = stackstorm_client()
        except (NotConfigured, ValueError) as error:
            raise CommandError(str(error)) from error
        # Ended at any line it leaves nothing torn: Ctrl-C needs no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        follow(client=client)
