"""A private Alertmanager on the loopback interface that notifies one webhook."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from tests import servers


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager. ``url`` has no path."""

    url: str

    def post_alerts(self, alerts: Sequence[Mapping[str, object]]) -> None:
        """Send alerts as Prometheus does.

        Each has ``labels``; optional are ``annotations``, ``startsAt``, ``endsAt`` (in the past:
        resolved) and ``generatorURL``.
        Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
        """
        response = requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=10)
        response.raise_for_status()


@contextmanager
def running(
    *,
    webhook_url: str,
    token: str,
    group_interval: str = "500ms",
    repeat_interval: str = "1h",
) -> Iterator[Alertmanager]:
    """Run the installed Alertmanager until the block ends.

    Each alert is a group of its own. It is posted to ``webhook_url`` with the bearer ``token``
    after 50 ms, changes after ``group_interval``, repeats after ``repeat_interval``.
    """
    program = servers.find_program("prometheus-alertmanager", package="prometheus-alertmanager")
    alertmanager = Alertmanager(f"http://127.0.0.1:{servers.free_port()}")
    with TemporaryDirectory(prefix="poundcake-alertmanager-") as directory:
        home = Path(directory)
        # JSON is YAML.
        (home / "config.yml").write_text(
            json.dumps(
                {
                    "route": {
                        "receiver": "poundcake",
                        "group_by": ["..."],
                        "group_wait": "50ms",
                        "group_interval": group_interval,
                        "repeat_interval": repeat_interval,
                    },
                    "receivers": [
                        {
                            "name": "poundcake",
                            "webhook_configs": [
                                {
                                    "url": webhook_url,
                                    "send_resolved": True,
                                    "http_config": {"authorization": {"credentials": token}},
                                }
                            ],
                        }
                    ],
                }
            )
        )
        command = [
            str(program),
            f"--config.file={home / 'config.yml'}",
            f"--storage.path={home / 'data'}",
            f"--web.listen-address={alertmanager.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        # An unpacked Alertmanager finds its templates relative to this directory.
        root = program.parents[2]
        with servers.run_server(command, is_ready=lambda: _is_ready(alertmanager), directory=root):
            yield alertmanager


def _is_ready(alertmanager: Alertmanager) -> bool:
    try:
        return requests.get(f"{alertmanager.url}/-/ready", timeout=1).ok
    except requests.ConnectionError:
        return False
