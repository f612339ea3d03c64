"""Settings of the baseline: PoundCake's database connection and nothing else."""

from poundcake.settings import DATABASES, SECRET_KEY

__all__ = ["DATABASES", "SECRET_KEY"]

ALLOWED_HOSTS = ["127.0.0.1"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["tools.bench.baseline_app"]
ROOT_URLCONF = "tools.bench.baseline_app.views"
USE_TZ = True
