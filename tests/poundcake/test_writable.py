"""``/readyz`` is 503 while the database takes no writes, at a bounded cost."""

import pytest
from django.db import Error, OperationalError, connection
from django.test import Client

from poundcake import health
from poundcake.writable import INTERVAL_SECONDS, WriteCheck
from remediation.models import Heartbeat


@pytest.fixture(autouse=True)
def check_again():
    health.check_writable.forget()
    yield
    health.check_writable.forget()


@pytest.fixture
def read_only(transactional_db):
    """Let this connection refuse all writes, as a read-only database does."""
    is_sqlite = connection.vendor == "sqlite"
    switch = "PRAGMA query_only = {}" if is_sqlite else "SET SESSION TRANSACTION READ {}"
    on, off = ("ON", "OFF") if is_sqlite else ("ONLY", "WRITE")
    with connection.cursor() as cursor:
        cursor.execute(switch.format(on))
        yield
        cursor.execute(switch.format(off))


@pytest.fixture
def full_disk(transactional_db):
    """Let the database have no room for one more page."""
    if connection.vendor != "sqlite":
        pytest.skip("MariaDB has no quota that a test could set")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # no free page is left
        cursor.execute("PRAGMA max_page_count")
        [before] = cursor.fetchone()
        cursor.execute("PRAGMA max_page_count = 1")  # SQLite takes the present size for this
        yield
        cursor.execute(f"PRAGMA max_page_count = {before}")


@pytest.mark.usefixtures("read_only")
def test_not_ready_while_the_database_is_read_only():
    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert "cannot be written to: it is read-only" in answer.json()["problem"]


@pytest.mark.usefixtures("full_disk")
def test_not_ready_while_the_disk_is_full():
    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert "its disk is full" in answer.json()["problem"]


@pytest.mark.django_db
def test_a_check_leaves_nothing_behind():
    assert Client().get("/readyz").status_code == 200

    assert not Heartbeat.objects.exists()


@pytest.fixture
def clock():
    return Seconds()


class Seconds:
    now = 0.0

    def __call__(self):
        return self.now


def writes(execute, sql, *arguments):
    raise OperationalError(1290, "The MariaDB server is running with the --read-only option")


@pytest.mark.django_db
def test_probes_in_between_get_the_last_outcome(clock, django_assert_num_queries):
    check = WriteCheck(steady_seconds=clock)
    check()

    with django_assert_num_queries(0):
        for _ in range(100):
            check()
    clock.now += INTERVAL_SECONDS
    with connection.execute_wrapper(writes), pytest.raises(Error):
        check()
    with django_assert_num_queries(0), pytest.raises(Error):
        check()
    clock.now += INTERVAL_SECONDS
    check()
