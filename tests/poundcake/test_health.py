"""Health endpoints: liveness without a database, readiness with one, and no authentication."""

import datetime

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from poundcake import health
from remediation.models import Heartbeat, JobSchedule, Problem
from tests.factories import make_client


@pytest.fixture(autouse=True)
def clear_migration_cache():
    health.check_migrations.cache_clear()
    yield
    health.check_migrations.cache_clear()


def refuse(*_arguments):
    raise OperationalError("Access denied for user 'poundcake'@'db'")


def test_liveness_needs_no_database():
    response = Client().get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readiness_lists_the_workers_heartbeats():
    beat_at = timezone.now() - datetime.timedelta(minutes=5)
    JobSchedule.objects.create(name="tick", started_at=beat_at, due_at=beat_at)
    Problem.report("stackstorm", "https://st2.internal refused", at=beat_at)

    response = Client().get("/readyz")

    assert response.status_code == 200
    assert "st2" not in response.content.decode()
    assert 299 < response.json()["workers"]["tick"]["age_seconds"] < 400


@pytest.mark.django_db
def test_only_readers_see_the_names_of_machines(admin_user):
    at = timezone.now()
    for name in ("launch@web-01-7", "launch@web-02-9", "follow@web-01-7"):
        Heartbeat.record(name, at=at)
    reader, admin, sender = make_client("read"), Client(), make_client("webhook")
    admin.force_login(admin_user)

    for caller in (Client(), sender, Client(headers={"Authorization": "Bearer pc_wrong"})):
        response = caller.get("/readyz")
        assert "web-0" not in response.content.decode()
        assert response.json()["workers"]["launch"]["count"] == 2
        assert response.json()["workers"]["follow"]["count"] == 1
    for caller in (reader, admin):
        assert "launch@web-02-9" in caller.get("/readyz").json()["workers"]


@pytest.mark.django_db
def test_not_ready_without_a_database_and_without_naming_its_user():
    with connection.execute_wrapper(refuse):
        response = Client().get("/readyz")

    assert response.status_code == 503
    assert "DATABASE_URL" in response.json()["problem"]
    assert "poundcake" not in response.content.decode()


@pytest.mark.django_db
def test_not_ready_without_a_queue():
    def refuse_queue(execute, sql, *arguments):
        if "django_q_ormq" in sql:
            refuse()
        return execute(sql, *arguments)

    with connection.execute_wrapper(refuse_queue):
        response = Client().get("/readyz")

    assert response.status_code == 503


@pytest.mark.django_db
def test_not_ready_while_tables_are_missing():
    MigrationRecorder(connection).migration_qs.filter(app="remediation").delete()

    response = Client().get("/readyz")

    assert response.status_code == 503
    assert "manage.py migrate" in response.json()["problem"]


@pytest.mark.django_db
def test_readiness_is_cheap_when_the_tables_exist(django_assert_max_num_queries):
    Client().get("/readyz")

    with django_assert_max_num_queries(4):
        response = Client().get("/readyz")

    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_endpoints_are_read_only(path):
    assert Client().post(path).status_code == 405


@pytest.mark.django_db
def test_a_wrong_clock_of_this_host_is_a_warning(monkeypatch):
    monkeypatch.setattr("remediation.clock.skew_seconds", lambda: -600.0)

    response = Client().get("/readyz").json()

    assert response["clock"]["skew_seconds"] == -600
    assert "600.0 s behind the database's" in response["clock"]["warning"]
    assert response["status"] == "ok"


@pytest.mark.django_db
def test_a_correct_clock_has_no_warning():
    assert Client().get("/readyz").json()["clock"] == {"skew_seconds": 0.0}
