"""The SQL statements of the seed document run as printed."""

import re
from typing import Any

import pytest
import sqlparse
from django.db import connection
from django.utils import timezone

from remediation.models import Action, ActionExecution, Bucket, BucketStep
from tests.factories import make_action, make_bucket, make_execution
from tests.paths import CONTRACTS

pytestmark = pytest.mark.django_db

SEED = (CONTRACTS / "seed.md").read_text()


def statements() -> list[str]:
    """Return every INSERT and SELECT of the document, except the one marked as bad."""
    found = []
    for block in re.findall(r"```sql\n(.*?)```", SEED, re.DOTALL):
        is_bad = "Mix of local and StackStorm for same task" in block
        for statement in sqlparse.split(block):
            code = sqlparse.format(statement, strip_comments=True).strip()
            if code.startswith(("INSERT", "SELECT")) and not is_bad:
                found.append(statement)
    return found


def run(statement: str) -> list[tuple[Any, ...]]:
    # Without parameters, so that a % stays as it is.
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def make_referenced_rows() -> None:
    for number in range(1, 7):
        make_action(pk=number)
        make_bucket(pk=number)


def test_all_statements_of_the_document_are_parsed():
    kinds = [re.findall(r"INSERT|SELECT", statement)[0] for statement in statements()]

    assert (kinds.count("INSERT"), kinds.count("SELECT")) == (8, 5)


@pytest.mark.parametrize("statement", statements())
def test_a_statement_runs_as_printed(statement):
    make_referenced_rows()

    run(statement)


def test_all_inserts_run_in_sequence():
    make_referenced_rows()

    for statement in statements():
        run(statement)

    assert Action.objects.get(name="restart_nginx").st2_parameters["service"] == "nginx"
    assert BucketStep.objects.count() == 3


def test_defaults_in_sql_equal_those_in_python():
    run("INSERT INTO actions (name) VALUES ('by_sql')")
    run("INSERT INTO custom_action_buckets (name) VALUES ('by_sql')")
    Action.objects.create(name="by_python")
    Bucket.objects.create(name="by_python")

    for model in (Action, Bucket):
        rows: list[Any] = [
            model.objects.filter(name=name).values().get() for name in ("by_sql", "by_python")
        ]
        for row in rows:
            for name in ("created_at", "updated_at"):
                assert (timezone.now() - row.pop(name)).total_seconds() < 60
            del row["id"], row["name"]
        assert rows[0] == rows[1]


def test_the_selects_return_their_rows():
    execution = make_execution(
        request_id="abc-123", status="failure", st2_execution_id="5f9e8a7b6c5d4e3f2a1b0c9d"
    )

    results = [run(statement) for statement in statements() if "SELECT" in statement]

    assert all(len(rows) == 1 for rows in results)
    assert ActionExecution.objects.get() == execution
