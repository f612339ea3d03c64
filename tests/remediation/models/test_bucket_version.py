"""Bucket versions: one per definition, also with concurrent edits."""

import threading
import time

import pytest
from django.db import connection, transaction
from django.utils import timezone

from remediation.engine.operations import definitions
from remediation.models import Bucket, BucketVersion, Cause
from tests import factories

ADA = Cause(at=timezone.now(), actor="ada")


@pytest.mark.django_db
def test_a_bucket_read_before_an_edit_creates_no_version():
    bucket = factories.make_step().bucket
    definitions.record(bucket, cause=ADA)
    before = Bucket.objects.prefetch_related("steps__action").get()
    list(before.steps.all())
    bucket.priority = 5
    edited = definitions.save_bucket(bucket, None, cause=ADA)

    version = BucketVersion.record(before, cause=Cause())

    assert version == edited
    assert set(BucketVersion.objects.values_list("number", "actor")) == {(1, "ada"), (2, "ada")}


@pytest.mark.django_db
def test_a_change_by_sql_becomes_a_version_of_system():
    bucket = factories.make_step().bucket
    definitions.record(bucket, cause=ADA)
    Bucket.objects.update(priority=5)

    version, again = (BucketVersion.record(Bucket.objects.get(), cause=Cause()) for _ in "ab")

    assert (version.number, version.actor) == (2, "system")
    assert version.definition["bucket"]["priority"] == 5
    assert again == version


@pytest.mark.django_db(transaction=True)
def test_concurrent_recordings_create_one_version():
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    bucket = factories.make_step().bucket
    made: list[int] = []
    has_begun = threading.Event()

    def record() -> None:
        has_begun.set()
        try:
            with transaction.atomic():
                made.append(BucketVersion.record(bucket, cause=Cause()).pk)
        finally:
            connection.close()

    other = threading.Thread(target=record)
    with transaction.atomic():
        first = BucketVersion.record(bucket, cause=Cause())
        other.start()
        has_begun.wait(10)
        _wait_for_a_lock_wait()
    other.join(10)

    assert made == [first.pk]
    assert BucketVersion.objects.count() == 1


def _wait_for_a_lock_wait() -> None:
    """Wait until the database reports a lock wait."""
    for _ in range(100):
        # MariaDB refreshes the table only if it was not read for 0.1 s.
        time.sleep(0.15)
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM information_schema.innodb_lock_waits")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("no lock wait")
