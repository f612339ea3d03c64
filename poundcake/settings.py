"""Settings, from the environment alone (12-factor); a wrong value stops the start.

Every setting of ours is explained in README's table. Any secret may come from a file named by
``NAME_FILE`` instead.
"""

import os
import re
import secrets
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from django.core.exceptions import ImproperlyConfigured

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
env = environ.Env()


def env_bool(name: str, default: bool) -> bool:
    """Return a switch; only the words true and false (or 1 and 0) are taken."""
    word = env.str(name, str(default)).strip().lower()
    if word not in {"true", "false", "1", "0"}:
        raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}.")
    return word in {"true", "1"}


def env_seconds(name: str, default: float, *, least: float = 0.0, most: float = 1e9) -> float:
    """Return a number of seconds, at least ``least`` and at most ``most``."""
    text = env.str(name, str(default))
    try:
        value = float(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number of seconds, not {text!r}.") from None
    if not least <= value <= most:
        limits = f"at least {least:g}" + (f" and at most {most:g}" if most < 1e9 else "")
        raise ImproperlyConfigured(f"{name} must be {limits} seconds, not {text!r}.")
    return value


def env_count(name: str, default: int, *, least: int = 1, most: int | None = None) -> int:
    """Return a whole number of at least ``least`` and, if given, at most ``most``."""
    text = env.str(name, str(default))
    if not text.isdecimal() or int(text) < least or (most and int(text) > most):
        limits = f"at least {least}" + (f" and at most {most}" if most else "")
        raise ImproperlyConfigured(f"{name} must be a whole number of {limits}, not {text!r}.")
    return int(text)


def env_names(name: str, default: list[str]) -> list[str]:
    """Return a list of names, separated by commas."""
    names = [text.strip() for text in env.list(name, default=default)]
    if not all(re.fullmatch(r"\w[\w.-]*", text) for text in names):
        raise ImproperlyConfigured(
            f"{name} must be names separated by commas such as {','.join(default)},"
            f" not {','.join(names)!r}."
        )
    return names


def env_word(name: str, default: str, words: tuple[str, ...]) -> str:
    """Return one of ``words``, however it is written."""
    word = str(env.str(name, default)).strip().upper()
    if word not in words:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(words)}, not {word!r}.")
    return word


def env_address(name: str, default: str) -> str:
    """Return an address and port such as 127.0.0.1:8000."""
    address = str(env.str(name, default))
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ImproperlyConfigured(
            f"{name} must be an address and a port such as 127.0.0.1:8000, not {address!r}."
        )
    return address


def env_secret(name: str, default: str = "") -> str:
    """Return a secret from NAME, or from the file that NAME_FILE names."""
    path = env.str(f"{name}_FILE", "")
    if not path:
        # Not by environ: it takes what begins with $ for the name of another variable.
        return os.environ.get(name, default)
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error.strerror}.") from None


def kept_secret_key() -> str:
    """Return the secret key made at the first start and kept in var/, readable by us alone."""
    path = VAR_DIR / "secret_key"
    if path.exists():
        return path.read_text().strip()
    VAR_DIR.mkdir(exist_ok=True)
    made = VAR_DIR / f".secret_key.{os.getpid()}"
    made.touch(mode=0o600)
    made.write_text(secrets.token_urlsafe(50))
    try:
        # A link is made whole or not at all: of two first starts, both use the same key.
        path.hardlink_to(made)
    except FileExistsError:
        pass
    finally:
        made.unlink()
    return path.read_text().strip()


def databases(url: str) -> dict[str, dict[str, Any]]:
    """Return Django's DATABASES for a DATABASE_URL with the options that make it safe here."""
    try:
        database = environ.Env.db_url_config(url)
    except (ValueError, environ.ImproperlyConfigured):
        database = {}
    engine = database.get("ENGINE", "") if database.get("NAME") else ""
    if engine.endswith("sqlite3"):
        Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        database["OPTIONS"] = {
            # A transaction takes the write lock at its begin: nothing can change between a
            # guard and its update, and nobody waits half-way with a lock in hand.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    elif engine.endswith("mysql"):
        database["OPTIONS"] = database.get("OPTIONS", {}) | {
            "charset": "utf8mb4",
            "isolation_level": "read committed",
            # A process that was stopped inside a transaction keeps its locks no longer than that,
            # which is less than others wait for them (innodb_lock_wait_timeout, 50 s).
            "init_command": "SET time_zone='+00:00', sql_mode='STRICT_TRANS_TABLES',"
            " idle_transaction_timeout=40",
        }
        database |= {
            "ENGINE": "poundcake.mariadb",
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
        database["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"}
    else:
        raise ImproperlyConfigured(
            "DATABASE_URL must look like sqlite:////path/to/file or mysql://user:password@host/name."
        )
    return {"default": database}


DEBUG = env_bool("DEBUG", False)
SECRET_KEY = env_secret("SECRET_KEY") or kept_secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
BIND = env_address("BIND", "127.0.0.1:8000")  # address and port of the web server
DATABASES = databases(env_secret("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'poundcake.sqlite3'}")

ST2_API_URL = env.str("ST2_API_URL", "")
ST2_API_KEY = env_secret("ST2_API_KEY")
ST2_AUTH_URL = env.str("ST2_AUTH_URL", "")
ST2_USERNAME = env.str("ST2_USERNAME", "")
ST2_PASSWORD = env_secret("ST2_PASSWORD")
ST2_STREAM_URL = env.str("ST2_STREAM_URL", "")  # st2stream, for follow_stackstorm
ST2_NOTIFY = env_bool("ST2_NOTIFY", False)  # ask for callbacks, each an execution of its own
ST2_VERIFY_TLS = env_bool("ST2_VERIFY_TLS", True)
ST2_CA_BUNDLE = env.str("ST2_CA_BUNDLE", "")  # file of certificates to trust, if not the system's
ST2_TIMEOUT = env_seconds("ST2_TIMEOUT", 10.0, least=0.1)  # seconds, per request
ST2_MAX_CONCURRENT_REQUESTS = env_count("ST2_MAX_CONCURRENT_REQUESTS", 10, least=2)  # per worker
POLL_INTERVAL = env_seconds("POLL_INTERVAL", 2.0, least=0.1)  # seconds; see engine/pace.py
WORKER_DEAD_SECONDS = env_seconds("WORKER_DEAD_SECONDS", 90.0, least=1.0)  # without a sign of life
RESOLVE_TIMEOUT = env_seconds("RESOLVE_TIMEOUT", 300.0)  # seconds an alert without startsAt lives
LAUNCH_LOOKUP_SECONDS = env_seconds("LAUNCH_LOOKUP_SECONDS", 300.0)  # for an unanswered launch
ST2_QUEUE_TIMEOUT = env_seconds("ST2_QUEUE_TIMEOUT", 3_600.0)  # until StackStorm runs it
ST2_INQUIRY_TIMEOUT = env_seconds("ST2_INQUIRY_TIMEOUT", 86_400.0)  # while it asks a person
ST2_ACTION_MAX_AGE = env_seconds("ST2_ACTION_MAX_AGE", 3_600.0)  # of what is known of actions
LAUNCH_TIMEOUT = env_seconds("LAUNCH_TIMEOUT", 86_400.0)  # seconds an execution may wait unsent
# Of one rendering. A job may take 60 s, and renders more than once on a machine that may be busy.
TEMPLATE_TIMEOUT_SECONDS = env_seconds("TEMPLATE_TIMEOUT_SECONDS", 1.0, least=0.05, most=4.0)
TEMPLATE_MAX_BYTES = env_count("TEMPLATE_MAX_BYTES", 1_048_576, least=1_000, most=16 * 2**20)

TARGET_PARAMETERS = env_names(  # that name what an action works on, and must not come out blank
    "TARGET_PARAMETERS", default=["hosts", "host", "url"]
)
SEVERITY_ORDER = env.list(  # whose alerts' steps are launched first when many wait
    "SEVERITY_ORDER", default=["critical", "page", "error", "warning", "info"]
)

# Values that templates read as config.KEY and that never show: CONFIG_KEY or CONFIG_KEY_FILE.
CONFIG_SECRETS = {
    name.removeprefix("CONFIG_").removesuffix("_FILE").lower(): env_secret(
        name.removesuffix("_FILE")
    )
    for name in os.environ
    if name.startswith("CONFIG_")
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "remediation",
    "audit",
]
MIDDLEWARE = [
    "audit.middleware.RequestIdMiddleware",
    "remediation.api.body_decoding.DecodeBodyMiddleware",
    "audit.middleware.ApiCallMiddleware",
    "poundcake.hosts.HostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "remediation.api.pause_header.PauseHeaderMiddleware",
]
ROOT_URLCONF = "poundcake.urls"
WSGI_APPLICATION = "poundcake.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "remediation.admin.system_status.system_status",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "admin:login"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # the web server hands out the apps' files as they are
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env_bool("SECURE_COOKIES", False)  # true behind TLS
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 2**20  # bytes: a group of some 20,000 alerts
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# django_q's conditional index does not exist on MariaDB; it works without.
SILENCED_SYSTEM_CHECKS = ["models.W037"]

# A django-q2 task is a wake-up that may come 0, 1 or n times; retries and truth are in our rows.
Q_CLUSTER = {
    "name": "local",  # local actions: each may hold a worker for up to 45 s
    "orm": "default",
    "broker_class": "remediation.queue.WorkerBroker",
    "workers": 4,
    "timeout": 60,
    "retry": 200,
    "queue_limit": 1,  # a task that is prefetched behind a long one would be delivered twice
    "bulk": 1,
    "poll": 0.05,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "scheduler": False,  # the chain of ticks does it: one, however many workers there are
    "recycle": 5_000,
    "max_rss": 300_000,
    # One launches, in threads side by side, and one follows: all calls to StackStorm are theirs.
    "ALT_CLUSTERS": {
        "launch": {"workers": 1, "timeout": 60, "retry": 200},
        "follow": {"workers": 1, "timeout": 60, "retry": 200},
    },
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "remediation.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["remediation.api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_FILTER_BACKENDS": ["remediation.api.filters.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "remediation.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "remediation.api.errors.exception_handler",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PoundCake API",
    "VERSION": "1",
    "DESCRIPTION": "Alert remediation: buckets, runs, executions and their audit trail.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Several tables have a status and each its own words: these are their names in the schema.
    # What starts a bucket has the words of an alert's status, so it has their name.
    "ENUM_NAME_OVERRIDES": {
        "AlertStatus": "remediation.models.Alert.Status",
        "RunStatus": "remediation.models.BucketRun.Status",
        "ExecutionStatus": "remediation.models.ActionExecution.Status",
        "FinalStatus": "remediation.api.serializers.operations.FINAL_STATUSES",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_word("LOG_LEVEL", "INFO", LOG_LEVELS)},
    # It tells every wake-up, which is several lines a second.
    "loggers": {"django-q": {"level": "WARNING"}},
}
