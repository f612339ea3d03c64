"""All pages in a real browser: none violates the Content-Security-Policy or has an error."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests import servers
from tests.servers.poundcake import PoundCake, manage, on_sqlite, web_server

pytestmark = pytest.mark.slow

PASSWORD = "a password of the tests"
PAGES_MAX = 80
# Of a kind of page, such as the change page of alerts, one is enough.
DIGITS = str.maketrans("0123456789", "#" * 10)
SKIPPED = ("/admin/logout/", "/static/", "/api/v1/schema", "/metrics")


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Debian's Chromium."""
    program = servers.find_program("chromium", package="chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(program), args=["--no-sandbox", "--disable-gpu"]
        )
        yield running
        running.close()


@pytest.fixture
def page() -> Iterator[Page]:
    with servers.skip_if_missing(browser()) as running:
        yield running.new_page()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[PoundCake]:
    """A web server with a superuser, a bucket and an alert with a run."""
    poundcake = on_sqlite(tmp_path)
    with web_server(poundcake):
        manage(poundcake.environment, "seed_actions")
        manage(
            poundcake.environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD},
            *("createsuperuser", "--noinput", "--username", "maria", "--email", "m@example.com"),
        )
        [wait] = poundcake.get("actions/?name=wait")["results"]
        step = {"action": wait["id"], "parameters": {"seconds": 1}}
        poundcake.post("buckets/", {"name": "b", "alert_name_pattern": "Down", "steps": [step]})
        alert = {"status": "firing", "labels": {"alertname": "Down", "instance": "web-01"}}
        poundcake.post("webhook", {"alerts": [alert]})
        yield poundcake


def links(page: Page) -> list[str]:
    """Return the same-origin URLs of a page, without fragments."""
    found = page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
    urls = [urldefrag(urljoin(page.url, href))[0] for href in found]
    return [url for url in urls if urlsplit(url)[:2] == urlsplit(page.url)[:2]]


def test_no_page_violates_the_policy(web: PoundCake, page: Page) -> None:
    complaints: list[str] = []

    def complain(kind: str, text: str) -> None:
        if kind == "error":
            complaints.append(f"{page.url}: {text}")

    page.on("console", lambda message: complain(message.type, message.text))
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.add_init_script(
        "addEventListener('securitypolicyviolation',"
        " e => console.error('violates', e.violatedDirective, e.blockedURI))"
    )
    page.goto(f"{web.url}/admin/")
    page.fill("#id_username", "maria")
    page.fill("#id_password", PASSWORD)
    page.click("[type=submit]")
    page.wait_for_selector("#user-tools")

    visited = crawl(page, [f"{web.url}/admin/", f"{web.url}/audit/failures/"])
    page.goto(f"{web.url}/api/v1/docs/")
    page.locator(".opblock").first.wait_for()
    page.locator(".opblock").first.click()
    page.locator(".opblock-body").first.wait_for()

    assert len(visited) > 30
    for kind in ("/admin/remediation/bucket/#/change/", "/audit/requests/", "/audit/failures/"):
        assert any(kind in url for url in visited), (kind, visited)
    assert not complaints, "\n".join(complaints)


def crawl(page: Page, starts: list[str]) -> set[str]:
    """Open all kinds of pages that links lead to; return their URLs with # for digits."""
    waiting = deque(starts)
    seen: set[str] = set()
    while waiting and len(seen) < PAGES_MAX:
        url = waiting.popleft()
        kind = urlsplit(url).path.translate(DIGITS)
        if kind in seen or kind.startswith(SKIPPED):
            continue
        seen.add(kind)
        page.goto(url)
        waiting.extend(links(page))
    return seen
