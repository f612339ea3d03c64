"""manage.py seed_actions: the ten actions of seed.md, with parameters that StackStorm accepts."""

import re
from io import StringIO

import pytest
from django.core.management import call_command

from remediation import local_actions
from remediation.engine.launching import launch
from remediation.engine.stackstorm_client import stackstorm_client
from remediation.models import Action, ActionExecution
from remediation.stackstorm.missing_actions import REPLACEMENTS
from tests.factories import make_bucket, make_execution, make_run, make_step
from tests.paths import CONTRACTS

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SEED = (CONTRACTS / "seed.md").read_text()
ACTIONS = 10 + len(local_actions.names())  # ten StackStorm actions and the local ones
ROW = re.compile(r"^\| (st2_\w+) \| ([\w.]+) \| (.+) \|$", re.MULTILINE)

# The parameters of a step for each action, and refs that StackStorm's packs have renamed.
STEPS = {
    "st2_core_local": {"cmd": "true"},
    "st2_core_remote": {"cmd": "true"},
    "st2_core_http": {"url": "http://example.com/"},
    "st2_linux_service_action": {"service_name": "nginx"},
    "st2_linux_check_loadavg": {},
    "st2_slack_post_message": {"channel": "#alerts"},
    "st2_email_send": {
        "account": "mail",
        "email_from": "poundcake@example.com",
        "email_to": ["team@example.com"],
    },
}
CURRENT_REFS = {"st2_email_send": "email.send_email"}


def seed(**streams):
    out = StringIO()
    call_command("seed_actions", stdout=out, **streams)
    return out.getvalue()


@pytest.mark.usefixtures("no_stackstorm")
def test_the_ten_documented_actions_are_added():
    seed()

    documented = ROW.findall(SEED)
    assert len(documented) == 10
    rows = Action.objects.filter(use_stackstorm=True)
    assert sorted(rows.values_list("name", "st2_action_ref", "description")) == sorted(documented)


@pytest.mark.usefixtures("no_stackstorm")
def test_every_local_action_is_added():
    seed()

    rows = Action.objects.filter(use_stackstorm=False)
    assert sorted(rows.values_list("name", "action_type")) == [
        (name, name) for name in local_actions.names()
    ]


@pytest.mark.usefixtures("no_stackstorm")
def test_every_action_passes_validation():
    seed()

    for action in Action.objects.all():
        action.full_clean()


@pytest.mark.usefixtures("no_stackstorm")
def test_seeding_twice_adds_nothing_and_keeps_edits():
    assert f"Added {ACTIONS} actions." in seed()
    edited = {"st2_parameters": {"cmd": "date"}, "is_enabled": False, "description": "Ours"}
    Action.objects.filter(name="st2_core_local").update(**edited)
    Action.objects.get(name="st2_network_ping").delete()

    assert "Added 1 actions." in seed()

    assert Action.objects.filter(name="st2_core_local", **edited).count() == 1
    assert Action.objects.count() == ACTIONS


@pytest.mark.parametrize("name", STEPS)
def test_stackstorm_accepts_the_parameters_of_an_action(name, sandbox):
    seed()
    if name in CURRENT_REFS:
        Action.objects.filter(name=name).update(st2_action_ref=CURRENT_REFS[name])
        call_command("check_stackstorm", stdout=StringIO())
    bucket = make_bucket()
    make_step(bucket, Action.objects.get(name=name), parameters=STEPS[name])
    make_execution(make_run(bucket))

    launch.launch_due(client=stackstorm_client())

    execution = ActionExecution.objects.get()
    assert (execution.status, execution.error_message) == ("running", "")
    sent = sandbox.executions[0]["parameters"]
    if "hosts" in sent:
        assert sent["hosts"] == "server-01", "StackStorm would use the port for SSH"


@pytest.mark.usefixtures("sandbox")
def test_missing_actions_name_what_replaces_them():
    output = seed()

    missing = {
        action.name: action.st2_check_message
        for action in Action.objects.filter(st2_check=Action.Check.MISSING)
    }
    assert missing == {
        "st2_email_send": (
            "StackStorm has the pack email, but no action email.send in it. No current pack has"
            " email.send: use email.send_email (st2 pack install email)."
        ),
        "st2_linux_check_diskspace": (
            "StackStorm has the pack linux, but no action linux.check_diskspace in it. No current"
            " pack has linux.check_diskspace: use core.remote with a cmd such as df -P /."
        ),
        "st2_network_ping": (
            "StackStorm does not know network.ping. No current pack has network.ping: use the local"
            " action ping, or networking_utils.ping (st2 pack install networking_utils)."
        ),
        "st2_network_port_check": (
            "StackStorm does not know network.port_check. No current pack has network.port_check:"
            " use the local action tcp_check."
        ),
    }
    assert all(text in output for text in missing.values())
    assert "6 of 10 actions are ready." in output
    ready = Action.objects.filter(st2_check=Action.Check.FOUND)
    assert not ready.exclude(st2_check_message="").exists()
    assert not ready.filter(st2_runner="").exists()


@pytest.mark.usefixtures("no_stackstorm")
def test_without_stackstorm_it_names_what_no_pack_has():
    output = seed()

    assert output.count("No current pack has") == len(REPLACEMENTS)
    assert "st2_network_ping: No current pack has network.ping: use the local action" in output


@pytest.mark.usefixtures("no_stackstorm")
def test_without_stackstorm_it_names_the_missing_setting():
    assert "Not checked against StackStorm: ST2_API_URL is not set" in seed()


def test_actions_are_added_while_stackstorm_is_unreachable(settings):
    settings.ST2_API_URL, settings.ST2_API_KEY = "http://127.0.0.1:9", "k"
    errors = StringIO()

    seed(stderr=errors)

    assert Action.objects.count() == ACTIONS
    assert "could not be checked against StackStorm" in errors.getvalue()
