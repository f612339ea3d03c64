"""Constraints that the database enforces for every client."""

from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, OperationalError, connection, transaction

from remediation.models import (
    Action,
    ActionExecution,
    Alert,
    AppendOnlyError,
    Bucket,
    BucketRun,
    BucketStep,
    BucketVersion,
    Cause,
    Transition,
)
from tests.factories import make_alert, make_bucket, make_execution, make_run

pytestmark = pytest.mark.django_db

# MariaDB raises OperationalError for a violated check.
VIOLATED = (IntegrityError, OperationalError)


def write_by_sql(model, column, value):
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {model._meta.db_table} SET {column} = %s", [value])


@pytest.fixture
def rows():
    execution = make_execution()
    execution.record(cause=Cause())


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("model", "column"),
    [
        (Alert, "status"),
        (BucketRun, "status"),
        (BucketRun, "trigger"),
        (BucketRun, "stop"),
        (ActionExecution, "status"),
        (Bucket, "trigger_on"),
        (Bucket, "on_resolved"),
        (BucketStep, "run_when"),
        (BucketStep, "on_failure"),
        (Action, "action_type"),
        (Action, "st2_check"),
        (Transition, "subject_type"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_an_unknown_value_is_rejected(model, column):
    column = f'"{column}"' if connection.vendor == "sqlite" else f"`{column}`"

    with pytest.raises(VIOLATED), transaction.atomic():
        write_by_sql(model, column, "nonsense")


@pytest.mark.usefixtures("rows")
def test_the_action_type_must_agree_with_use_stackstorm():
    with pytest.raises(VIOLATED), transaction.atomic():
        write_by_sql(Action, "use_stackstorm", False)


@pytest.mark.usefixtures("rows")
def test_a_step_has_at_least_one_attempt():
    with pytest.raises(VIOLATED), transaction.atomic():
        write_by_sql(BucketStep, "max_attempts", 0)


def test_a_fingerprint_has_one_open_episode():
    make_alert(fingerprint="a" * 16)

    with pytest.raises(IntegrityError), transaction.atomic():
        make_alert(fingerprint="a" * 16)

    make_alert(fingerprint="a" * 16, status="resolved")
    make_alert(fingerprint="a" * 16, status="resolved")
    assert Alert.objects.count() == 3


def test_a_bucket_has_one_automatic_run_for_an_alert():
    run = make_run()

    with pytest.raises(IntegrityError), transaction.atomic():
        make_run(run.bucket, run.alert)

    make_run(run.bucket, run.alert, number=2)


def test_the_attempts_of_a_step_are_unique():
    execution = make_execution()

    with pytest.raises(IntegrityError), transaction.atomic():
        make_execution(execution.run)

    make_execution(execution.run, attempt=2)


@pytest.mark.parametrize("column", ["st2_execution_id", "trace_tag"])
def test_ids_in_stackstorm_are_unique(column):
    columns: dict[str, Any] = {column: "abc"}
    make_execution(**columns)

    with pytest.raises(IntegrityError), transaction.atomic():
        make_execution(**columns)

    make_execution(**{column: None})
    make_execution(**{column: None})


def test_keys_are_compared_byte_by_byte():
    make_alert(fingerprint="abcdefabcdefabcd")
    make_execution(st2_execution_id="abc", request_id="req")

    make_alert(fingerprint="ABCDEFABCDEFABCD")
    make_execution(st2_execution_id="ABC", request_id="REQ")

    assert Alert.objects.filter(fingerprint="abcdefabcdefabcd").count() == 1
    assert ActionExecution.objects.filter(request_id="req").count() == 1


def transition():
    execution = make_execution()
    execution.record(cause=Cause())
    return Transition.objects.get()


def version():
    return BucketVersion.record(make_bucket(), cause=Cause())


@pytest.mark.parametrize("make", [transition, version])
@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.save(),
        lambda row: row.delete(),
        lambda row: type(row).objects.update(actor="eve"),
        lambda row: type(row).objects.filter(pk=row.pk).update(actor="eve"),
        lambda row: type(row).objects.filter(pk=row.pk).delete(),
        lambda row: type(row).objects.bulk_update([row], ["actor"]),
        lambda row: type(row).objects.update_or_create(pk=row.pk, defaults={"actor": "eve"}),
    ],
    ids=["save", "delete", "update all", "update", "delete many", "bulk", "update or create"],
)
def test_history_cannot_be_changed_or_deleted(make, change):
    row = make()

    with pytest.raises(AppendOnlyError), transaction.atomic():
        change(row)

    assert type(row).objects.values_list("actor", flat=True).get(pk=row.pk) == "system"


def test_versions_cannot_be_deleted_through_their_bucket():
    bucket = version().bucket

    with pytest.raises(AppendOnlyError):
        bucket.versions.all().delete()


@pytest.mark.parametrize(
    "model", [*apps.get_app_config("remediation").get_models()], ids=lambda model: model.__name__
)
def test_the_constraints_of_a_table_can_be_read(model):
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)

    assert {index.name for index in model._meta.indexes} <= found.keys()
    checks = [found[one.name] for one in model._meta.constraints if one.name in found]
    assert all(found_one["check"] or found_one["unique"] for found_one in checks)
