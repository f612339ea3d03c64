"""Serve the baseline with PoundCake's web server."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from poundcake.buffered_application import BufferedApplication
from remediation.management import web_server

application = BufferedApplication(
    get_wsgi_application(),
    threads=settings.WEB_THREADS,
    body_limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    has_credentials=lambda _environ: True,
)
web_server.serve(application, bind=settings.BIND, processes=settings.WEB_PROCESSES)
