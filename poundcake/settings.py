"""Settings, from the environment alone (12-factor); a wrong value stops the start."""

SECRET_KEY = "x"  # noqa: S105
USE_TZ = True
TIME_ZONE = "UTC"
