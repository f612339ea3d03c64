"""Run the web server."""

from typing import Any

from django.core.management.base import BaseCommand

from remediation.management import web_server


class Command(BaseCommand):
    help = "Run the web server at BIND until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Import everything once, then serve in WEB_PROCESSES processes."""
        web_server.run(web_server.load_application())
