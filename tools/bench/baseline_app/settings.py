"""Settings of the baseline: PoundCake's web server and database connection, and nothing else."""

from poundcake.settings import BIND, DATABASES, SECRET_KEY, WEB_PROCESSES, WEB_THREADS

__all__ = ["BIND", "DATABASES", "SECRET_KEY", "WEB_PROCESSES", "WEB_THREADS"]

ALLOWED_HOSTS = ["127.0.0.1"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["tools.bench.baseline_app"]
ROOT_URLCONF = "tools.bench.baseline_app.views"
USE_TZ = True
