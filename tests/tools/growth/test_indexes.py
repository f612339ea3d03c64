"""Every index is used, and every query on the history uses an index."""

import pytest
from django.apps import apps
from django.db import connection

from tools.growth import history, run
from tools.growth.index_use import index_use, indexes
from tools.growth.indexed_queries import QUERIES

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        connection.vendor != "mysql",
        reason="only MariaDB reports its index use",
    ),
]
ROWS = 3_000
# InnoDB needs an index for each foreign key; no query uses these.
FOREIGN_KEY_INDEXES = {
    "action_executions(done_in_id)",
    "bucket_runs(plan_id)",
    "bucket_runs(retry_of_id)",
    "custom_action_bucket_steps(action_id)",
    "custom_action_bucket_steps(bucket_id)",
}

# The history of the growth tool has no rows of these.
UNFILLED_TABLES = {"audit_events", "idempotency_keys"}


def our_tables():
    models = [*apps.get_app_config("remediation").get_models()]
    models += apps.get_app_config("audit").get_models()
    return [model._meta.db_table for model in models]


@pytest.fixture(scope="module", autouse=True)
def _filled(django_db_setup, django_db_blocker):
    """Fill the tables for the tests of this module and empty them afterwards."""
    if connection.vendor != "mysql":
        yield
        return
    with django_db_blocker.unblock():
        empty()  # also resets the next ids
        run.make_definitions()
        history.fill(connection.settings_dict["NAME"], ROWS)
        yield
        empty()


def empty():
    with connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        for table in our_tables():
            cursor.execute(f"TRUNCATE TABLE {table}")
        cursor.execute("SET foreign_key_checks = 1")


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_query_uses_its_indexes(query):
    used = index_use(query.run)

    assert query.indexes - used.indexes == set(), used.indexes
    assert used.scans == []


def test_every_index_is_used_by_a_query():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, index_name FROM information_schema.statistics"
            " WHERE table_schema = DATABASE() AND non_unique = 0"
        )
        unique = set(cursor.fetchall())
    tables = our_tables()
    filled = set(tables) - UNFILLED_TABLES
    ours = {index for key, index in indexes().items() if key[0] in filled and key not in unique}
    used = {index for query in QUERIES for index in query.indexes}

    assert ours - used == FOREIGN_KEY_INDEXES
    assert used <= set(indexes().values())
