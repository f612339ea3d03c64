"""One token floods the server: others are still served, and the record stays complete."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import pytest
import requests

from tests.servers.poundcake import PoundCake, manage, on_sqlite, web_server

pytestmark = pytest.mark.slow

SENDERS = 24  # connections of the flooding token; the server has fewer threads
FLOOD_SECONDS = 4.0
ALERTS = 5  # different alerts, repeated by all senders
HEALTH_SECONDS_MAX = 2.0
WEBHOOK_SECONDS_MAX = 10.0  # the time after which Alertmanager repeats
SEARCH = "x" * 1_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flood")


@pytest.fixture(scope="module")
def web(home: Path) -> Iterator[PoundCake]:
    poundcake = on_sqlite(home)
    with web_server(poundcake):
        yield poundcake


def create_token(web: PoundCake, name: str, *scopes: str) -> str:
    arguments = [f"--scope={scope}" for scope in scopes]
    return manage(web.environment, "create_token", name, *arguments).split()[-1]


def body(*instances: str) -> dict[str, object]:
    labels = [{"alertname": "Flood", "instance": instance} for instance in instances]
    return {"alerts": [{"status": "firing", "labels": one} for one in labels]}


class Flood:
    """Requests of one token from many connections, and the statuses of the responses."""

    def __init__(self, web: PoundCake, token: str) -> None:
        self.api = f"{web.url}/api/v1"
        self.headers = {"Authorization": f"Bearer {token}"}
        self.statuses: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._end = threading.Event()

    def send(self, number: int) -> None:
        """Send requests one after the other until the flood ends."""
        with requests.Session() as session:
            session.headers.update(self.headers)
            while not self._end.is_set():
                try:
                    status = self._request(session, number).status_code
                except requests.RequestException as error:
                    with self._lock:
                        self.failures[type(error).__name__] += 1
                    continue
                with self._lock:
                    self.statuses[status] += 1

    def _request(self, session: requests.Session, number: int) -> requests.Response:
        if number % 4 == 3:
            return session.get(f"{self.api}/alerts/", params={"page_size": 100}, timeout=60)
        return session.post(f"{self.api}/webhook", json=body(f"host-{number % ALERTS}"), timeout=60)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [
            threading.Thread(target=self.send, args=[number], daemon=True)
            for number in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in threads:
                thread.join(120)


def test_a_flood_by_one_token_leaves_the_others_served(web: PoundCake, home: Path) -> None:
    flooding = create_token(web, "flooding", "webhook", "read")
    other = create_token(web, "other", "webhook")
    flood = Flood(web, flooding)
    health: list[float] = []
    webhooks: list[float] = []

    with flood.running():
        end = monotonic() + FLOOD_SECONDS
        while monotonic() < end:
            health.append(requests.get(f"{web.url}/healthz", timeout=30).elapsed.total_seconds())
            response = requests.post(
                f"{web.url}/api/v1/webhook",
                json=body("quiet"),
                headers={"Authorization": f"Bearer {other}"},
                timeout=30,
            )
            assert response.status_code == 202, response.text
            webhooks.append(response.elapsed.total_seconds())

    assert max(health) < HEALTH_SECONDS_MAX
    assert max(webhooks) < WEBHOOK_SECONDS_MAX
    # Alertmanager repeats after a 503; nothing else may happen under load.
    assert set(flood.statuses) <= {200, 202, 503}
    assert not flood.failures
    assert flood.statuses[202] > SENDERS
    with closing(sqlite3.connect(home / "poundcake.sqlite3")) as database:
        [[stored]] = database.execute("SELECT COUNT(*) FROM alerts WHERE alert_name = 'Flood'")
        [[occurrences]] = database.execute("SELECT SUM(occurrences) FROM alerts")
        [[recorded]] = database.execute(
            "SELECT COUNT(*) FROM api_calls WHERE actor LIKE '%flooding%'"
        )
    assert stored == ALERTS + 1
    assert occurrences == flood.statuses[202] + len(webhooks)
    assert recorded == sum(flood.statuses.values())


@pytest.mark.parametrize(
    "query",
    [{"alert_name": SEARCH}, {"search": SEARCH}, {SEARCH: "x"}, {"cursor": SEARCH}],
    ids=["filter", "unknown filter", "name", "cursor"],
)
def test_a_search_of_a_million_characters_is_refused_at_once(
    web: PoundCake, query: dict[str, str]
) -> None:
    begin = monotonic()

    response = requests.get(
        f"{web.url}/api/v1/alerts/",
        params=query,
        headers={"Authorization": f"Bearer {web.token}"},
        timeout=60,
    )

    assert 400 <= response.status_code < 500
    assert monotonic() - begin < HEALTH_SECONDS_MAX
    assert len(response.content) < 10_000
