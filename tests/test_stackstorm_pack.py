"""The StackStorm pack, whose rule StackStorm accepts and whose requests PoundCake accepts."""

import base64
import json
import re
from datetime import timedelta

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from jinja2 import Environment, StrictUndefined

from remediation.models import ActionExecution
from remediation.stackstorm import NOTIFY_ROUTE
from tests import factories
from tests.paths import ROOT

PACK = ROOT / "stackstorm_pack" / "poundcake"
CONTRACTS = ROOT / "tests" / "contracts" / "stackstorm"
TRACE_TAG = "poundcake-5f0c4d8e-9f5a-4b0e-8f4e-0c3f6d1f7b11"


def recorded(name):
    return json.loads((CONTRACTS / f"{name}.json").read_text())


@pytest.fixture
def rule():
    return yaml.safe_load((PACK / "rules" / "notify_poundcake.yaml").read_text())


def notification():
    """Return the recorded notification, for an execution that PoundCake launched."""
    payload = recorded("callback-from-rule-notify")["request"]["body"]
    payload["data"] = {"trace_tag": TRACE_TAG, "result": payload["data"]["result"]}
    return payload | {"route": NOTIFY_ROUTE, "channel": NOTIFY_ROUTE}


def rendered(parameters, payload, datastore):
    """Render each text of a rule's parameters once, as StackStorm does."""
    environment = Environment(undefined=StrictUndefined)  # noqa: S701 - as in StackStorm; not HTML
    environment.filters["to_json_string"] = json.dumps
    environment.filters["decrypt_kv"] = lambda value: value.removeprefix("encrypted:")
    context = {"trigger": payload, "st2kv": {"system": datastore}}

    def render(value):
        if isinstance(value, dict):
            return {key: render(member) for key, member in value.items()}
        if isinstance(value, str):
            return environment.from_string(value).render(context)
        return value

    return render(parameters)


@pytest.fixture
def pack():
    return yaml.safe_load((PACK / "pack.yaml").read_text())


@pytest.mark.parametrize("name", ["name", "description", "version", "author", "email"])
def test_the_pack_has_the_required_metadata(name, pack):
    # Its schema requires the first four; without an email the registration fails too.
    assert isinstance(pack[name], str)
    assert pack[name]


def test_the_metadata_has_the_formats_that_stackstorm_requires(pack):
    assert pack["ref"] == PACK.name
    assert re.fullmatch(r"[a-z0-9_]+", pack["ref"])
    number = r"(0|[1-9][0-9]*)"
    assert re.fullmatch(rf"{number}\.{number}\.{number}", pack["version"])
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", pack["email"])
    assert all(isinstance(keyword, str) for keyword in pack["keywords"])
    assert set(pack["python_versions"]) <= {"2", "3"}
    assert len(pack["python_versions"]) == len(set(pack["python_versions"])) > 0


def test_the_pack_equals_the_recorded_installed_pack(pack):
    installed = recorded("packs-get-after-install")["response"]["body"]

    assert pack == {name: installed[name] for name in pack}
    files = [path.relative_to(PACK) for path in PACK.rglob("*") if path.is_file()]
    assert sorted(map(str, files)) == sorted(installed["files"])


def test_the_rule_equals_the_recorded_registered_rule(rule):
    registered = recorded("get-rule-notify-poundcake")["response"]["body"]

    assert registered["ref"] == f"{rule['pack']}.{rule['name']}"
    assert registered["metadata_file"] == "rules/notify_poundcake.yaml"
    assert registered["trigger"].items() >= rule.pop("trigger").items()
    assert rule == {name: registered[name] for name in rule}


def test_the_rule_matches_the_schema_of_rules(rule):
    allowed = {"name", "pack", "description", "enabled", "trigger", "criteria", "action"}
    allowed |= {"ref", "type", "context", "tags"}

    assert {"name", "trigger", "action"} <= rule.keys() <= allowed
    assert rule["enabled"] is True
    assert isinstance(rule["trigger"]["type"], str)
    assert {"ref"} <= rule["action"].keys() <= {"ref", "description", "parameters"}
    for path, criterion in rule["criteria"].items():
        assert path.startswith("trigger.")
        assert criterion.keys() == {"type", "pattern"}


def test_the_rule_equals_the_recorded_created_rule(rule):
    created = recorded("post-rule-notifytrigger-201")["request"]["body"]

    assert rule.keys() - created.keys() == {"description"}
    assert created.keys() <= rule.keys()
    assert rule["pack"] == PACK.name
    assert rule["trigger"] == created["trigger"]
    assert rule["action"]["ref"] == created["action"]["ref"]
    assert rule["action"]["parameters"].keys() >= created["action"]["parameters"].keys()
    assert rule["action"]["parameters"]["body"] == created["action"]["parameters"]["body"]
    assert rule["action"]["parameters"]["headers"] == created["action"]["parameters"]["headers"]


def test_the_rule_matches_only_executions_of_poundcake(rule):
    created = recorded("post-rule-notifytrigger-201")["request"]["body"]["criteria"]

    assert rule["criteria"] == {
        "trigger.route": created["trigger.route"] | {"pattern": NOTIFY_ROUTE}
    }


def test_the_rule_uses_known_parameters_and_hides_the_token(rule):
    runners = {one["name"]: one for one in recorded("get-runnertypes")["response"]["body"]}
    known = runners["http-request"]["runner_parameters"]
    action_parameters = {"method", "body", "timeout"}

    given = rule["action"]["parameters"]

    assert given.keys() <= known.keys() | action_parameters
    assert [name for name, value in given.items() if "decrypt_kv" in str(value)] == ["password"]
    assert known["password"]["secret"]


@pytest.mark.django_db
def test_poundcake_accepts_the_request_of_the_rule(rule):
    _, token = factories.make_token(["stackstorm"])
    later = timezone.now() + timedelta(hours=1)
    payload = notification()
    execution = factories.make_execution(
        status="running", st2_execution_id=payload["execution_id"], due_at=later
    )
    datastore = {
        "poundcake_url": "https://poundcake.example.com",
        "poundcake_token": f"encrypted:{token}",
    }

    sent = rendered(rule["action"]["parameters"], payload, datastore)
    base_url, _, path = sent["url"].partition("/api/")
    login = base64.b64encode(f"{sent['username']}:{sent['password']}".encode()).decode()
    response = Client().generic(
        sent["method"],
        f"/api/{path}",
        sent["body"],
        content_type=sent["headers"]["Content-Type"],
        headers={"Authorization": f"Basic {login}"},
    )

    assert base_url == datastore["poundcake_url"]
    assert json.loads(sent["body"]) == payload
    assert (response.status_code, response.json()["status"]) == (200, "accepted")
    due_at = ActionExecution.objects.get(pk=execution.pk).due_at
    assert due_at is not None
    assert due_at <= timezone.now()


def test_the_documented_payload_is_the_recorded_one():
    [block] = (PACK / "README.md").read_text().split("```json\n")[1:]
    documented = json.loads(block.partition("```")[0])

    assert documented.keys() == notification().keys()
    assert documented["data"].keys() == notification()["data"].keys()
    assert {name: documented[name] for name in ("route", "execution_id", "status")} == {
        name: notification()[name] for name in ("route", "execution_id", "status")
    }
