"""The WSGI application. ``poundcake/asgi.py`` runs it in the web server."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

from poundcake import environment_file, private_files

LOAD_ERROR = 4  # exit status


def _load() -> WSGIHandler:
    """Return the application, or exit with the error of a wrong setting and without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "poundcake.settings")
    try:
        if warning := environment_file.load():
            sys.stderr.write(f"Warning: {warning}\n")
        application = get_wsgi_application()
        private_files.protect(settings.VAR_DIR)
        return application
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(LOAD_ERROR)


application = _load()

from remediation.engine.totals import flush  # noqa: E402 - the models need the application

flush.enable()
