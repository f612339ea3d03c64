"""Settings, read from environment variables only (12-factor); a wrong value stops the start.

manage.py and wsgi.py first add the variables of the environment file (``environment_file``).
README explains every setting. Any secret can be read from a file: set ``NAME_FILE`` to its path.
"""

import datetime
import os
from pathlib import Path

import django_stubs_ext

from poundcake import logs
from poundcake.database_url import databases
from poundcake.environment import (
    env_address,
    env_bool,
    env_choice,
    env_count,
    env_file,
    env_hosts,
    env_list,
    env_names,
    env_networks,
    env_seconds,
    env_secret,
    env_text,
    read_or_create_secret_key,
)

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

DEBUG = env_bool("DEBUG", False)  # show tracebacks; never in production
SECRET_KEY = env_secret("SECRET_KEY", least=32) or read_or_create_secret_key(VAR_DIR / "secret_key")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", default=[])  # URLs that may post forms
BIND = env_address("BIND", "127.0.0.1:8000")  # address and port of the web server
# Proxies whose X-Forwarded-For and X-Forwarded-Proto are read.
TRUSTED_PROXIES = env_networks("TRUSTED_PROXIES", default=["127.0.0.1", "::1"])
WEB_PROCESSES = env_count("WEB_PROCESSES", 2, most=64)  # of the web server
WEB_THREADS = env_count("WEB_THREADS", 8, most=64)  # requests at once per web process
DATABASES = databases(env_secret("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'poundcake.sqlite3'}")

ST2_API_URL = env_text("ST2_API_URL", "")  # without it only local actions run
ST2_API_KEY = env_secret("ST2_API_KEY")  # or the next three settings
ST2_AUTH_URL = env_text("ST2_AUTH_URL", "")  # issues tokens for the user and the password
ST2_USERNAME = env_text("ST2_USERNAME", "")
ST2_PASSWORD = env_secret("ST2_PASSWORD")
ST2_STREAM_URL = env_text("ST2_STREAM_URL", "")  # StackStorm's event stream, for follow_stackstorm
ST2_NOTIFY = env_bool("ST2_NOTIFY", False)  # request callbacks; each is an execution in StackStorm
ST2_VERIFY_TLS = env_bool("ST2_VERIFY_TLS", True)  # check StackStorm's certificates
ST2_CA_BUNDLE = env_text("ST2_CA_BUNDLE", "")  # file of trusted certificates; default: the system's
ST2_TIMEOUT = env_seconds("ST2_TIMEOUT", 10.0, least=0.1)  # seconds per request
ST2_MAX_CONCURRENT_REQUESTS = env_count("ST2_MAX_CONCURRENT_REQUESTS", 10, least=2)  # per worker
# Processes of each worker that launch executions; they share ST2_MAX_CONCURRENT_REQUESTS.
LAUNCH_PROCESSES = env_count("LAUNCH_PROCESSES", min(2, os.cpu_count() or 1), most=16)
POLL_INTERVAL = env_seconds("POLL_INTERVAL", 2.0, least=0.1)  # seconds between two polls
WORKER_DEAD_SECONDS = env_seconds("WORKER_DEAD_SECONDS", 90.0, least=1.0)  # without starting a job
RESOLVE_TIMEOUT = env_seconds("RESOLVE_TIMEOUT", 300.0)  # seconds an alert without startsAt lives
LAUNCH_LOOKUP_SECONDS = env_seconds("LAUNCH_LOOKUP_SECONDS", 300.0)  # after an unanswered launch
ST2_QUEUE_TIMEOUT = env_seconds("ST2_QUEUE_TIMEOUT", 3_600.0)  # seconds until StackStorm starts it
ST2_INQUIRY_TIMEOUT = env_seconds("ST2_INQUIRY_TIMEOUT", 86_400.0)  # seconds an inquiry may wait
ST2_ACTION_MAX_AGE = env_seconds("ST2_ACTION_MAX_AGE", 3_600.0)  # seconds until actions are re-read
LAUNCH_TIMEOUT = env_seconds("LAUNCH_TIMEOUT", 86_400.0)  # seconds an execution may wait unsent
# CPU seconds per rendering. A job has 60 s and renders several templates.
TEMPLATE_TIMEOUT_SECONDS = env_seconds("TEMPLATE_TIMEOUT_SECONDS", 1.0, least=0.05, most=4.0)
# Bytes of all values of one rendering.
TEMPLATE_MAX_BYTES = env_count("TEMPLATE_MAX_BYTES", 1_048_576, least=1_000, most=16 * 2**20)

# Networks and hosts that ping, tcp_check and http_request may reach; see docs/security.md.
LOCAL_ACTION_ALLOWED_NETWORKS = env_networks(
    "LOCAL_ACTION_ALLOWED_NETWORKS", default=["0.0.0.0/0", "::/0"]
)
LOCAL_ACTION_ALLOWED_HOSTS = env_hosts("LOCAL_ACTION_ALLOWED_HOSTS", default=["*"])
# File of CA certificates that http_request trusts; default: those of certifi.
LOCAL_ACTION_CA_BUNDLE = env_file("LOCAL_ACTION_CA_BUNDLE")
# What http_request keeps of a response: bytes of its body, and headers.
LOCAL_ACTION_RESPONSE_BYTES = env_count("LOCAL_ACTION_RESPONSE_BYTES", 1_000, least=0, most=65_536)
LOCAL_ACTION_RESPONSE_HEADERS = env_list(
    "LOCAL_ACTION_RESPONSE_HEADERS",
    default=["content-length", "content-type", "date", "etag", "location", "retry-after", "server"],
)

# Parameters that name the target of an action, and must not be blank.
TARGET_PARAMETERS = env_names("TARGET_PARAMETERS", default=["hosts", "host", "url"])
# Launch order by the `severity` label; other severities come last.
SEVERITY_ORDER = env_list(
    "SEVERITY_ORDER", default=["critical", "page", "error", "warning", "info"]
)

# Secret values for config.KEY in templates, from CONFIG_KEY or CONFIG_KEY_FILE. They are masked.
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
    "axes",
    "django_filters",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "remediation",
    "audit",
]
MIDDLEWARE = [
    "poundcake.proxies.ProxyMiddleware",
    "poundcake.security_headers.SecurityHeadersMiddleware",
    "audit.middleware.RequestIdMiddleware",
    "remediation.api.short_chain.ShortChainMiddleware",
    # Before the body is decoded and recorded, because both depend on valid credentials.
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "remediation.api.body_decoding.DecodeBodyMiddleware",
    "audit.middleware.ApiCallMiddleware",
    "poundcake.hosts.HostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "remediation.api.pause_header.PauseHeaderMiddleware",
    "axes.middleware.AxesMiddleware",
]
# Of a call of a webhook with a token, after ShortChainMiddleware.
WEBHOOK_MIDDLEWARE = [
    "remediation.api.body_decoding.DecodeBodyMiddleware",
    "audit.middleware.ApiCallMiddleware",
    "poundcake.hosts.HostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "remediation.api.pause_header.PauseHeaderMiddleware",
]
ROOT_URLCONF = "poundcake.urls"
WSGI_APPLICATION = "poundcake.wsgi.application"
ASGI_APPLICATION = "poundcake.asgi.application"
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
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "remediation.admin.permissions.RoleBackend",
]
# Failed logins lock a user name for one client only, so that nobody can lock out an operator.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env_count("LOGIN_FAILURES_MAX", 5)  # per user name and client
AXES_COOLOFF_TIME = datetime.timedelta(minutes=env_count("LOGIN_LOCKOUT_MINUTES", 15, most=10_080))
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_HANDLER = "remediation.admin.login_handler.RetryingHandler"
AXES_USERNAME_CALLABLE = "remediation.admin.login.counted_name"
AXES_CLIENT_IP_CALLABLE = "remediation.admin.login.counted_client"
AXES_LOCKOUT_CALLABLE = "remediation.admin.login.locked_response"
AXES_DISABLE_ACCESS_LOG = True  # audit.logins records logins
AXES_ENABLE_ADMIN = False
# Seconds from the login. Closing the browser ends a session, too.
SESSION_COOKIE_AGE = env_count("SESSION_HOURS", 12, most=8_760) * 3_600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
LOGIN_URL = "admin:login"
# Also where a login or logout with a foreign ``next`` leads.
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # serve the files of the apps without collectstatic
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# ProxyMiddleware removes the header unless a trusted proxy has sent it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_SSL_REDIRECT = env_bool("SSL_REDIRECT", False)  # pages from http to https, behind TLS
# Kubelets and Prometheus call by address. HostMiddleware refuses the API without TLS.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = env_count("HSTS_SECONDS", 0, least=0)  # browsers use https only for so long
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env_bool("SECURE_COOKIES", False)  # true behind TLS
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 2**20  # bytes, enough for some 20,000 alerts
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# MariaDB has no conditional indexes; django_q works without its one.
# HSTS for other hosts of the domain, and the browsers' preload list, are not ours to decide.
SILENCED_SYSTEM_CHECKS = ["models.W037", "security.W005", "security.W021"]

# A django-q2 task is a wake-up that may be delivered 0, 1 or n times; our rows hold the state.
Q_CLUSTER = {
    "name": "local",  # remediation/cluster.py names and sizes all clusters
    "orm": "default",
    "broker_class": "remediation.queue.WorkerBroker",
    "timeout": 60,  # seconds per job
    "retry": 200,  # seconds until a job that was not acknowledged is redelivered
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "scheduler": False,  # tick jobs replace it: one chain for any number of workers
    "recycle": 5_000,  # jobs per process
    "max_rss": 300_000,  # KiB per process
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "remediation.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["remediation.api.permissions.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["remediation.api.renderers.VisibleJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "remediation.api.negotiation.JsonOnlyNegotiation",
    "DEFAULT_FILTER_BACKENDS": ["remediation.api.filter_types.StrictFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "remediation.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "remediation.api.openapi.DocumentedSchema",
    "EXCEPTION_HANDLER": "remediation.api.errors.exception_handler",
    "LIST_SERIALIZER_ERRORS_AS_DICT": True,
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
    # Names of the status enums in the schema. A bucket's trigger_on has the values, and so the
    # name, of an alert's status.
    "ENUM_NAME_OVERRIDES": {
        "AlertStatus": "remediation.models.Alert.Status",
        "RunStatus": "remediation.models.BucketRun.Status",
        "ExecutionStatus": "remediation.models.ActionExecution.Status",
        "FinalStatus": "remediation.api.serializers.operations.FINAL_STATUSES",
    },
}

LOGGING = logs.configuration(
    level=env_choice("LOG_LEVEL", "INFO", LOG_LEVELS),
    log_format=env_choice("LOG_FORMAT", "CONSOLE", logs.FORMATS),
)
