"""The ASGI application of PoundCake's web server, ``manage.py web``."""

from django.conf import settings

from poundcake.buffered_application import BufferedApplication
from poundcake.wsgi import application as wsgi_application
from remediation.api.credentials import environ_has_credentials

application = BufferedApplication(
    wsgi_application,
    threads=settings.WEB_THREADS,
    body_limit=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    has_credentials=environ_has_credentials,
)
