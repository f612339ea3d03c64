"""Counts of a process: added to the totals now and then, never lost while the process lives."""

import os

import pytest
from django.db import connection

from remediation import process_counts
from remediation.engine.totals import flush
from remediation.engine.totals.current import current_totals
from remediation.engine.totals.definitions import (
    ALERTS_TRUNCATED,
    API_REQUESTS,
    COUNTERS,
    HISTOGRAMS,
    STACKSTORM_SECONDS,
)
from remediation.models import MetricTotal
from tests.remediation.refused_rows import refused


@pytest.fixture(autouse=True)
def no_counts():
    process_counts.take()
    yield
    process_counts.take()


def shown(metric, **labels):
    return current_totals().get((metric, tuple(sorted(labels.items()))), 0)


@pytest.mark.django_db
def test_counts_are_added_to_the_totals_of_other_processes():
    for _ in range(2):
        API_REQUESTS.add(endpoint="webhook", code="202")
        API_REQUESTS.add(3, endpoint="webhook", code="503")
        flush.flush()

    assert shown("poundcake_api_requests_total", endpoint="webhook", code="202") == 2
    assert shown("poundcake_api_requests_total", endpoint="webhook", code="503") == 6
    assert MetricTotal.objects.count() == 2


@pytest.mark.django_db
def test_a_flush_is_one_statement_and_an_idle_process_sends_none(django_assert_num_queries):
    STACKSTORM_SECONDS.observe(0.02, method="GET")
    API_REQUESTS.add(endpoint="other", code="200")
    with django_assert_num_queries(3):  # the INSERT in its savepoint
        flush.flush()
    with django_assert_num_queries(0):
        flush.flush()

    assert (
        shown("poundcake_stackstorm_request_duration_seconds_bucket", method="GET", le="0.025") == 1
    )
    assert shown("poundcake_stackstorm_request_duration_seconds_sum", method="GET") == 0.02


@pytest.mark.django_db(transaction=True)
def test_counts_are_kept_while_the_database_fails():
    ALERTS_TRUNCATED.add(5)
    with refused(MetricTotal, "NEW.value > 0", event="INSERT"):
        flush.flush()
    ALERTS_TRUNCATED.add(1)

    flush.flush()

    assert shown("poundcake_alerts_truncated_total") == 6


def test_a_forked_process_begins_without_counts():
    ALERTS_TRUNCATED.add(5)
    connection.close()

    child = os.fork()
    if not child:
        os._exit(int(process_counts.take() != {}))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert process_counts.waiting(ALERTS_TRUNCATED) == 5


def test_each_process_starts_one_thread(monkeypatch):
    started = []
    monkeypatch.setattr(process_counts, "_start", lambda: started.append(os.getpid()))
    monkeypatch.setattr(process_counts, "_waiting", process_counts._Waiting())

    for _ in range(3):
        ALERTS_TRUNCATED.add()

    assert started == [os.getpid()]


def test_the_names_follow_the_conventions_of_prometheus():
    for metric in (*COUNTERS, *HISTOGRAMS):
        assert metric.name.endswith("_total" if metric in COUNTERS else "_seconds")
        assert metric.help.endswith(".")
        assert list(metric.labels) == sorted(metric.labels)
    assert all(list(one.bounds) == sorted(one.bounds) for one in HISTOGRAMS)
