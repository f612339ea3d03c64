"""``/readyz`` returns 503 while the database is not writable, at a limited cost."""

import pytest
from django.db import Error, OperationalError, connection
from django.test import Client

from poundcake import health
from poundcake.writable import INTERVAL_SECONDS, WriteCheck
from remediation.models import Problem


@pytest.fixture(autouse=True)
def reset_check():
    health.check_writable.reset()
    yield
    health.check_writable.reset()


@pytest.fixture
def read_only(transactional_db):
    """Make this connection refuse all writes, as a read-only database does."""
    is_sqlite = connection.vendor == "sqlite"
    switch = "PRAGMA query_only = {}" if is_sqlite else "SET SESSION TRANSACTION READ {}"
    on, off = ("ON", "OFF") if is_sqlite else ("ONLY", "WRITE")
    with connection.cursor() as cursor:
        cursor.execute(switch.format(on))
        yield
        cursor.execute(switch.format(off))


@pytest.fixture
def full_disk(transactional_db):
    """Make the database too small for another page."""
    if connection.vendor != "sqlite":
        pytest.skip("MariaDB has no size limit that a test can set")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # removes all free pages
        cursor.execute("PRAGMA max_page_count")
        [before] = cursor.fetchone()
        cursor.execute("PRAGMA max_page_count = 1")  # SQLite raises this to the current size
        yield
        cursor.execute(f"PRAGMA max_page_count = {before}")


@pytest.mark.usefixtures("read_only")
def test_not_ready_while_the_database_is_read_only():
    response = Client().get("/readyz")

    assert response.status_code == 503
    assert "cannot be written to: it is read-only" in response.json()["problem"]


@pytest.mark.usefixtures("full_disk")
def test_not_ready_while_the_disk_is_full():
    response = Client().get("/readyz")

    assert response.status_code == 503
    assert "its disk is full" in response.json()["problem"]


@pytest.mark.django_db
def test_a_check_leaves_no_row():
    assert Client().get("/readyz").status_code == 200

    assert not Problem.objects.exists()


@pytest.fixture
def clock():
    return FakeMonotonic()


class FakeMonotonic:
    now = 0.0

    def __call__(self):
        return self.now


def refuse_writes(execute, sql, *arguments):
    raise OperationalError(1290, "The MariaDB server is running with the --read-only option")


@pytest.mark.django_db
def test_probes_within_the_interval_get_the_previous_result(clock, django_assert_num_queries):
    check = WriteCheck(monotonic=clock)
    check()

    with django_assert_num_queries(0):
        for _ in range(100):
            check()
    clock.now += INTERVAL_SECONDS
    with connection.execute_wrapper(refuse_writes), pytest.raises(Error):
        check()
    with django_assert_num_queries(0), pytest.raises(Error):
        check()
    clock.now += INTERVAL_SECONDS
    check()
