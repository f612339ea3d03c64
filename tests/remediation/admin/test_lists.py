"""Lists of history: leafed through by key, at any size, with searches that end."""

import re
from html import unescape

import pytest

from remediation.admin import read_only
from remediation.admin.executions import ActionExecutionAdmin
from remediation.admin.runs import BucketRunAdmin
from remediation.models import ActionExecution, Alert, BucketRun, pages
from tests.factories import make_alert, make_execution, make_run
from tests.remediation.admin.forms import page


def shown(response):
    return [row.pk for row in response.context["cl"].result_list]


def linked(response, word):
    """Return the address of a link between the pages, '' without one."""
    found = re.search(rf'<a href="([^"]*)"[^>]*>[^<]*{word}[^<]*</a>', response.content.decode())
    return unescape(found[1]) if found else ""


@pytest.mark.parametrize("query", [{}, {"status__exact": "failure"}])
def test_a_long_list_is_leafed_through_in_both_directions(operator, monkeypatch, query):
    monkeypatch.setattr(ActionExecutionAdmin, "list_per_page", 2)
    for _ in range(5):
        make_execution(status="failure")
    pks = list(ActionExecution.objects.order_by("-pk").values_list("pk", flat=True))
    address = page(ActionExecution, "changelist")

    first = operator.get(address, query)
    second = operator.get(address + linked(first, "Older"))
    third = operator.get(address + linked(second, "Older"))
    back = operator.get(address + linked(third, "Newer"))

    assert [shown(each) for each in (first, second, third)] == [pks[:2], pks[2:4], pks[4:]]
    assert shown(back) == pks[2:4]
    assert shown(operator.get(address + linked(third, "Newest"))) == pks[:2]
    assert (linked(first, "Newer"), linked(first, "Newest"), linked(third, "Older")) == ("", "", "")
    assert "2 executions, newest first" in first.content.decode()


def test_a_filter_begins_with_its_newest_rows(operator, monkeypatch):
    monkeypatch.setattr(BucketRunAdmin, "list_per_page", 1)
    for _ in range(3):
        make_run()

    second = operator.get(f"{page(BucketRun, 'changelist')}?before={BucketRun.objects.last().pk}")

    assert shown(second)
    content = second.content.decode()
    filters = content[content.index('id="changelist-filter"') :]
    assert "status__exact=failure" in filters
    assert "before=" not in filters


def test_the_list_of_rare_rows_tells_how_far_it_looked(operator, monkeypatch):
    for name in ("SEARCHED_FIRST", "SEARCHED_MAX"):
        monkeypatch.setattr(pages, name, 2)
    monkeypatch.setattr(read_only, "SEARCHED_MAX", 2)
    rare = make_run(trigger="manual")
    for _ in range(3):
        make_run()
    address = page(BucketRun, "changelist")

    first = operator.get(address, {"trigger__exact": "manual"})
    second = operator.get(address + linked(first, "Older"))

    assert "None among the newest 2 runs" in " ".join(first.content.decode().split())
    assert shown(second) == [rare.pk]


def test_a_search_finds_few_rows_however_old_they_are(operator, monkeypatch):
    for name in ("SEARCHED_FIRST", "SEARCHED_MAX"):
        monkeypatch.setattr(pages, name, 2)
    old = make_alert({"alertname": "DiskFull", "instance": "db-1"})
    for _ in range(4):
        make_alert()

    assert shown(operator.get(page(Alert, "changelist"), {"q": "db-"})) == [old.pk]


def test_a_search_that_finds_many_shows_the_newest(operator, monkeypatch):
    monkeypatch.setattr(read_only, "INDEXED_HITS_MAX", 2)
    pks = [make_alert().pk for _ in range(4)]

    assert shown(operator.get(page(Alert, "changelist"), {"q": "host"})) == pks[::-1]


def test_the_links_of_strangers_are_read_as_pages(operator):
    pk = make_alert().pk

    for text in ("", "x", "-1", "9" * 19, "²"):
        assert shown(operator.get(page(Alert, "changelist"), {"before": text})) == [pk]
    executions = page(ActionExecution, "changelist")
    asked = {"before": "999", "status__exact": "failure"}
    assert operator.get(executions, asked).status_code == 200
