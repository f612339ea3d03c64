"""The WSGI application. ``poundcake/asgi.py`` runs it in the web server."""

import logging
import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

from poundcake import environment_file, logs, private_files
from remediation import log_context
from remediation.engine import database_errors

logger = logging.getLogger(__name__)

LOAD_ERROR = 4  # exit status


def _load() -> WSGIHandler:
    """Return the application, or exit with the error of a wrong setting and without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "poundcake.settings")
    # manage.py has set the role, and serve loads the application before it forks the web server.
    if log_context.role() == "command":
        log_context.set_role("web")
    try:
        warning = environment_file.load()
        loaded = get_wsgi_application()
        private_files.protect(settings.VAR_DIR)
    except ImproperlyConfigured as error:
        if not settings.configured:
            logs.configure_before_settings()
        logger.critical("%s", database_errors.explain(error) or error)
        sys.exit(LOAD_ERROR)
    logs.log_uncaught()
    if warning:
        logger.warning("%s", warning)
    return loaded


application = _load()

from remediation.engine.totals import flush  # noqa: E402 - the models need the application

flush.enable()
