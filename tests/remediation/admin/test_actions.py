"""Actions: what is wrong with one is said beside its field."""

import pytest

from remediation.engine.operations import definitions
from remediation.models import Action, Bucket, Cause
from tests.factories import make_action, make_bucket, make_execution, make_local_action, make_step
from tests.remediation.admin.forms import errors_of, page, send


def new_action(operator, **changes):
    return send(operator, page(Action, "add"), **{"name": "restart"} | changes)


def test_a_stackstorm_action_is_saved(operator):
    mapping = '{"hosts": "{{ alert.instance | host }}", "service": "{{ parameters.name }}"}'

    response = new_action(operator, st2_action_ref="linux.service", st2_parameters=mapping)

    assert response.status_code == 302
    action = Action.objects.get()
    assert action.use_stackstorm
    assert action.st2_parameters["service"] == "{{ parameters.name }}"


def test_the_type_decides_where_an_action_runs(operator):
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
        ({"st2_parameters": "{"}, "st2_parameters", "This is not JSON"),
        ({"st2_parameters": "[]"}, "st2_parameters", "must be a JSON object"),
        ({"st2_parameters": '{"a": "{{ alrt.instance }}"}'}, "st2_parameters", "alrt"),
        ({"st2_parameters": '{"a": "{{ alert.instance "}'}, "st2_parameters", "a: line 1"),
        ({"st2_parameters": '{"cmd": "ping {{ alert.instance }}"}'}, "st2_parameters", "quote"),
    ],
)
def test_what_could_not_run_is_refused_beside_its_field(operator, changes, field, message):
    response = new_action(operator, **{"st2_action_ref": "linux.service"} | changes)

    errors_of(response)
    assert message in str(response.context["adminform"].form.errors[field])
    assert not Action.objects.exists()


def test_a_change_of_an_action_is_a_version_of_the_buckets_that_use_it(operator):
    step = make_step()
    definitions.record(step.bucket, cause=Cause())

    send(operator, page(Action, "change", step.action_id), st2_parameters='{"cmd": "date"}')

    newest = step.bucket.versions.get(number=2)
    assert newest.actor == "maria"
    assert newest.steps[0]["action"]["st2_parameters"] == {"cmd": "date"}


def test_a_used_action_stays_and_says_what_to_do(operator):
    step = make_step()
    address = page(Action, "delete", step.action_id)

    for response in (operator.get(address, follow=True), operator.post(address, follow=True)):
        (message,) = response.context["messages"]
        assert "disable it instead" in message.message
    assert Action.objects.filter(pk=step.action_id).exists()


def test_an_action_that_only_a_version_remembers_stays(operator):
    step = make_step()
    definitions.record(step.bucket, cause=Cause())
    step.delete()

    response = operator.post(page(Action, "delete", step.action_id), {"post": "yes"}, follow=True)

    (message,) = response.context["messages"]
    assert "disable it instead" in message.message
    assert Action.objects.filter(pk=step.action_id).exists()


def test_an_unused_action_can_be_deleted(operator):
    action = make_action()

    operator.post(page(Action, "delete", action.pk), {"post": "yes"})

    assert not Action.objects.exists()


def test_deleting_what_is_not_there_leads_home(operator):
    assert operator.get(page(Action, "delete", "nonsense")).status_code == 302


def test_actions_are_disabled_and_enabled_as_a_verb(operator):
    action = make_action()

    for name, is_enabled in (("disable", False), ("enable", True)):
        chosen = {"action": name, "_selected_action": [action.pk]}
        response = operator.post(page(Action, "changelist"), chosen, follow=True)

        action.refresh_from_db()
        assert action.is_enabled is is_enabled
        assert f"1 {name}d." in [message.message for message in response.context["messages"]]


def test_the_list_tells_what_the_check_found_and_who_uses_it(operator):
    action = make_action(st2_check="missing", st2_check_message="st2 pack install network")
    for _ in range(2):
        bucket = make_bucket()
        make_step(bucket, action)
        make_step(bucket, action)
    make_local_action()

    response = operator.get(page(Action, "changelist"))

    content = response.content.decode()
    assert "badge-missing" in content
    assert "st2 pack install network" in content
    assert '<td class="field-bucket_count">2</td>' in content
    assert "log_event (local)" in content


def test_an_action_links_the_buckets_that_use_it(operator):
    step = make_step()

    response = operator.get(page(Action, "change", step.action_id))

    assert page(Bucket, "change", step.bucket_id) in response.content.decode()


def test_the_list_of_actions_counts_all_buckets_at_once(operator, django_assert_max_num_queries):
    for _ in range(30):
        make_execution()

    with django_assert_max_num_queries(9):
        response = operator.get(page(Action, "changelist"))

    assert response.context["cl"].result_count == 30
