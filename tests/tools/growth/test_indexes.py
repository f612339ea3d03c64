"""Every index answers a question, and every question of history is answered by an index."""

import pytest
from django.apps import apps
from django.db import connection

from tools.growth import history, run
from tools.growth.explained import indexes, reading
from tools.growth.questions import QUESTIONS

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "mysql", reason="MariaDB says which index it reads"),
]
ROWS = 3_000
# InnoDB wants an index for each foreign key; nothing else reads these.
OF_FOREIGN_KEYS = {
    "action_executions(done_in_id)",
    "bucket_runs(plan_id)",
    "bucket_runs(retry_of_id)",
    "custom_action_bucket_steps(action_id)",
    "custom_action_bucket_steps(bucket_id)",
}


def our_tables():
    models = [*apps.get_app_config("remediation").get_models()]
    models += apps.get_app_config("audit").get_models()
    return [model._meta.db_table for model in models]


@pytest.fixture(scope="module", autouse=True)
def _filled(django_db_setup, django_db_blocker):
    """Fill the tables for the tests of this module, and empty them."""
    if connection.vendor != "mysql":
        yield
        return
    with django_db_blocker.unblock():
        empty()  # of what they are, and of the ids that they would give next
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


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_is_answered_by_its_index(question):
    read = reading(question.ask)

    assert question.indexes - read.indexes == set(), read.indexes
    assert read.scans == []


def test_every_index_answers_a_question():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, index_name FROM information_schema.statistics"
            " WHERE table_schema = DATABASE() AND non_unique = 0"
        )
        guards = set(cursor.fetchall())
    tables = our_tables()
    ours = {index for key, index in indexes().items() if key[0] in tables and key not in guards}
    asked = {index for question in QUESTIONS for index in question.indexes}

    assert ours - asked == OF_FOREIGN_KEYS
    assert asked <= set(indexes().values())
