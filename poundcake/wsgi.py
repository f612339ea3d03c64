"""The WSGI application for gunicorn and other web servers."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "poundcake.settings")
application = get_wsgi_application()
