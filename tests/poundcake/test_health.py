"""Health: alive without a database, ready only with one, and open to everybody."""

import datetime

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from poundcake import health
from remediation.models import Heartbeat


@pytest.fixture(autouse=True)
def forget_migrations():
    health.check_migrations.cache_clear()
    yield
    health.check_migrations.cache_clear()


def refuse(*_arguments):
    raise OperationalError("Access denied for user 'poundcake'@'db'")


def test_alive_needs_no_database():
    answer = Client().get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready_tells_the_workers_signs_of_life():
    beat_at = timezone.now() - datetime.timedelta(minutes=5)
    Heartbeat.objects.create(name="tick", beat_at=beat_at, due_at=beat_at)
    Heartbeat.tell("stackstorm", "https://st2.internal refused", at=beat_at)

    answer = Client().get("/readyz")

    assert answer.status_code == 200
    assert "st2" not in answer.content.decode()
    assert 299 < answer.json()["workers"]["tick"]["age_seconds"] < 400


@pytest.mark.django_db
def test_not_ready_without_a_database_and_no_word_of_its_users():
    with connection.execute_wrapper(refuse):
        answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert "DATABASE_URL" in answer.json()["problem"]
    assert "poundcake" not in answer.content.decode()


@pytest.mark.django_db
def test_not_ready_without_a_queue():
    def refuse_queue(execute, sql, *arguments):
        if "django_q_ormq" in sql:
            refuse()
        return execute(sql, *arguments)

    with connection.execute_wrapper(refuse_queue):
        answer = Client().get("/readyz")

    assert answer.status_code == 503


@pytest.mark.django_db
def test_not_ready_while_tables_are_missing():
    MigrationRecorder(connection).migration_qs.filter(app="remediation").delete()

    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["problem"]


@pytest.mark.django_db
def test_ready_is_cheap_once_the_tables_are_there(django_assert_max_num_queries):
    Client().get("/readyz")

    with django_assert_max_num_queries(4):
        answer = Client().get("/readyz")

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_only_read(path):
    assert Client().post(path).status_code == 405


@pytest.mark.django_db
def test_a_wrong_clock_of_this_machine_is_told(monkeypatch):
    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: -600.0)

    answer = Client().get("/readyz").json()

    assert answer["clock"]["skew_seconds"] == -600
    assert "600.0 s behind the database's" in answer["clock"]["warning"]
    assert answer["status"] == "ok"


@pytest.mark.django_db
def test_a_clock_that_agrees_needs_no_warning():
    assert Client().get("/readyz").json()["clock"] == {"skew_seconds": 0.0}
