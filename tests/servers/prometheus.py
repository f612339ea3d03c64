"""A private Prometheus on the loopback interface that scrapes PoundCake and evaluates rules."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import requests

from tests import servers
from tests.servers.poundcake import TIMEOUT_SECONDS

JOB = "poundcake"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus. ``url`` has no path."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression now: each has ``metric`` and ``value``."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float:
        """Return the only sample of an expression."""
        [sample] = self.query(expression)
        return float(sample["value"][1])

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression once it selects any; fail after a timeout."""
        deadline = monotonic() + TIMEOUT_SECONDS
        while not (found := self.query(expression)):
            assert monotonic() < deadline, f"timeout: {expression} selects nothing"
            sleep(0.1)
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return all rules with their ``health`` and ``lastError``."""
        groups = self._get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Return the labels of the firing alerts by name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self._get("alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def targets(self) -> list[dict[str, Any]]:
        """Return the targets with their ``health`` and ``lastError``."""
        active: list[dict[str, Any]] = self._get("targets")["activeTargets"]
        return active

    def _get(self, path: str, **parameters: str) -> Any:
        response = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        assert response.ok, response.text
        return response.json()["data"]


@contextmanager
def running(*, targets: Sequence[str], token: str, rules: str = "") -> Iterator[Prometheus]:
    """Run the installed Prometheus until the block ends.

    ``targets``: URLs to scrape every two seconds with the bearer ``token``. ``rules``: a rule file,
    evaluated every second.
    """
    program = servers.find_program("prometheus", package="prometheus")
    prometheus = Prometheus(f"http://127.0.0.1:{servers.free_port()}")
    with TemporaryDirectory(prefix="poundcake-prometheus-") as directory:
        home = Path(directory)
        (home / "rules.yml").write_text(rules or "groups: []")
        addresses = [target.removeprefix("http://") for target in targets]
        # JSON is YAML.
        (home / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "2s", "evaluation_interval": "1s"},
                    "rule_files": [str(home / "rules.yml")],
                    "scrape_configs": [
                        {
                            "job_name": JOB,
                            "scrape_timeout": "2s",
                            "authorization": {"credentials": token},
                            "static_configs": [{"targets": addresses}],
                        }
                    ],
                }
            )
        )
        command = [
            str(program),
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address={prometheus.url.removeprefix('http://')}",
        ]
        with servers.run_server(command, is_ready=lambda: _is_ready(prometheus), directory=home):
            yield prometheus


def _is_ready(prometheus: Prometheus) -> bool:
    try:
        return requests.get(f"{prometheus.url}/-/ready", timeout=1).ok
    except requests.ConnectionError:
        return False
