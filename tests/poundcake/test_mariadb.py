"""Reconnect after MariaDB has closed an idle connection, as during a slow StackStorm request."""

import time

import pytest
from django.db import OperationalError, connection, transaction

from poundcake.mariadb import base
from remediation import clock
from remediation.models import Problem

pytestmark = [
    pytest.mark.skipif(connection.vendor != "mysql", reason="only MariaDB closes idle connections"),
    pytest.mark.django_db(transaction=True),
]


def connection_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def wait_until_connection_is_closed() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION wait_timeout = 1")
    time.sleep(base.IDLE_SECONDS + 1)


def test_a_statement_after_an_idle_period_reconnects():
    before = connection_id()
    wait_until_connection_is_closed()

    assert connection_id() != before


def test_a_transaction_after_an_idle_period_reconnects():
    wait_until_connection_is_closed()

    with transaction.atomic():
        Problem.report("idle", "a note", at=clock.now())

    assert Problem.objects.filter(name="idle").exists()


def test_a_connection_in_use_is_kept():
    assert connection_id() == connection_id()


def test_an_idle_period_inside_a_transaction_raises_an_error():
    def query_after_idle_period() -> None:
        with transaction.atomic():
            wait_until_connection_is_closed()
            connection_id()

    with pytest.raises(OperationalError):
        query_after_idle_period()

    assert connection_id()
