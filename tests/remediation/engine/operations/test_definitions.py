"""Each change of a definition is checked and creates a bucket version, or changes nothing."""

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from remediation.engine.operations import definitions
from remediation.engine.operations.definitions import HasHistoryError
from remediation.models import Action, Bucket, BucketStep, BucketVersion, Cause
from tests import factories

pytestmark = pytest.mark.django_db

CAUSE = Cause(at=timezone.now(), actor="ada", request_id="req")


def steps_with_order(bucket):
    return list(bucket.steps.order_by("step_order").values_list("name", "step_order"))


def test_a_saved_bucket_has_a_version_with_its_actor():
    bucket = Bucket(name="b", alert_name_pattern="X")
    steps = [BucketStep(action=factories.make_action(), name=name) for name in "ab"]

    version = definitions.save_bucket(bucket, steps, cause=CAUSE)

    assert (version.number, version.actor) == (1, "ada")
    assert [step["name"] for step in version.steps] == ["a", "b"]


def test_saving_an_unchanged_bucket_creates_no_version():
    bucket = factories.make_step().bucket
    first = definitions.record(bucket, cause=CAUSE)

    second = definitions.save_bucket(bucket, None, cause=CAUSE)

    assert second == first


def test_a_refused_change_changes_nothing():
    bucket = factories.make_step(name="a").bucket
    version = definitions.record(bucket, cause=CAUSE)
    invalid = BucketStep(action=factories.make_action(), parameters={"a": "{{ nope }}"})
    bucket.priority = 1

    with pytest.raises(ValidationError) as caught:
        definitions.save_bucket(bucket, [invalid], cause=CAUSE)

    assert list(caught.value.message_dict) == ["steps.0.parameters"]
    assert BucketVersion.objects.get() == version
    assert steps_with_order(bucket) == [("a", 1)]
    assert Bucket.objects.get().priority == 100


def test_steps_are_renumbered_from_1():
    bucket = factories.make_bucket()
    for name, step_order in (("c", 7), ("a", 3), ("b", 3)):
        factories.make_step(bucket, name=name, step_order=step_order)

    version = definitions.record(bucket, cause=CAUSE)

    assert steps_with_order(bucket) == [("a", 1), ("b", 2), ("c", 3)]
    assert [step["step_order"] for step in version.steps] == [1, 2, 3]


@pytest.mark.parametrize(
    ("moved", "step_order", "expected"),
    [
        ("a", 3, "bca"),
        ("a", 2, "bac"),
        ("c", 1, "cab"),
        ("b", 2, "abc"),
        ("a", 99, "bca"),
    ],
)
def test_a_step_is_moved_to_its_step_order(moved, step_order, expected):
    bucket = factories.make_bucket()
    steps = {name: factories.make_step(bucket, name=name) for name in "abc"}
    step = steps[moved]
    step.step_order = step_order

    definitions.save_step(step, cause=CAUSE)

    assert steps_with_order(bucket) == [
        (name, number) for number, name in enumerate(expected, start=1)
    ]


def test_a_changed_action_creates_versions_of_the_buckets_that_use_it():
    action = factories.make_action(name="old")
    used = [factories.make_step(action=action).bucket for _ in range(2)]
    unused = factories.make_step().bucket
    for bucket in (*used, unused):
        definitions.record(bucket, cause=CAUSE)
    action.name = "new"

    definitions.save_action(action, cause=CAUSE)

    numbers = dict(BucketVersion.objects.order_by("number").values_list("bucket", "number"))
    assert numbers == {used[0].pk: 2, used[1].pk: 2, unused.pk: 1}


def test_a_changed_workflow_action_creates_a_version_of_its_bucket():
    bucket = factories.make_bucket(
        use_stackstorm=True, st2_workflow_pack="remediation", st2_workflow_name="host_down"
    )
    definitions.record(bucket, cause=CAUSE)
    action = Action.objects.get(st2_action_ref="remediation.host_down")
    action.name = "Host down"

    definitions.save_action(action, cause=CAUSE)

    newest = bucket.versions.latest("number")
    assert (newest.number, newest.steps[0]["name"]) == (2, "Host down")


def test_a_mapping_that_is_unsafe_with_a_step_is_refused():
    action = factories.make_action(st2_parameters={"cmd": "ping {{ parameters.host | quote }}"})
    bucket = factories.make_bucket(name="b")
    factories.make_step(bucket, action, parameters={"host": "{{ alert.instance }}"})
    action.st2_parameters = {"cmd": "ping {{ parameters.host }}"}

    with pytest.raises(ValidationError) as caught:
        definitions.save_action(action, cause=CAUSE)

    (text,) = caught.value.message_dict["st2_parameters"]
    assert text.startswith("In the bucket b, step 1: cmd: ")
    assert "| quote" in text


def test_a_step_that_is_unsafe_with_its_mapping_is_refused():
    action = factories.make_action(st2_parameters={"cmd": "ping {{ parameters.host }}"})
    step = BucketStep(
        bucket=factories.make_bucket(), action=action, parameters={"host": "{{ alert.instance }}"}
    )

    with pytest.raises(ValidationError) as caught:
        definitions.save_step(step, cause=CAUSE)

    assert "| quote" in caught.value.message_dict["parameters"][0]


def test_changing_the_action_ref_resets_the_stackstorm_check():
    action = factories.make_action(
        st2_action_ref="core.local", st2_check="found", st2_runner="local-shell-cmd"
    )
    action.description = "as before"
    definitions.save_action(action, cause=CAUSE)
    kept = action.st2_runner
    action.st2_action_ref = "remediation.host_down"

    definitions.save_action(action, cause=CAUSE)

    action.refresh_from_db()
    assert kept == "local-shell-cmd"
    assert (action.st2_runner, action.st2_check) == ("", "unchecked")


def test_an_enabled_bucket_without_steps_is_refused():
    bucket = factories.make_bucket()

    with pytest.raises(ValidationError) as caught:
        definitions.record(bucket, cause=CAUSE)

    assert list(caught.value.message_dict) == ["steps"]


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"on_resolved": "pray"}, "on_resolved"),
        ({"timeout_seconds": 31 * 86_400}, "timeout_seconds"),
    ],
)
def test_an_invalid_setting_of_the_run_is_refused(columns, field):
    bucket = factories.make_step().bucket
    for name, value in columns.items():
        setattr(bucket, name, value)

    with pytest.raises(ValidationError) as caught:
        definitions.save_bucket(bucket, None, cause=CAUSE)

    assert list(caught.value.message_dict) == [field]


@pytest.mark.parametrize("columns", [{"on_resolved": "cancel"}, {"timeout_seconds": 30 * 86_400}])
def test_the_settings_of_the_run_are_part_of_its_plan(columns):
    bucket = factories.make_step().bucket
    for name, value in columns.items():
        setattr(bucket, name, value)

    version = definitions.save_bucket(bucket, None, cause=CAUSE)

    assert columns.items() <= version.definition["bucket"].items()


def test_an_action_of_an_earlier_version_cannot_be_deleted():
    step = factories.make_step()
    action = step.action
    bucket = step.bucket
    definitions.record(bucket, cause=CAUSE)
    definitions.save_bucket(bucket, [BucketStep(action=factories.make_action())], cause=CAUSE)

    with pytest.raises(HasHistoryError, match="disable it instead"):
        definitions.delete_action(action)


def test_a_bucket_with_a_version_cannot_be_deleted():
    bucket = factories.make_step().bucket
    definitions.record(bucket, cause=CAUSE)

    with pytest.raises(HasHistoryError, match="disable it instead"):
        definitions.delete_bucket(bucket)

    assert bucket.steps.count() == 1
