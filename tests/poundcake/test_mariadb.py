"""A connection that MariaDB closed while StackStorm was asked is opened again."""

import time

import pytest
from django.db import OperationalError, connection, transaction

from poundcake.mariadb import base
from remediation import clock
from remediation.models import Problem

pytestmark = [
    pytest.mark.skipif(connection.vendor != "mysql", reason="it is MariaDB that closes them"),
    pytest.mark.django_db(transaction=True),
]


def server_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def be_idle_until_it_is_closed() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION wait_timeout = 1")
    time.sleep(base.IDLE_SECONDS + 1)


def test_a_statement_after_an_idle_time_opens_it_again():
    before = server_id()
    be_idle_until_it_is_closed()

    assert server_id() != before


def test_a_transaction_after_an_idle_time_opens_it_again():
    be_idle_until_it_is_closed()

    with transaction.atomic():
        Problem.report("idle", "a note", at=clock.now())

    assert Problem.objects.filter(name="idle").exists()


def test_a_connection_in_use_is_kept():
    assert server_id() == server_id()


def test_a_transaction_that_was_idle_is_lost_and_says_so():
    def look_twice() -> None:
        with transaction.atomic():
            be_idle_until_it_is_closed()
            server_id()

    with pytest.raises(OperationalError):
        look_twice()

    assert server_id()
