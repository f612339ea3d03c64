"""Run the web server."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import get_resolver
from django.utils.module_loading import import_string

from remediation.management import web_server


class Command(BaseCommand):
    help = "Run the web server at BIND until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Import everything once, then serve in WEB_PROCESSES processes."""
        application = import_string(settings.ASGI_APPLICATION)
        # Else each process would import the views, at its first request.
        get_resolver().url_patterns  # noqa: B018 - imports them
        try:
            web_server.serve(application, bind=settings.BIND, processes=settings.WEB_PROCESSES)
        except web_server.AddressInUse as error:
            raise CommandError(f"BIND cannot be used: {error}.") from error
