"""Admin of buckets: a bucket and its steps are edited, validated and versioned together."""

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test.utils import CaptureQueriesContext

from remediation.models import Bucket, BucketStep, BucketVersion
from tests.factories import make_action, make_bucket, make_run, make_step
from tests.remediation.admin.forms import errors_of, fields_of, page, submit

pytestmark = pytest.mark.slow


def new_bucket(operator, **changes):
    return submit(operator, page(Bucket, "add"), name="host_down", **changes)


def edit(operator, bucket, **changes):
    return submit(operator, page(Bucket, "change", bucket.pk), **changes)


def names(bucket):
    return list(bucket.steps.order_by("step_order").values_list("name", flat=True))


def three_steps():
    bucket = make_bucket()
    for name in "abc":
        make_step(bucket, name=name)
    return bucket


def test_saving_a_bucket_records_its_first_version(operator):
    action = make_action()

    response = new_bucket(
        operator,
        alert_name_pattern="HostDown",
        steps__0__action=action.pk,
        steps__0__parameters='{"service_name": "nginx"}',
        steps__0__run_when="always",
    )

    assert response.status_code == 302
    version = BucketVersion.objects.get()
    assert (version.number, version.actor) == (1, "maria")
    assert version.bucket.name == "host_down"
    assert version.steps[0]["parameters"] == {"service_name": "nginx"}
    assert version.steps[0]["run_when"] == "always"


def test_unchanged_bucket_gets_no_new_version(operator):
    bucket = make_step().bucket
    edit(operator, bucket)

    edit(operator, bucket)

    assert bucket.versions.count() == 1


def test_changing_a_step_records_a_version(operator):
    bucket = make_step().bucket
    edit(operator, bucket)

    edit(operator, bucket, steps__0__timeout_seconds="60")

    assert bucket.versions.get(number=2).steps[0]["timeout_seconds"] == 60


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alert_name_pattern": "Host("}, "alert_name_pattern"),
        ({"alert_name_pattern": ""}, "Set alert_name_pattern, label_matchers or both"),
        ({"label_matchers": "severity~critical"}, "label_matchers"),
        ({"steps__0__parameters": "nginx"}, "Invalid JSON"),
        ({"steps__0__parameters": "[1]"}, "must be a JSON object"),
        ({"steps__0__parameters": '{"text": "{{ alert.instnce }}"}'}, "text"),
        ({"steps__0__parameters": '{"text": "{{ alert."}'}, "text"),
        ({"steps__0__parameters": '{"cmd": "ping {{ alert.instance }}"}'}, "quote"),
        ({"steps__0__condition": "steps.ping.status =="}, "condition"),
        ({"steps__0__max_attempts": "0"}, "max_attempts"),
        ({"steps__0__action": ""}, "This field is required"),
        ({"steps__0__step_order": "0"}, "greater than or equal to 1"),
        ({"steps__0__DELETE": "on"}, "The bucket has no steps: add at least one"),
        (
            {"use_stackstorm": "on", "st2_workflow_name": "remediation.host_down"},
            "either steps or a workflow",
        ),
        ({"st2_workflow_name": "remediation.host_down"}, "switch use_stackstorm on"),
        ({"use_stackstorm": "on", "steps__0__DELETE": "on"}, "Name the workflow"),
        ({"timeout_seconds": "2592001"}, "less than or equal to 2592000"),
        ({"on_resolved": "restart"}, "restart is not one of the available choices"),
        ({"timeout_seconds": "2592001"}, "timeout_seconds"),
    ],
)
def test_invalid_bucket_is_rejected_and_not_changed(operator, changes, message):
    bucket = make_step(name="ping").bucket

    response = edit(operator, bucket, **changes)

    assert message in errors_of(response)
    assert names(bucket) == ["ping"]
    assert not BucketVersion.objects.exists()


def test_new_enabled_bucket_needs_steps(operator):
    response = new_bucket(operator, alert_name_pattern="HostDown")

    assert "The bucket has no steps" in errors_of(response)
    assert not Bucket.objects.exists()


def test_disabled_bucket_may_have_no_steps(operator):
    response = new_bucket(operator, alert_name_pattern="HostDown", is_enabled=None)

    assert response.status_code == 302
    assert not Bucket.objects.get().is_enabled


def test_bucket_with_a_workflow_is_saved(operator):
    new_bucket(
        operator,
        alert_name_pattern="HostDown",
        use_stackstorm="on",
        st2_workflow_name="remediation.host_down",
        st2_workflow_pack="remediation",
        timeout_seconds="900",
    )

    (step,) = BucketVersion.objects.get().steps
    assert step["action"]["st2_action_ref"] == "remediation.host_down"
    assert step["timeout_seconds"] == 900


@pytest.mark.parametrize(
    ("places", "order"),
    [
        ({2: "1"}, "cab"),
        ({0: "3"}, "bca"),
        ({0: "2", 1: "1"}, "bac"),
        ({0: "30", 1: "20", 2: "10"}, "cba"),
        ({0: "9"}, "bca"),
        ({0: ""}, "bca"),
        ({0: "2"}, "bac"),
        ({}, "abc"),
    ],
)
def test_step_gets_the_entered_position(operator, places, order):
    bucket = three_steps()

    edit(operator, bucket, **{f"steps__{row}__step_order": place for row, place in places.items()})

    assert "".join(names(bucket)) == order
    assert sorted(bucket.steps.values_list("step_order", flat=True)) == [1, 2, 3]


@pytest.mark.parametrize(("place", "order"), [("1", "nabc"), ("2", "anbc"), ("", "abcn")])
def test_new_step_moves_later_steps_down(operator, place, order):
    bucket = three_steps()
    new = {"action": make_action().pk, "name": "n", "step_order": place, "parameters": "{}"}
    rules = {"run_when": "success", "on_failure": "stop", "max_attempts": "1"}
    seconds = {"retry_delay_seconds": "5", "timeout_seconds": "300"}
    fields = {f"steps__3__{name}": value for name, value in (new | rules | seconds).items()}

    response = edit(operator, bucket, steps__TOTAL_FORMS="4", **fields)

    assert response.status_code == 302, errors_of(response)
    assert "".join(names(bucket)) == order


def test_deleting_a_step_renumbers_the_others(operator):
    bucket = three_steps()

    edit(operator, bucket, steps__0__DELETE="on")

    assert list(bucket.steps.order_by("step_order").values_list("step_order", "name")) == [
        (1, "b"),
        (2, "c"),
    ]


def test_nothing_is_saved_if_the_version_cannot_be_recorded(operator, monkeypatch):
    bucket = make_step(name="ping").bucket

    def fail(*_args, **_kwargs):
        raise RuntimeError

    monkeypatch.setattr(BucketVersion, "record", fail)

    with pytest.raises(RuntimeError):
        edit(operator, bucket, steps__0__name="renamed", description="changed")

    bucket.refresh_from_db()
    assert (bucket.description, names(bucket)) == ("", ["ping"])


@pytest.mark.skipif(
    not connection.features.has_select_for_update, reason="SQLite locks the whole database"
)
def test_bucket_is_locked_before_its_steps_are_read(operator):
    url = page(Bucket, "change", make_step().bucket_id)
    fields = fields_of(operator.get(url))

    with CaptureQueriesContext(connection) as queries:
        operator.post(url, fields)

    statements = [query["sql"] for query in queries]
    locks = [index for index, sql in enumerate(statements) if "FOR UPDATE" in sql]
    reads = [
        index for index, sql in enumerate(statements) if "FROM `custom_action_bucket_steps`" in sql
    ]
    assert locks[0] < reads[0]


def test_on_resolved_and_timeout_are_saved(operator):
    bucket = make_step().bucket

    edit(operator, bucket, on_resolved="cancel", timeout_seconds="900")

    version = BucketVersion.objects.get()
    assert (version.on_resolved, version.timeout_seconds) == ("cancel", 900)


def test_collapsed_rules_are_summarized(operator):
    bucket = make_step(run_when="always", max_attempts=3).bucket

    response = operator.get(page(Bucket, "change", bucket.pk))

    assert b"run_when always, max_attempts 3" in response.content


def test_disabled_action_is_marked_in_the_choices(operator):
    bucket = make_step(action=make_action(name="restart", is_enabled=False)).bucket

    response = operator.get(page(Bucket, "change", bucket.pk))

    assert b"restart (disabled)" in response.content


def test_deleting_a_bucket_with_history_suggests_to_disable_it(operator):
    bucket = make_run().bucket
    url = page(Bucket, "delete", bucket.pk)

    for response in (operator.get(url, follow=True), operator.post(url, follow=True)):
        (message,) = response.context["messages"]
        assert "disable it instead" in message.message.lower()
    assert Bucket.objects.filter(pk=bucket.pk).exists()


def test_bucket_without_history_is_deleted(operator):
    bucket = make_bucket()

    operator.post(page(Bucket, "delete", bucket.pk), {"post": "yes"})

    assert not Bucket.objects.exists()


def test_disabling_buckets_records_a_version_of_each(operator):
    buckets = [make_step().bucket for _ in range(2)]
    chosen = {"action": "disable", "_selected_action": [bucket.pk for bucket in buckets]}

    response = operator.post(page(Bucket, "changelist"), chosen, follow=True)

    assert "2 custom action buckets disabled." in [
        message.message for message in response.context["messages"]
    ]
    assert not Bucket.objects.filter(is_enabled=True).exists()
    assert {version.actor for version in BucketVersion.objects.all()} == {"maria"}


def test_bucket_without_steps_cannot_be_enabled(operator):
    bucket = make_bucket(is_enabled=False)
    chosen = {"action": "enable", "_selected_action": [bucket.pk]}

    response = operator.post(page(Bucket, "changelist"), chosen, follow=True)

    texts = [message.message for message in response.context["messages"]]
    assert "cannot be enabled: The bucket has no steps" in texts[0]
    assert not Bucket.objects.get().is_enabled


def test_buckets_cannot_be_deleted_from_the_list(operator):
    bucket = make_bucket()
    chosen = {"action": "delete_selected", "_selected_action": [bucket.pk], "post": "yes"}

    operator.post(page(Bucket, "changelist"), chosen)

    assert Bucket.objects.exists()


def test_bucket_form_reads_the_actions_once(operator, django_assert_max_num_queries):
    bucket = make_bucket()
    for _ in range(10):
        make_step(bucket)

    with django_assert_max_num_queries(12):
        response = operator.get(page(Bucket, "change", bucket.pk))

    assert response.content.count(b"field-condition") >= 10


def test_bucket_list_reads_the_last_runs_in_one_query(operator, django_assert_max_num_queries):
    for _ in range(30):
        make_run()

    with django_assert_max_num_queries(8):
        response = operator.get(page(Bucket, "changelist"))

    assert response.content.count(b"badge-pending") == 30
    assert BucketStep.objects.count() == 30


def test_pattern_that_does_not_match_itself_is_saved_with_a_warning(operator):
    action = make_action()

    response = new_bucket(operator, alert_name_pattern="Memory (copy)", steps__0__action=action.pk)

    warnings = [str(message) for message in get_messages(response.wsgi_request)]
    assert Bucket.objects.get().alert_name_pattern == "Memory (copy)"
    assert any(r"if it is a name, write 'Memory \(copy\)'" in text for text in warnings)
