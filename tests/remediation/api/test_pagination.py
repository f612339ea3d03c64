"""Keyset pages: every row once, in both directions, with equal values and inserted rows."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from remediation.models import Alert
from tests import factories

pytestmark = pytest.mark.django_db

URL = "/api/v1/alerts/"


@pytest.fixture
def reader() -> Client:
    return factories.make_client("read")


def make_alerts(count: int) -> list[int]:
    """Create alerts; each three have the same time."""
    now = timezone.now()
    return [
        factories.make_alert(created_at=now + datetime.timedelta(seconds=number // 3)).pk
        for number in range(count)
    ]


def follow(client: Client, url: str, link: str) -> list[list[int]]:
    """Return the ids of each page, starting at ``url``."""
    pages = []
    next_url: str | None = url
    while next_url:
        body = client.get(next_url).json()
        pages.append([row["id"] for row in body["results"]])
        next_url = body[link]
    return pages


def last_url(client: Client, url: str) -> str:
    while following := client.get(url).json()["next"]:
        url = following
    return url


@pytest.mark.parametrize("ordering", ["-id", "id", "created_at", "-created_at"])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 11])
def test_pages_contain_every_row_once_and_in_order(
    reader: Client, ordering: str, size: int
) -> None:
    ids = make_alerts(10)
    expected = ids[::-1] if ordering.startswith("-") else ids

    pages = follow(reader, f"{URL}?ordering={ordering}&page_size={size}", "next")

    assert [pk for page in pages for pk in page] == expected
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.parametrize("ordering", ["-id", "created_at", "-created_at"])
def test_previous_links_return_the_same_rows(reader: Client, ordering: str) -> None:
    make_alerts(10)
    url = f"{URL}?ordering={ordering}&page_size=3"
    forward = follow(reader, url, "next")

    backward = follow(reader, last_url(reader, url), "previous")

    assert [pk for page in reversed(backward) for pk in page] == [
        pk for page in forward for pk in page
    ]


def test_newest_rows_come_first(reader: Client) -> None:
    ids = make_alerts(3)

    body = reader.get(URL).json()

    assert [row["id"] for row in body["results"]] == ids[::-1]
    assert (body["next"], body["previous"]) == (None, None)


def test_inserted_rows_do_not_shift_pages(reader: Client) -> None:
    ids = make_alerts(6)
    first = reader.get(f"{URL}?page_size=3").json()
    make_alerts(4)

    second = reader.get(first["next"]).json()

    assert [row["id"] for row in second["results"]] == ids[2::-1]


def test_links_keep_the_filters(reader: Client) -> None:
    make_alerts(4)
    for alert in Alert.objects.order_by("pk")[:2]:
        Alert.objects.filter(pk=alert.pk).update(severity="page")

    pages = follow(reader, f"{URL}?severity=page&page_size=1", "next")

    assert [len(page) for page in pages] == [1, 1]


def test_no_rows_return_an_empty_page(reader: Client) -> None:
    assert reader.get(URL).json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize("cursor", ["x", "e30=", "W10=", "WyJhIiwxLGZhbHNlXQ==", "é", "[" * 9_000])
def test_invalid_cursors_are_rejected(reader: Client, cursor: Any) -> None:
    response = reader.get(URL, {"cursor": cursor})

    assert response.status_code == 400
    assert list(response.json()["error"]["fields"]) == ["cursor"]


@pytest.mark.parametrize(("made", "used"), [("-id", "created_at"), ("created_at", "-id")])
def test_a_cursor_of_another_ordering_is_rejected(reader: Client, made: str, used: str) -> None:
    make_alerts(2)
    link = reader.get(f"{URL}?ordering={made}&page_size=1").json()["next"]

    response = reader.get(link.replace(f"ordering={made}", f"ordering={used}"))

    assert response.status_code == 400
    [text] = response.json()["error"]["fields"]["cursor"]
    assert "another ordering" in text


def test_query_count_does_not_depend_on_page_depth(
    reader: Client, django_assert_num_queries: Any
) -> None:
    make_alerts(10)
    url = last_url(reader, f"{URL}?page_size=2")

    with django_assert_num_queries(5) as captured:
        reader.get(url)

    assert not any("OFFSET" in query["sql"] for query in captured.captured_queries)
