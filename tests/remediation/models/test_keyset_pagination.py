"""Pages of rows without an index: scanned in steps, each row returned once."""

import datetime

import pytest
from django.utils import timezone

from remediation.models import Alert, keyset_pagination
from remediation.models.keyset_pagination import read_page
from tests.factories import make_alert

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

ORDERINGS = ["-pk", "pk", "-created_at", "created_at"]


@pytest.fixture(autouse=True)
def _short_scans(monkeypatch):
    monkeypatch.setattr(keyset_pagination, "SCANNED_FIRST", 2)
    monkeypatch.setattr(keyset_pagination, "SCANNED_MAX", 4)


def make_alerts(count, *, rare):
    """Create alerts; those in ``rare`` are critical, and three share each creation time."""
    now = timezone.now()
    return [
        make_alert(
            severity="critical" if number in rare else "info",
            created_at=now + datetime.timedelta(seconds=number // 3),
        ).pk
        for number in range(count)
    ]


def read_all(ordering, *, size=2, cursor=None):
    """Return all pages of critical alerts from the cursor on."""
    result = []
    is_back = cursor is not None and cursor.is_reverse
    while True:
        page = read_page(
            Alert.objects.filter(severity="critical"),
            ordering=ordering,
            size=size,
            cursor=cursor,
            scan_queryset=Alert.objects.all(),
        )
        result.append(page)
        cursor = page.previous if is_back else page.next
        if cursor is None:
            return result


def found(result):
    return [row.pk for page in result for row in page.rows]


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("rare", [{0}, {19}, {3, 4, 5}, {0, 7, 8, 19}, set(), set(range(20))])
def test_rare_rows_are_returned_once_and_in_order(ordering, rare):
    ids = make_alerts(20, rare=rare)

    result = read_all(ordering)

    expected = [ids[number] for number in sorted(rare, reverse=ordering.startswith("-"))]
    assert found(result) == expected
    assert [page.previous is None for page in result] == [True] + [False] * (len(result) - 1)


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("rare", [{0, 7, 8, 19}, {3, 16}, set(range(12))])
def test_previous_pages_return_all_rows_before_a_page(ordering, size, rare):
    make_alerts(20 if len(rare) < 12 else 12, rare=rare)
    forth = read_all(ordering, size=size)

    for number, page in enumerate(forth[1:], start=1):
        back = read_all(ordering, size=size, cursor=page.previous)
        assert found(reversed(back)) == found(forth[:number])


def test_a_page_shows_that_its_scan_was_limited():
    make_alerts(20, rare={0})

    first, *_, last = read_all("-pk")

    assert (first.rows, first.is_scan_limited) == ([], True)
    assert ([row.severity for row in last.rows], last.next) == (["critical"], None)
    assert not last.is_scan_limited


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_a_page_scans_a_limited_number_of_rows(ordering, django_assert_max_num_queries):
    make_alerts(20, rare=set())

    with django_assert_max_num_queries(6):
        page = read_page(
            Alert.objects.filter(severity="critical"),
            ordering=ordering,
            size=2,
            cursor=None,
            scan_queryset=Alert.objects.all(),
        )

    ids = sorted(Alert.objects.values_list("pk", flat=True), reverse=ordering.startswith("-"))
    assert page.next is not None
    assert ids.index(page.next.pk) in (3, 4)


def test_a_filter_with_an_index_is_not_scanned():
    ids = make_alerts(20, rare={0})

    page = read_page(Alert.objects.filter(severity="critical"), ordering="-pk", size=2, cursor=None)

    assert ([row.pk for row in page.rows], page.next) == ([ids[0]], None)
