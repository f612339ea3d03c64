"""Parse Alertmanager's webhook format, version 4, and similar formats.

A body without a list of alerts is refused. Values that a database cannot store are cleaned. An
invalid alert is reported and does not affect the others. Unknown keys are ignored, missing keys
have defaults.
Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from remediation.alertmanager.times import read_time
from remediation.values.json_values import BODY_DEPTH_MAX
from remediation.values.text import storable

KNOWN_LABELS_BYTES = 2_000  # of labels whose fingerprint is kept
NAME_MAX = 255  # characters of alert_name, severity, instance and receiver
URL_MAX = 2000  # characters of generator_url and external_url
# Characters of the group key, and of the group labels as JSON: each alert of a group stores both.
GROUP_KEY_MAX = GROUP_LABELS_MAX = 10_000
# Bytes of one alert as JSON: MariaDB's default packet is 16 MiB, and a row stores labels twice.
ALERT_BYTES_MAX = 1 << 20
COUNT_MAX = 2**31 - 1  # limit of an integer column

TOO_DEEP = "[nested too deeply]"

_INTEGER_DIGITS_MAX = 18  # fits 64 bits with a sign
_FINGERPRINT = re.compile("[0-9a-f]{16}")
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
_EXPECTED = 'send an object with a list "alerts", as Alertmanager\'s webhook does'


class PayloadError(ValueError):
    """The body has no list of alerts; the message names the field and says what to do."""


class _AlertError(ValueError):
    """An alert is invalid; the message names the field."""


@dataclass(frozen=True, slots=True)
class IncomingAlert:
    """A posted alert.

    ``labels`` and ``annotations`` are complete; ``raw`` is the cleaned posted object. Times are in
    UTC, None if missing. ``status`` is ``firing`` or ``resolved``. ``notes``: sentences about
    values that were not used as sent.
    """

    fingerprint: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime | None
    ends_at: datetime | None
    generator_url: str
    raw: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def alert_name(self) -> str:
        """The label alertname, cut to NAME_MAX, or ''."""
        return self.labels.get("alertname", "")[:NAME_MAX]

    @property
    def severity(self) -> str:
        """The label severity, cut to NAME_MAX, or ''."""
        return self.labels.get("severity", "")[:NAME_MAX]

    @property
    def instance(self) -> str:
        """The label instance, cut to NAME_MAX, or ''."""
        return self.labels.get("instance", "")[:NAME_MAX]

    @property
    def values(self) -> dict[str, Any]:
        """The values of the alert's expressions, as Grafana sends them, or {}."""
        values = self.raw.get("values")
        return values if isinstance(values, dict) else {}


@dataclass(frozen=True, slots=True)
class InvalidAlert:
    """A posted alert that cannot be stored.

    ``index``: its position in the list. ``fingerprint`` and ``alert_name`` are '' if unknown.
    """

    index: int
    reason: str
    fingerprint: str = ""
    alert_name: str = ""


@dataclass(frozen=True, slots=True)
class Notification:
    """A webhook request: the alerts of one group, in order.

    ``truncated_alerts``: the number of alerts that the sender omitted (max_alerts).
    ``group_labels``: the labels that define the group, {} if missing. ``size``: of the body, in
    bytes.
    """

    receiver: str
    group_key: str
    external_url: str
    truncated_alerts: int
    alerts: tuple[IncomingAlert | InvalidAlert, ...]
    group_labels: dict[str, str] = field(default_factory=dict)
    size: int = field(default=0, compare=False)


def parse(body: bytes, *, at: datetime | None = None) -> Notification:
    """Parse a webhook body; raise PayloadError if it is not an object with a list of alerts."""
    return read(decode(body), size=len(body), at=at)


def decode(body: bytes) -> object:
    """Return the JSON value of a body, with numbers that no database can store as strings.

    Raises PayloadError.
    """
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise PayloadError(
            f"The body is not UTF-8 (byte {error.start}): send JSON in UTF-8."
        ) from error
    except json.JSONDecodeError as error:
        raise PayloadError(
            f"The body is not JSON (line {error.lineno}, column {error.colno}: {error.msg}): "
            f"{_EXPECTED}."
        ) from error
    except RecursionError as error:
        raise PayloadError(f"The body is nested too deeply: {_EXPECTED}.") from error


def read(payload: object, *, size: int, at: datetime | None = None) -> Notification:
    """Read a decoded body of ``size`` bytes. Raises PayloadError.

    ``at``: the time of receipt, by default now.
    """
    if not isinstance(payload, dict):
        raise PayloadError(f"The body is {_kind(payload)}: {_EXPECTED}.")
    if "alerts" not in payload:
        raise PayloadError(f"alerts is missing: {_EXPECTED}.")
    alerts = payload["alerts"]
    if not isinstance(alerts, list):
        raise PayloadError(f"alerts is {_kind(alerts)}: {_EXPECTED}.")
    # A small body needs no check of alert sizes: escaping makes JSON at most three times as long.
    is_large = size > ALERT_BYTES_MAX // 3
    group = _Group(_known_status(payload.get("status")), at or datetime.now(UTC), is_large)
    return Notification(
        receiver=_text(payload.get("receiver"))[:NAME_MAX],
        group_key=_text(payload.get("groupKey"))[:GROUP_KEY_MAX],
        external_url=_text(payload.get("externalURL"))[:URL_MAX],
        truncated_alerts=_count(payload.get("truncatedAlerts")),
        alerts=tuple(_read_alert(i, posted, group) for i, posted in enumerate(alerts)),
        group_labels=_read_group_labels(payload.get("groupLabels")),
        size=size,
    )


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return Prometheus' fingerprint of these labels, 16 hex digits.

    64-bit FNV-1a over the names and values sorted by name, each followed by the byte 0xff. Empty
    labels count as missing.
    Source: https://github.com/prometheus/common/blob/main/model/labelset.go
    """
    given = [name for name in sorted(labels) if labels[name]]
    content = b"".join(b"%b\xff%b\xff" % (n.encode(), labels[n].encode()) for n in given)
    return _known_fnv_1a(content) if len(content) <= KNOWN_LABELS_BYTES else _fnv_1a(content)


def _fnv_1a(content: bytes) -> str:
    digest = 0xCBF29CE484222325
    for byte in content:
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


# The same labels come again: in repeats, from the other Alertmanager and at the end of the alert.
_known_fnv_1a = lru_cache(maxsize=4096)(_fnv_1a)


def _integer(digits: str) -> int | str:
    """Convert a JSON integer; return it as a string if a database cannot store it."""
    return int(digits) if len(digits) <= _INTEGER_DIGITS_MAX else digits


def _real(digits: str) -> float | str:
    """Convert a JSON number; return it as a string if it exceeds a float (1e400)."""
    number = float(digits)
    return digits if number in (float("inf"), float("-inf")) else number


# Python reads NaN and Infinity, but no database stores them: they become strings.
_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_real, parse_constant=str)


@dataclass(frozen=True, slots=True)
class _Group:
    """The attributes of a notification that are needed to read its alerts.

    ``status``: firing, resolved, or '' if missing or unknown.
    """

    status: str
    at: datetime
    is_large: bool


def _read_alert(index: int, posted: object, group: _Group) -> IncomingAlert | InvalidAlert:
    labels: dict[str, str] = {}
    identity = ""
    try:
        raw = _clean(posted)
        if not isinstance(raw, dict):
            raise _AlertError(f"the alert is {_kind(raw)}: send an object with labels")
        if group.is_large:
            _check_size(raw)
        labels = _read_labels(raw.get("labels"))
        identity = _read_fingerprint(raw.get("fingerprint"), labels)
        starts_at, starts_note = read_time(raw.get("startsAt"))
        ends_at, ends_note = read_time(raw.get("endsAt"))
        named = (("startsAt", starts_note), ("endsAt", ends_note))
        return IncomingAlert(
            fingerprint=identity,
            status=_read_status(raw.get("status"), ends_at, group),
            labels=labels,
            annotations=_read_annotations(raw.get("annotations")),
            starts_at=starts_at,
            ends_at=ends_at,
            generator_url=_text(raw.get("generatorURL"))[:URL_MAX],
            raw=raw,
            notes=tuple(f"{name} {note}" for name, note in named if note),
        )
    except _AlertError as error:
        alert_name = labels.get("alertname", "")[:NAME_MAX]
        return InvalidAlert(index, str(error), fingerprint=identity, alert_name=alert_name)


def _clean(value: object, levels: int = BODY_DEPTH_MAX) -> Any:
    """Return a copy of a decoded value that every database can store as JSON."""
    if isinstance(value, str):
        return storable(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return TOO_DEEP
    if isinstance(value, list):
        return [_clean(item, levels - 1) for item in value]
    return {_clean(key): _clean(item, levels - 1) for key, item in value.items()}


def _check_size(raw: dict[str, Any]) -> None:
    size = len(json.dumps(raw))
    if size > ALERT_BYTES_MAX:
        raise _AlertError(
            f"the alert has {size} bytes of JSON, the limit is {ALERT_BYTES_MAX}: shorten its"
            " labels and annotations"
        )


def _read_labels(value: object) -> dict[str, str]:
    """Return the labels as strings; a null value counts as a missing label."""
    if not isinstance(value, dict):
        problem = "is missing" if value is None else f"is {_kind(value)}"
        raise _AlertError(f"labels {problem}: send an object with string values")
    labels = {name: _label(name, item) for name, item in value.items() if item is not None}
    if not any(labels.values()):
        raise _AlertError("labels is empty: send at least one label, preferably alertname")
    return labels


def _label(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise _AlertError(f"labels.{name[:NAME_MAX]} is {_kind(value)}: send a string")
    return json.dumps(value)  # 500, 1.5, true


def _read_fingerprint(value: object, labels: Mapping[str, str]) -> str:
    if isinstance(value, str) and _FINGERPRINT.fullmatch(value):
        return value
    return fingerprint(labels)


def _read_status(value: object, ends_at: datetime | None, group: _Group) -> str:
    """Return the status of the alert, else of the group, else derive it from endsAt."""
    if value is None or value == "":
        has_ended = ends_at is not None and ends_at <= group.at
        return group.status or ("resolved" if has_ended else "firing")
    if status := _known_status(value):
        return status
    shown = repr(value[:NAME_MAX]) if isinstance(value, str) else _kind(value)
    raise _AlertError(f"status is {shown}: send firing or resolved")


def _known_status(value: object) -> str:
    status = value.strip().lower() if isinstance(value, str) else ""
    return status if status in ("firing", "resolved") else ""


def _read_annotations(value: object) -> dict[str, str]:
    """Return the annotations as strings. None is refused, since they affect no decision."""
    if not isinstance(value, dict):
        return {}
    return {
        name: text if isinstance(text, str) else json.dumps(text) for name, text in value.items()
    }


def _read_group_labels(value: object) -> dict[str, str]:
    labels = _read_annotations(_clean(value))
    return labels if len(json.dumps(labels)) <= GROUP_LABELS_MAX else {}


def _text(value: object) -> str:
    return storable(value) if isinstance(value, str) else ""


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value <= COUNT_MAX else 0


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a number")
