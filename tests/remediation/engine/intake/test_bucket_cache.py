"""Matchers and plans are cached, and any change of a bucket takes effect at once."""

import pytest
from django.db import connection, transaction

from remediation.engine.intake import bucket_cache
from remediation.models import Action, Bucket, BucketStep, BucketVersion, Cause
from tests.factories import make_action, make_bucket, make_step

pytestmark = pytest.mark.django_db

LABELS = {"alertname": "HostDown"}


def matched():
    return [spec.name for spec in bucket_cache.current().enabled["firing"].match(LABELS)]


def plan_of(bucket):
    return bucket_cache.current().plan(bucket.pk, cause=Cause())


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def bucket():
    bucket = make_bucket(name="one")
    make_step(bucket)
    BucketVersion.record(bucket, cause=Cause())
    return bucket


@pytest.mark.usefixtures("bucket")
def test_an_unchanged_bucket_is_not_compiled_again(django_assert_num_queries):
    first = bucket_cache.current()
    matcher = first.enabled["firing"]

    with django_assert_num_queries(1):
        assert bucket_cache.current() is first
    assert bucket_cache.current().enabled["firing"] is matcher


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("UPDATE custom_action_buckets SET alert_name_pattern = 'NodeDown'", []),
        ("UPDATE custom_action_buckets SET is_enabled = FALSE", []),
        ("UPDATE custom_action_buckets SET label_matchers = 'team=\"db\"'", []),
        (
            "INSERT INTO custom_action_buckets (name, alert_name_pattern, priority)"
            " VALUES ('first', 'HostDown', 1)",
            ["first"],
        ),
    ],
    ids=["pattern", "switched off", "matchers", "another bucket"],
)
@pytest.mark.usefixtures("bucket")
def test_a_change_by_sql_takes_effect_at_once(change, names):
    assert matched() == ["one"]

    execute(change)

    assert matched() == names


def test_a_change_by_another_process_takes_effect_at_once(bucket):
    assert matched() == ["one"]

    # As in another process: update() sends no signal.
    Bucket.objects.filter(pk=bucket.pk).update(alert_name_pattern="NodeDown")

    assert matched() == []


def test_the_plan_is_built_once(bucket, django_assert_num_queries):
    first = plan_of(bucket)

    with django_assert_num_queries(2):
        assert plan_of(bucket) is first


@pytest.mark.parametrize(
    "change",
    [
        lambda: Action.objects.update(st2_parameters={"cmd": "other"}),
        lambda: BucketStep.objects.update(max_attempts=7),
        lambda: make_step(Bucket.objects.get(), make_action()),
        lambda: Bucket.objects.update(cooldown_seconds=7),
    ],
    ids=["action", "step", "another step", "bucket"],
)
def test_a_changed_definition_creates_one_new_plan(change, bucket):
    before = plan_of(bucket)

    change()

    after = plan_of(bucket)
    assert after.number == before.number + 1
    assert after.definition == Bucket.objects.get().definition()
    assert plan_of(bucket).pk == after.pk


def test_the_action_of_a_workflow_bucket_is_part_of_its_plan():
    bucket = make_bucket(
        use_stackstorm=True, st2_workflow_name="host_down", st2_workflow_pack="remediation"
    )
    before = plan_of(bucket)
    assert plan_of(bucket).pk == before.pk

    Action.objects.filter(action_type="workflow").update(st2_parameters={"a": 1})

    assert plan_of(bucket).number == before.number + 1


@pytest.mark.django_db(transaction=True)
def test_a_rolled_back_plan_is_not_cached():
    bucket = make_bucket(name="one")
    make_step(bucket)
    with transaction.atomic():
        rolled_back = plan_of(bucket)
        transaction.set_rollback(True)

    saved = plan_of(bucket)

    assert BucketVersion.objects.get() == saved
    assert rolled_back.created_at != saved.created_at
