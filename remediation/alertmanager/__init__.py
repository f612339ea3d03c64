"""Parse Alertmanager's webhook format, version 4, and similar formats."""

from remediation.alertmanager.notification import (
    ALERT_BYTES_MAX,
    GROUP_KEY_MAX,
    NAME_MAX,
    URL_MAX,
    IncomingAlert,
    InvalidAlert,
    Notification,
    PayloadError,
    decode,
    fingerprint,
    parse,
    read,
)

__all__ = [
    "ALERT_BYTES_MAX",
    "GROUP_KEY_MAX",
    "NAME_MAX",
    "URL_MAX",
    "IncomingAlert",
    "InvalidAlert",
    "Notification",
    "PayloadError",
    "decode",
    "fingerprint",
    "parse",
    "read",
]
