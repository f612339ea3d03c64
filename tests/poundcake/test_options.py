"""OPTIONS describes every URL of the API, and errors are JSON everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests import factories

pytestmark = pytest.mark.django_db


def api_urls() -> list[str]:
    """Return one URL for each pattern of the API."""
    return [url for url in _urls(get_resolver(), "/") if url.startswith("/api/v1/")]


def _urls(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = re.sub(r"\(\?P<\w+>[^)]*\)", "1", str(pattern.pattern))
        url = prefix + route.replace("/?", "/").strip("^$")
        if isinstance(pattern, URLPattern):
            yield url
        else:
            yield from _urls(pattern, url)


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json"])
def test_options_describes_every_url(accept: str) -> None:
    client = factories.make_client("read")
    urls = api_urls()

    answers = {url: client.options(url, headers={"Accept": accept}) for url in urls}

    assert {"/api/v1/docs/", "/api/v1/schema/", "/api/v1/buckets/1/run/"} <= set(urls)
    assert {url: answer.status_code for url, answer in answers.items()} == dict.fromkeys(urls, 200)
    assert {answer["Content-Type"] for answer in answers.values()} == {"application/json"}
    assert all("OPTIONS" in answer["Allow"] for answer in answers.values())


@pytest.mark.parametrize("url", ["/api/v1/docs/", "/api/v1/schema/"])
def test_errors_of_the_schema_and_its_page_are_json(url: str) -> None:
    for client, method, status in (
        (factories.make_client("webhook"), "GET", 403),
        (factories.make_client("read"), "POST", 405),
    ):
        response = client.generic(method, url)

        assert response.status_code == status
        assert response.json()["error"]["message"]
