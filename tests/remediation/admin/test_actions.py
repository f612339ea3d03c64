"""Admin of actions: validation beside the fields, versions of buckets, deletion."""

import pytest

from remediation.engine.operations import definitions
from remediation.models import Action, Bucket, Cause
from tests.factories import make_action, make_bucket, make_execution, make_local_action, make_step
from tests.remediation.admin.forms import errors_of, page, submit

pytestmark = pytest.mark.slow


def new_action(operator, **changes):
    return submit(operator, page(Action, "add"), **{"name": "restart"} | changes)


def test_stackstorm_action_is_saved(operator):
    mapping = '{"hosts": "{{ alert.instance | host }}", "service": "{{ parameters.name }}"}'

    response = new_action(operator, st2_action_ref="linux.service", st2_parameters=mapping)

    assert response.status_code == 302
    action = Action.objects.get()
    assert action.use_stackstorm
    assert action.st2_parameters["service"] == "{{ parameters.name }}"


def test_action_type_sets_use_stackstorm(operator):
    new_action(operator, action_type="log_event")

    action = Action.objects.get()
    assert (action.action_type, action.use_stackstorm) == ("log_event", False)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"name": ""}, "name", "required"),
        ({"st2_action_ref": ""}, "st2_action_ref", "pack.name"),
        ({"st2_action_ref": "service"}, "st2_action_ref", "pack.name"),
        ({"st2_action_ref": "linux.service", "st2_pack": "core"}, "st2_pack", "linux.service"),
        ({"action_type": "reboot"}, "action_type", "reboot"),
        ({"st2_parameters": "{"}, "st2_parameters", "Invalid JSON"),
        ({"st2_parameters": "[]"}, "st2_parameters", "must be a JSON object"),
        ({"st2_parameters": '{"a": "{{ alrt.instance }}"}'}, "st2_parameters", "alrt"),
        ({"st2_parameters": '{"a": "{{ alert.instance "}'}, "st2_parameters", "a: line 1"),
        ({"st2_parameters": '{"cmd": "ping {{ alert.instance }}"}'}, "st2_parameters", "quote"),
    ],
)
def test_invalid_action_is_rejected_with_an_error_on_its_field(operator, changes, field, message):
    response = new_action(operator, **{"st2_action_ref": "linux.service"} | changes)

    errors_of(response)
    assert message in str(response.context["adminform"].form.errors[field])
    assert not Action.objects.exists()


def test_changing_an_action_records_a_version_of_its_buckets(operator):
    step = make_step()
    definitions.record(step.bucket, cause=Cause())

    submit(operator, page(Action, "change", step.action_id), st2_parameters='{"cmd": "date"}')

    newest = step.bucket.versions.get(number=2)
    assert newest.actor == "maria"
    assert newest.steps[0]["action"]["st2_parameters"] == {"cmd": "date"}


def test_deleting_a_used_action_suggests_to_disable_it(operator):
    step = make_step()
    url = page(Action, "delete", step.action_id)

    for response in (operator.get(url, follow=True), operator.post(url, follow=True)):
        (message,) = response.context["messages"]
        assert "disable it instead" in message.message.lower()
    assert Action.objects.filter(pk=step.action_id).exists()


def test_action_in_an_old_bucket_version_is_not_deleted(operator):
    step = make_step()
    definitions.record(step.bucket, cause=Cause())
    step.delete()

    response = operator.post(page(Action, "delete", step.action_id), {"post": "yes"}, follow=True)

    (message,) = response.context["messages"]
    assert "disable it instead" in message.message.lower()
    assert Action.objects.filter(pk=step.action_id).exists()


def test_unused_action_is_deleted(operator):
    action = make_action()

    operator.post(page(Action, "delete", action.pk), {"post": "yes"})

    assert not Action.objects.exists()


def test_deleting_a_missing_action_redirects(operator):
    assert operator.get(page(Action, "delete", "nonsense")).status_code == 302


def test_actions_are_disabled_and_enabled_from_the_list(operator):
    action = make_action()

    for name, is_enabled in (("disable", False), ("enable", True)):
        chosen = {"action": name, "_selected_action": [action.pk]}
        response = operator.post(page(Action, "changelist"), chosen, follow=True)

        action.refresh_from_db()
        assert action.is_enabled is is_enabled
        assert f"1 action {name}d." in [message.message for message in response.context["messages"]]


def test_list_shows_the_check_result_and_the_number_of_buckets(operator):
    action = make_action(st2_check="missing", st2_check_message="st2 pack install slack")
    for _ in range(2):
        bucket = make_bucket()
        make_step(bucket, action)
        make_step(bucket, action)
    make_local_action()

    response = operator.get(page(Action, "changelist"))

    content = response.content.decode()
    assert "badge-missing" in content
    assert "st2 pack install slack" in content
    assert '<td class="field-bucket_count">2</td>' in content
    assert "log_event (local)" in content


def test_action_links_its_buckets(operator):
    step = make_step()

    response = operator.get(page(Action, "change", step.action_id))

    assert page(Bucket, "change", step.bucket_id) in response.content.decode()


def test_action_list_counts_buckets_in_one_query(operator, django_assert_max_num_queries):
    for _ in range(30):
        make_execution()

    with django_assert_max_num_queries(9):
        response = operator.get(page(Action, "changelist"))

    assert response.context["cl"].result_count == 30
