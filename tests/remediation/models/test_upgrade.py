"""An upgrade keeps all rows and columns of the first released schema."""

import datetime

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import NOT_PROVIDED

from remediation.models import Heartbeat, JobSchedule, MetricPosition, Problem

pytestmark = pytest.mark.slow

FIRST = [("audit", "0001_initial"), ("remediation", "0001_initial")]
APPS = {label for label, _ in FIRST}
AT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
LATER = AT + datetime.timedelta(seconds=5)
BEFORE_SPLIT = [("remediation", "0014_reruns")]
BEFORE_METRICS = [("remediation", "0022_actor_kinds")]


@pytest.fixture
def migrate():
    """Drop the tables and return a function that migrates; at the end the schema is the newest."""

    def to(targets):
        executor = MigrationExecutor(connection)
        executor.migrate(targets)
        return executor.loader.project_state(targets).apps

    drop_tables()
    yield to
    drop_tables()
    to(MigrationExecutor(connection).loader.graph.leaf_nodes())


def drop_tables():
    """Drop all tables of the two apps and forget their migrations."""
    labels = (apps.get_app_config(label) for label in APPS)
    tables = {model._meta.db_table for config in labels for model in config.get_models()}
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for table in [*tables, "heartbeats"]:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
    MigrationRecorder(connection).migration_qs.filter(app__in=APPS).delete()


def column_values(model):
    """Return a value for each column that has no default in the database."""
    columns = {}
    for field in model._meta.concrete_fields:
        if field.primary_key or field.db_default is not NOT_PROVIDED:
            continue
        value = field.get_default()
        if field.choices and not value:
            value = field.choices[0][0]
        elif field.unique:
            value = field.name[:16]
        elif isinstance(field, models.ForeignKey) and not field.null:
            value = 1
        elif isinstance(field, models.DateTimeField) and not field.null:
            value = AT
        elif value is None and not field.null:
            value = 1
        columns[field.column] = field.get_db_prep_save(value, connection)
    return columns


def insert(table, columns):
    names = ", ".join(connection.ops.quote_name(name) for name in columns)
    marks = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        sql = f"INSERT INTO {connection.ops.quote_name(table)} ({names}) VALUES ({marks})"
        cursor.execute(sql, list(columns.values()))


def rows_of(table, columns="*"):
    """Return the rows of a table by column name."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table} ORDER BY id")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
def test_rows_of_every_table_survive_all_migrations(migrate):
    first = migrate(FIRST)
    first_models = [model for model in first.get_models() if model._meta.app_label in APPS]
    tables = [model._meta.db_table for model in first_models]
    with connection.constraint_checks_disabled():
        for model in first_models:
            insert(model._meta.db_table, column_values(model))
    before = {table: rows_of(table) for table in tables}
    assert all(before.values())
    assert len(tables) >= 13

    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())

    for table, rows in before.items():
        kept = rows_of(table)
        assert [{name: row[name] for name in rows[0]} for row in kept] == rows, table


@pytest.mark.django_db(transaction=True)
def test_heartbeats_are_split_into_schedules_problems_and_processes(migrate):
    heartbeats = migrate(BEFORE_SPLIT).get_model("remediation", "Heartbeat").objects
    for name, note, failures in [
        ("tick", "", 0),
        ("prune", "", 0),
        ("begun:tick", "", 3),
        ("launch@host-1", "", 0),
        ("stream", "", 0),
        ("failing:clock@host-1", "600 s ahead", 4),
        ("failing:recovery", "", 0),
        ("stackstorm", "503 Service Unavailable", 2),
    ]:
        heartbeats.create(name=name, note=note, failures=failures, beat_at=AT, due_at=LATER)

    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())

    assert list(
        JobSchedule.objects.values_list("name", "started_at", "due_at", "unfinished_starts")
    ) == [("tick", AT, LATER, 3), ("prune", AT, LATER, 0)]
    assert list(
        Problem.objects.values_list("name", "text", "since", "next_try_at", "failures")
    ) == [
        ("clock@host-1", "600 s ahead", AT, LATER, 4),
        ("stackstorm", "503 Service Unavailable", AT, LATER, 2),
    ]
    assert list(Heartbeat.objects.values_list("name", "beat_at")) == [
        ("launch@host-1", AT),
        ("stream", AT),
    ]


@pytest.mark.django_db(transaction=True)
def test_metrics_count_from_the_upgrade_on(migrate):
    transitions = migrate(BEFORE_METRICS).get_model("remediation", "Transition")._base_manager
    for pk in (7, 12):
        transitions.create(
            pk=pk, at=AT, subject_type="run", subject_id=1, request_id="r", to_status="pending"
        )

    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())

    assert MetricPosition.current().position == 12


@pytest.mark.django_db
def test_the_migrations_describe_the_models():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
