"""Lists of history: keyset pagination, and searches with a bounded scan."""

import re
from html import unescape

import pytest

from remediation.admin import read_only
from remediation.admin.executions import ActionExecutionAdmin
from remediation.admin.runs import BucketRunAdmin
from remediation.models import ActionExecution, Alert, BucketRun, keyset_pagination
from tests.factories import make_alert, make_execution, make_run
from tests.remediation.admin.forms import page

pytestmark = pytest.mark.slow


def shown(response):
    return [row.pk for row in response.context["cl"].result_list]


def page_link(response, label):
    """Return the URL of a page link; '' if the page has no such link."""
    link = re.search(rf'<a href="([^"]*)"[^>]*>[^<]*{label}[^<]*</a>', response.content.decode())
    return unescape(link[1]) if link else ""


@pytest.mark.parametrize("query", [{}, {"status__exact": "failure"}])
def test_long_list_is_paged_in_both_directions(operator, monkeypatch, query):
    monkeypatch.setattr(ActionExecutionAdmin, "list_per_page", 2)
    for _ in range(5):
        make_execution(status="failure")
    pks = list(ActionExecution.objects.order_by("-pk").values_list("pk", flat=True))
    url = page(ActionExecution, "changelist")

    first = operator.get(url, query)
    second = operator.get(url + page_link(first, "Older"))
    third = operator.get(url + page_link(second, "Older"))
    back = operator.get(url + page_link(third, "Newer"))

    assert [shown(each) for each in (first, second, third)] == [pks[:2], pks[2:4], pks[4:]]
    assert shown(back) == pks[2:4]
    assert shown(operator.get(url + page_link(third, "Newest"))) == pks[:2]
    assert page_link(first, "Newer") == page_link(first, "Newest") == ""
    assert page_link(third, "Older") == ""
    assert "2 executions, newest first" in first.content.decode()


def test_filter_links_start_at_the_newest_rows(operator, monkeypatch):
    monkeypatch.setattr(BucketRunAdmin, "list_per_page", 1)
    for _ in range(3):
        make_run()

    second = operator.get(
        f"{page(BucketRun, 'changelist')}?before={BucketRun.objects.latest('pk').pk}"
    )

    assert shown(second)
    content = second.content.decode()
    filters = content[content.index('id="changelist-filter"') :]
    assert "status__exact=failure" in filters
    assert "before=" not in filters


def test_list_of_rare_rows_shows_how_far_it_searched(operator, monkeypatch):
    for name in ("SCANNED_FIRST", "SCANNED_MAX"):
        monkeypatch.setattr(keyset_pagination, name, 2)
    monkeypatch.setattr(read_only, "SCANNED_MAX", 2)
    rare = make_run(trigger="manual")
    for _ in range(3):
        make_run()
    url = page(BucketRun, "changelist")

    first = operator.get(url, {"trigger__exact": "manual"})
    second = operator.get(url + page_link(first, "Older"))

    assert "None among the newest 2 runs" in " ".join(first.content.decode().split())
    assert shown(second) == [rare.pk]


def test_search_finds_old_rows_by_index(operator, monkeypatch):
    for name in ("SCANNED_FIRST", "SCANNED_MAX"):
        monkeypatch.setattr(keyset_pagination, name, 2)
    old = make_alert({"alertname": "DiskFull", "instance": "db-1"})
    for _ in range(4):
        make_alert()

    assert shown(operator.get(page(Alert, "changelist"), {"q": "db-"})) == [old.pk]


def test_search_with_many_hits_shows_the_newest(operator, monkeypatch):
    monkeypatch.setattr(read_only, "INDEXED_HITS_MAX", 2)
    pks = [make_alert().pk for _ in range(4)]

    assert shown(operator.get(page(Alert, "changelist"), {"q": "host"})) == pks[::-1]


def test_invalid_page_parameter_is_ignored(operator):
    pk = make_alert().pk

    for text in ("", "x", "-1", "9" * 19, "²"):
        assert shown(operator.get(page(Alert, "changelist"), {"before": text})) == [pk]
    executions = page(ActionExecution, "changelist")
    query = {"before": "999", "status__exact": "failure"}
    assert operator.get(executions, query).status_code == 200
