"""Secrets in every place that can hold one are found nowhere else after complete runs.

Two places must hold some of them, because StackStorm must receive them and matching reads them:
the columns of an alert that its sender filled, and the definitions (actions, buckets, steps and
their versions). Only callers with the role edit see these unmasked.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from remediation.engine import stackstorm_client
from remediation.engine.launching import launch
from remediation.engine.outcomes import poll
from remediation.models import Action, ActionExecution, Bucket, BucketVersion, ConfigValue
from remediation.stackstorm import StackStormClient
from st2_sandbox import Sandbox, SandboxOptions
from tests.factories import log_in, make_client, make_token, notification_body
from tests.url_walk import all_urls

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# Settings. They must be found nowhere.
SETTINGS = {
    "st2_api_key": "Canary'0key-vqlemur/1",
    "st2_password": "Canary'0pwd-wxotter/2",
    "secret_key": "Canary'0sig-zkheron/3",
    "database": "Canary'0dbp-jqbadger/4",
    "config_db_password": "Canary'0cfg-xvmarten/5",
    "config_chat": "Canary'0cht-kzplover/6",
    "basic": "Canary'0bas-qwstoat/7",
    "user_password": "Canary'0usr-zvcurlew/8",
}
# What senders and StackStorm put under a secret name. StackStorm's must be found nowhere.
STACKSTORM = {
    "result": "Canary'0res-xjgodwit/9",
    "stderr": "Canary-0err-vzdunlin/10",
    "inquiry": "Canary'0inq-qkbittern/11",
}
HELD = {
    "label": "Canary'0lab-wzavocet/12",
    "annotation": "Canary'0ann-jxturnstone/13",
    "url": "Canary-0url-kvsiskin-14",
    "literal": "Canary'0lit-zwbrambling/15",
    "mapping": "Canary'0map-qvwaxwing/16",
    "workflow": "Canary'0wfl-xkredstart/17",
    "matcher": "Canary-0mat-vjwheatear-18",
    "config_row": "Canary'0row-zqfieldfare/19",
}
# The columns that hold the canaries of HELD; a bucket version has a copy of the definitions.
HOLDERS = {
    "alerts": {
        *("labels", "annotations", "raw_data", "group_labels", "group_key"),
        *("generator_url", "external_url"),
    },
    "actions": {"st2_parameters"},
    "custom_action_buckets": {"label_matchers", "st2_workflow_params"},
    "custom_action_bucket_steps": {"parameters"},
    "bucket_versions": {"definition"},
    "config_values": {"value"},
}


SCHEMA = {
    "properties": {"password": {"type": "string", "default": STACKSTORM["inquiry"]}},
    "required": ["password"],
}
RESULT = {
    "password": STACKSTORM["result"],
    "stdout": f"logged in with {SETTINGS['config_db_password'][::-1]}",
    "deep": [{"url": f"https://root:{STACKSTORM['stderr']}@db"}],
}
ACTIONS: dict[str, Any] = {
    "fix": {
        "action_type": "stackstorm",
        "st2_action_ref": "acme.fix",
        "st2_parameters": {
            "cmd": "login {{ parameters.password | default('none') }} {{ parameters.pw }}",
            "env": {"API_TOKEN": HELD["mapping"], "PW": "{{ parameters.pw }}"},
        },
    },
    "reject": {"action_type": "stackstorm", "st2_action_ref": "acme.fix"},
    "note": {"action_type": "log_event", "use_stackstorm": False},
    "call": {"action_type": "http_request", "use_stackstorm": False},
}
LABELS = {"alertname": "Canary", "instance": "web-01:9100", "api_token": HELD["label"]}
PASSWORD = "config.db_password"
BUCKETS: list[dict[str, Any]] = [
    {
        "name": "canary",
        "alert_name_pattern": "Canary",
        "label_matchers": f'api_token!="{HELD["matcher"]}"',
        "continue_matching": True,
        "steps": [
            {
                "action": "note",
                "name": "note",
                "parameters": {
                    "message": "{{ config.chat | upper }} {{ config.db_password | reverse }}"
                    " {{ alert.labels.api_token }} {{ alert.annotations.password }}"
                },
            },
            {
                "action": "call",
                "name": "call",
                "on_failure": "continue",
                "parameters": {
                    "url": f"https://deploy:{HELD['url']}@db.invalid/x",
                    "headers": {"Authorization": "Bearer {{ config.chat }}"},
                    "body": "{{ config.chat | urlencode }}",
                },
            },
            {
                "action": "fix",
                "name": "first",
                "parameters": {
                    "pw": "{{ config.db_password | reverse }}",
                    "password": HELD["literal"],
                },
            },
            {
                "action": "fix",
                "name": "second",
                "on_failure": "continue",
                "parameters": {"pw": "{{ config.chat | quote }} {{ config.smtp.password }}"},
            },
            {
                "action": "reject",
                "name": "rejected",
                "on_failure": "continue",
                "parameters": {"port": "{{ config.db_password | replace('/', '_') | upper }}"},
            },
            {
                "action": "note",
                "name": "conditional",
                "parameters": {"message": "{{ alert.labels[config.db_password] }}"},
            },
        ],
    },
    {
        "name": "canary_workflow",
        "alert_name_pattern": "Canary",
        "use_stackstorm": True,
        "st2_workflow_name": "acme.ask",
        "st2_workflow_params": {"api_key": HELD["workflow"], "note": "{{ config.chat | lower }}"},
    },
]
READ_ONLY = {"id", "warnings", "created_at", "updated_at"}
URL = f"https://grafana:{HELD['url']}@wiki.example.com/x"
DELIVERY = notification_body(
    {
        "status": "firing",
        "labels": LABELS,
        "annotations": {
            "password": HELD["annotation"],
            "runbook_url": URL,
            "summary": f"See {URL}",
        },
        "startsAt": "2026-11-23T05:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": URL,
        "fingerprint": "0123456789abcdef",
    },
    groupLabels={"api_token": HELD["label"]},
    groupKey=f'{{}}:{{api_token="{HELD["label"]}"}}',
    externalURL=URL,
)


def forms(secret: str) -> set[str]:
    """Return the forms in which a secret could be shown."""
    plain = {secret, secret[::-1], secret.upper(), secret.lower()}
    plain |= {quote(text, safe="") for text in plain}
    plain |= {shlex.quote(text) for text in plain} | {
        text.replace("'", "'\"'\"'") for text in plain
    }
    plain |= {json.dumps(text)[1:-1] for text in plain} | {
        text.replace("'", "&#x27;") for text in plain
    }
    encoded = {base64.b64encode(b"u:" + secret.encode()).decode()[4:-4]}
    return (
        plain | encoded | {base64.b64encode(secret.encode()).decode()[:-4], secret.encode().hex()}
    )


def found_in(text: str, canaries: Mapping[str, str]) -> list[str]:
    """Return the names of the canaries in a text, in any form, also if only a part is left."""
    lower = text.lower()
    return [
        name
        for name, secret in canaries.items()
        if any(form in text for form in forms(secret))
        or any(word in lower or word[::-1] in lower for word in re.findall("[a-z]{7,}", secret))
    ]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    options = SandboxOptions(
        duration_seconds=0,
        actions={
            "acme.fix": {
                "runner_type": "python-script",
                "parameters": {
                    "cmd": {"type": "string"},
                    "env": {"type": "object"},
                    "port": {"type": "integer"},
                },
            },
            "acme.ask": {
                "runner_type": "orquesta",
                "parameters": {"api_key": {"type": "string"}, "note": {"type": "string"}},
                "tasks": [{"name": "ask", "action": "core.ask", "parameters": {"schema": SCHEMA}}],
            },
        },
        outcomes={"acme.fix": ["succeeded", "failed"]},
        results={"acme.fix": [RESULT, RESULT | {"stderr": f"--password {STACKSTORM['stderr']}"}]},
    )
    with Sandbox(api_key=SETTINGS["st2_api_key"], options=options) as running:
        yield running


@pytest.fixture
def st2(
    sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StackStormClient]:
    settings.ST2_API_URL = sandbox.url
    settings.ST2_API_KEY = SETTINGS["st2_api_key"]
    settings.ST2_PASSWORD = SETTINGS["st2_password"]
    settings.SECRET_KEY = SETTINGS["secret_key"]
    settings.CONFIG_SECRETS = {
        "db_password": SETTINGS["config_db_password"],
        "chat": SETTINGS["config_chat"],
    }
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", SETTINGS["database"])
    stackstorm_client._client.cache_clear()
    yield stackstorm_client.stackstorm_client()
    stackstorm_client._client.cache_clear()


def define(editor: Client) -> None:
    """Create the definitions with the API, as an editor."""
    for name, columns in ACTIONS.items():
        post(editor, "actions/", {"name": name, **columns}, status=201)
    actions = {action.name: action.pk for action in Action.objects.all()}
    for bucket in BUCKETS:
        steps = [{**step, "action": actions[step["action"]]} for step in bucket.get("steps", [])]
        post(editor, "buckets/", bucket | ({"steps": steps} if steps else {}), status=201)
    ConfigValue.objects.create(key="smtp", value={"password": HELD["config_row"]})
    ConfigValue.objects.create(key="smtp_password", value=HELD["config_row"])


def post(client: Client, path: str, body: object, *, status: int, **options: Any) -> Any:
    response = client.post(
        f"/api/v1/{path}", json.dumps(body), content_type="application/json", **options
    )
    assert response.status_code == status, response.content
    return response


def work(client: StackStormClient) -> None:
    """Launch and poll until nothing is left to do."""
    for _round in range(12):
        ActionExecution.objects.filter(due_at__isnull=False).update(due_at=timezone.now())
        launch.launch_due(client=client)
        launch.run_local()
        poll.poll_due(client=client)


def rows_of_all_tables() -> Iterator[tuple[str, str, str]]:
    """Yield (table, column, value) of every value in the database."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                yield from ((table, *pair) for pair in zip(columns, map(str, row), strict=True))


def test_secrets_are_found_only_where_they_must_be(
    sandbox: Sandbox, st2: StackStormClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, webhook_token = make_token(["webhook"])
    tokens = {"webhook_token": webhook_token.removeprefix("pc_")}
    editor = make_client("edit")
    define(editor)

    # A complete delivery, and calls with wrong credentials.
    post(
        Client(),
        "webhook?api_key=" + quote(SETTINGS["basic"]),
        DELIVERY,
        status=202,
        headers={"Authorization": f"Bearer {webhook_token}"},
    )
    basic = base64.b64encode(f"alertmanager:{SETTINGS['basic']}".encode()).decode()
    post(Client(), "webhook", DELIVERY, status=401, headers={"Authorization": f"Basic {basic}"})
    credentials = {"username": "nobody", "password": SETTINGS["user_password"]}
    Client().post("/admin/login/", credentials)

    # Runs through success, failure, a rejected launch and an inquiry.
    work(st2)
    statuses = set(ActionExecution.objects.values_list("name", "status"))
    assert {
        *(("note", "success"), ("call", "failure"), ("first", "success"), ("second", "failure")),
        *(("rejected", "failure"), ("conditional", "failure"), ("acme.ask", "running")),
    } <= statuses
    assert ActionExecution.objects.exclude(inquiries=[]).exists()
    sent = json.dumps(sandbox.executions, default=str)
    assert SETTINGS["config_db_password"][::-1] in sent
    assert HELD["mapping"] in sent

    # Operations whose answers are stored, so that a repeated call gets the same one.
    operator, asking = make_client("operate"), ActionExecution.objects.exclude(inquiries=[]).get()
    ended = ActionExecution.objects.get(name="note")
    for path, body, status in (
        (f"runs/{asking.run_id}/cancel/", {"reason": f"see {URL}"}, 200),
        (f"runs/{ended.run_id}/retry/", {"from": "failed"}, 201),
    ):
        post(operator, path, body, status=status, headers={"Idempotency-Key": path})
    work(st2)

    # Readers and operators ask for everything, too.
    everything = SETTINGS | STACKSTORM | HELD | tokens
    found: list[tuple[str, str, str]] = []
    for scope in ("read", "operate"):
        client, user = make_client(scope), log_in(scope)
        for bucket in Bucket.objects.all():
            asked = {"labels": DELIVERY["alerts"][0]["labels"], "annotations": {}}
            response = post(client, f"buckets/{bucket.pk}/simulate/", asked, status=200)
            names = found_in(response_text(response), everything)
            found += [(scope, f"simulate {bucket}", name) for name in names]
        opened = 0
        for url in all_urls():
            caller = client if url.startswith(("/api/", "/metrics")) else user
            response = caller.get(url)
            opened += response.status_code == 200
            found += [(scope, url, name) for name in found_in(response_text(response), everything)]
        assert opened > 100

    for table, column, value in rows_of_all_tables():
        is_holder = column in HOLDERS.get(table, ())
        hidden = {**SETTINGS, **STACKSTORM, **tokens} if is_holder else everything
        found += [("database", f"{table}.{column}", name) for name in found_in(value, hidden)]
    found += [
        ("log", line, name) for line in caplog.messages for name in found_in(line, everything)
    ]
    found += [("log", "", name) for name in found_in(caplog.text, everything)]
    assert not found, "\n".join(map(str, found))


def response_text(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    headers = " ".join(f"{name}: {value}" for name, value in response.items())
    return f"{headers} {content.decode(errors='replace')}"


def test_an_editor_sees_literals_and_saves_them_unchanged(st2: StackStormClient) -> None:
    editor = make_client("edit")
    define(editor)
    bucket = Bucket.objects.get(name="canary")
    url = f"/api/v1/buckets/{bucket.pk}/"

    shown = editor.get(url).json()
    written = {name: value for name, value in shown.items() if name not in READ_ONLY}
    for step in written["steps"]:
        for name in ("id", "step_order", "action_name"):
            step.pop(name, None)
    response = editor.put(url, json.dumps(written), content_type="application/json")

    assert response.status_code == 200, response.content
    assert shown["steps"][2]["parameters"]["password"] == HELD["literal"]
    assert "********" not in json.dumps(BucketVersion.objects.latest("pk").definition)
