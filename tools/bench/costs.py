"""What an alert costs, taken from the bench's JSON: the constants of the capacity model."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

CONSTANTS = Path(__file__).parent / "constants.json"  # a measured run, for a clean clone
STORM = re.compile(r"storm of (\d+) alerts, (\d+) steps?, by (\w+)")
A_BODY = 20  # alerts a webhook call in the bench's storms


class NotMeasured(Exception):
    """The bench's JSON lacks what the model needs; the text says what to measure."""


@dataclass(frozen=True, slots=True)
class Storm:
    """One measured storm. ``values``: its figures by name; times are in seconds, CPU in ms."""

    alerts: int
    steps: int
    mode: str
    values: Mapping[str, float]

    @property
    def started(self) -> float:
        """When the last execution was started."""
        return self.values["all started s"]

    @property
    def known(self) -> float:
        """When all were known to have ended."""
        return self.values["all known s"]

    def cpu(self, role: str) -> float:
        """Return the CPU ms an alert of a role."""
        return self.values.get(f"CPU ms an alert, {role}", 0.0)


@dataclass(frozen=True, slots=True)
class Costs:
    """What PoundCake needs on one database, in CPU ms unless it says otherwise.

    ``follow``: an execution that is followed by polls; ``follow_beside``: the same where the stream
    tells of ends first. ``idle``: of each role in a second without work. ``load_alert`` and
    ``stub_execution`` are the bench's own. ``flushes``: of the log to disk; with ``kib`` and
    ``rows`` 0 where nobody counts them. ``flush_ms``: how long one takes.
    """

    database: str
    web_call: float
    web_alert: float
    launch: float
    stream: float
    follow: float
    follow_beside: float
    others_alert: float
    database_alert: float
    database_execution: float
    load_alert: float
    stub_execution: float
    kib_alert: float
    kib_execution: float
    flushes_alert: float
    flushes_execution: float
    flush_ms: float
    rows_alert: float
    rows_execution: float
    idle: Mapping[str, float]

    def web(self, a_body: float) -> float:
        """Return the web server's CPU ms an alert in bodies of so many."""
        return self.web_call / a_body + self.web_alert

    def alert(self, *, steps: int, a_body: float, is_streamed: bool) -> float:
        """Return the CPU ms of all processes and the database for one alert."""
        following = self.stream + self.follow_beside if is_streamed else self.follow
        execution = self.launch + following + self.database_execution
        return self.web(a_body) + self.others_alert + self.database_alert + steps * execution


@dataclass(frozen=True, slots=True)
class Measured:
    """A run of the bench on one database. ``latency``, ``duration``: of its stub, in seconds."""

    costs: Costs
    storms: tuple[Storm, ...]
    cores: int
    latency: float
    duration: float
    at: str
    version: str

    @classmethod
    def read(cls, path: Path = CONSTANTS) -> dict[str, Self]:
        """Return what was measured, by database. Raises NotMeasured."""
        content = json.loads(path.read_text())
        about, kinds = content["about"], {one["database"] for one in content["figures"]}
        versions = {version.split()[0].lower(): version for version in about["databases"]}
        return {
            kind: cls(
                costs=_costs(kind, content),
                storms=tuple(_storms(kind, content)),
                cores=about["cores"],
                latency=float(about["options"]["latency"]),
                duration=float(about["options"]["duration"]),
                at=about["at"],
                version=f"{versions.get(kind, kind)}, {about['processor']}, {about['cores']} cores",
            )
            for kind in sorted(kinds, reverse=True)
        }


def _storms(kind: str, content: dict[str, Any]) -> list[Storm]:
    values: dict[str, dict[str, float]] = {}
    for one in content["figures"]:
        if one["database"] == kind and STORM.fullmatch(one["group"]):
            value = one["value"]
            plain = value["p50"] if isinstance(value, dict) else value
            values.setdefault(one["group"], {})[one["name"]] = plain
    storms = []
    for group, figures in values.items():
        alerts, steps, mode = STORM.fullmatch(group).groups()  # type: ignore[union-attr]
        if figures.get("all known s") is not None:
            storms.append(Storm(int(alerts), int(steps), mode, figures))
    return storms


def _costs(kind: str, content: dict[str, Any]) -> Costs:
    storms = {(storm.steps, storm.mode): storm for storm in _storms(kind, content)}
    idle = _idle(kind, content)
    try:
        one, three = storms[1, "stream"], storms[3, "stream"]
    except KeyError:
        raise NotMeasured(
            f"{kind}: a storm of one step and one of three steps, both over, are needed:"
            ' make bench BENCH="--only idle,intake,storm"'
        ) from None
    polled = storms.get((1, "poll"), one)
    web_call, web_alert = _web(kind, content)
    written, flushes, rows = (
        _split(one.values.get(name, 0.0), three.values.get(name, 0.0))
        for name in ("KiB written an alert", "flushes to disk an alert", "rows written an alert")
    )
    database = _split(*(_busy(storm, "database", idle) for storm in (one, three)))
    launch, stream, beside = (
        (_busy(one, role, idle) + _busy(three, role, idle)) / 4  # executions of both together
        for role in ("launch", "stream", "follow")
    )
    return Costs(
        database=kind,
        web_call=web_call,
        web_alert=web_alert,
        launch=launch,
        stream=stream,
        follow=_busy(polled, "follow", idle),
        follow_beside=beside,
        others_alert=_busy(one, "parents", idle) + _busy(one, "local", idle),
        database_alert=database[0],
        database_execution=database[1],
        load_alert=one.cpu("load generator"),
        stub_execution=(one.cpu("stub") + three.cpu("stub")) / 4,
        kib_alert=written[0],
        kib_execution=written[1],
        flushes_alert=flushes[0],
        flushes_execution=flushes[1],
        flush_ms=_flush_ms(kind, content),
        rows_alert=rows[0],
        rows_execution=rows[1],
        idle=idle,
    )


def _idle(kind: str, content: dict[str, Any]) -> dict[str, float]:
    prefix = "CPU ms a second, "
    found = {
        one["name"].removeprefix(prefix): one["value"]
        for one in content["figures"]
        if one["database"] == kind and one["name"].startswith(prefix)
    }
    if not found:
        raise NotMeasured(f"{kind}: what is used at rest is needed: --only idle,intake,storm")
    return found


def _flush_ms(kind: str, content: dict[str, Any]) -> float:
    """Return the usual time of a flush, 0 if it was not measured."""
    key = kind, "the disk alone", "flush ms"
    found = [
        one["value"]["p50"]
        for one in content["figures"]
        if (one["database"], one["group"], one["name"]) == key
    ]
    return found[0] if found else 0.0


def _web(kind: str, content: dict[str, Any]) -> tuple[float, float]:
    """Return the web server's CPU ms of a call, and of each alert in it."""
    by_body = {}
    for size, group in ((1, "intake, 1 alert a body"), (A_BODY, f"intake, {A_BODY} alerts a body")):
        cells = [
            one["value"]
            for one in content["figures"]
            if (one["database"], one["group"]) == (kind, group)
            and one["name"].endswith("CPU ms a call, web")
        ]
        if not cells:
            raise NotMeasured(f"{kind}: {group} is needed: --only idle,intake,storm")
        by_body[size] = sorted(cells)[len(cells) // 2]
    alert = max(0.0, (by_body[A_BODY] - by_body[1]) / (A_BODY - 1))
    return max(0.0, by_body[1] - alert), alert


def _busy(storm: Storm, role: str, idle: Mapping[str, float]) -> float:
    """Return the CPU ms an alert of a role, without what it needs when it does nothing."""
    return max(0.0, storm.cpu(role) - idle.get(role, 0.0) * storm.known / storm.alerts)


def _split(one: float, three: float) -> tuple[float, float]:
    """Return the shares of an alert and of each execution, from alerts of one and three steps."""
    execution = min(max(0.0, (three - one) / 2), one)
    return one - execution, execution
