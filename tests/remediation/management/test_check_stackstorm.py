"""manage.py check_stackstorm prints that all actions are ready, or each problem and its fix."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from remediation.models import Action
from tests.factories import make_action, make_bucket, make_local_action, make_step

pytestmark = pytest.mark.django_db


def check():
    out = StringIO()
    call_command("check_stackstorm", stdout=out)
    return out.getvalue().splitlines()


def test_it_prints_our_user_and_the_ready_actions(sandbox):
    make_action(name="restart", st2_action_ref="linux.service")
    make_local_action()

    lines = check()

    assert lines == [
        f"StackStorm 3.10dev at {sandbox.url}, authenticated as st2admin.",
        "restart: ready",
        "1 of 1 actions are ready.",
    ]
    assert Action.objects.get(name="restart").st2_runner == "remote-shell-script"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"st2_action_ref": "aws.ec2_start"}, "Install its pack: st2 pack install aws"),
        ({"st2_action_ref": "nosuch.action"}, "StackStorm Exchange has no pack nosuch"),
        ({"st2_action_ref": "network.ping"}, "No current pack has network.ping: use the local"),
        (
            {"st2_action_ref": "core.local", "st2_parameters": {"cmd": "true", "host": "a"}},
            "core.local takes no host; it takes ",
        ),
    ],
    ids=["missing pack", "unknown pack", "replaced", "unknown parameter"],
)
@pytest.mark.usefixtures("sandbox")
def test_the_problem_of_an_action_is_printed_and_stored(columns, message):
    action = make_action(name="wrong", **columns)

    lines = check()

    action.refresh_from_db()
    assert message in action.st2_check_message
    assert f"wrong: {action.st2_check_message}" in lines
    assert lines[-1] == "0 of 1 actions are ready."


@pytest.mark.usefixtures("sandbox")
def test_a_step_that_would_send_data_to_a_shell_is_named():
    bucket = make_bucket(name="tell")
    action = make_action(name="echo", st2_action_ref="core.echo")
    make_step(bucket, action, parameters={"message": "{{ alert.labels.text }}"})

    lines = check()

    assert lines[1].startswith(
        'echo: In the bucket tell, step 1: message: is inserted into the command echo "{{message}}"'
    )
    assert lines[-1] == "0 of 1 actions are ready."


@pytest.mark.usefixtures("sandbox")
def test_a_step_of_a_local_action_that_would_fail_is_named():
    bucket = make_bucket(name="look")
    make_step(bucket, make_local_action("log_event"), parameters={"message": "{{ run.id }}"})
    make_step(
        bucket,
        make_local_action("ping", name="ping"),
        step_order=2,
        parameters={"host": "{{ alert.instance }}"},
    )

    lines = check()

    assert lines[0] == (
        "ping: In the bucket look, step 2: host: alert.instance must end in | host: it names the"
        " target"
    )
    assert lines[-1] == "0 of 0 actions are ready."


def test_a_disabled_action_is_marked(sandbox):
    metadata = {"runner_type": "noop", "enabled": False}
    sandbox.configure(actions={"demo.disabled": metadata})
    action = make_action(st2_action_ref="demo.disabled")

    check()

    action.refresh_from_db()
    assert action.st2_check == Action.Check.DISABLED
    assert "disabled there" in action.st2_check_message


def test_the_secret_parameters_of_the_schema_are_stored(sandbox):
    parameters = {"login": {"type": "string"}, "key": {"type": "string", "secret": True}}
    sandbox.configure(actions={"demo.act": {"runner_type": "noop", "parameters": parameters}})
    action = make_action(st2_action_ref="demo.act")

    check()

    action.refresh_from_db()
    assert action.st2_secret_parameters == ["key"]


def test_a_repaired_action_becomes_ready(sandbox):
    action = make_action(st2_action_ref="demo.act")
    check()
    sandbox.configure(actions={"demo.act": {"runner_type": "noop"}})

    check()

    action.refresh_from_db()
    assert (action.st2_check, action.st2_check_message) == (Action.Check.FOUND, "")


def test_an_unreachable_stackstorm_is_an_error_that_names_the_url(settings):
    settings.ST2_API_URL, settings.ST2_API_KEY = "http://127.0.0.1:9", "k"

    with pytest.raises(CommandError, match=r"StackStorm was not reached .* at 127\.0\.0\.1:9"):
        check()


def test_a_wrong_key_is_an_error_with_instructions_and_without_the_key(sandbox, settings):
    settings.ST2_API_KEY = "a-wrong-key"

    with pytest.raises(CommandError, match="st2 apikey create") as raised:
        check()

    assert "a-wrong-key" not in str(raised.value)


def test_an_error_changes_nothing(sandbox):
    action = make_action()
    check()
    sandbox.configure(unavailable=True)

    with pytest.raises(CommandError, match="Nginx is unable to reach st2api"):
        check()

    action.refresh_from_db()
    assert action.st2_check == Action.Check.FOUND


@pytest.mark.usefixtures("no_stackstorm")
def test_a_missing_url_is_an_error_that_names_the_setting():
    with pytest.raises(CommandError, match="ST2_API_URL is not set"):
        check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ST2_API_URL", "no address"),
        ("ST2_API_KEY", "a key\nof two lines"),
        ("ST2_CA_BUNDLE", "/no/such/file"),
    ],
)
@pytest.mark.usefixtures("sandbox")
def test_an_invalid_setting_is_named(name, value, settings):
    setattr(settings, name, value)

    with pytest.raises(CommandError, match=name):
        check()
