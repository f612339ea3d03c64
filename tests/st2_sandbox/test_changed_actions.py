"""Actions that change, commands that they build, and the lists of what is installed."""

import pytest

from .client import Client, Clock
from .recordings import CHANGING, recordings

WORKFLOW = {"runner_type": "orquesta", "parameters": {"host": {"type": "string"}}}


def test_a_run_of_an_old_execution_runs_what_the_action_is_now(
    client: Client, clock: Clock
) -> None:
    old = client.post(CHANGING, {"host": "web1"})
    clock.advance(10)
    client.sandbox.configure(actions={CHANGING: WORKFLOW})

    reply = client.call("POST", f"/v1/executions/{old['id']}/re_run", {})

    recorded = recordings()["changed-action-rerun-of-old-201"]
    assert reply.status == recorded.status
    assert reply.body["runner"]["name"] == recorded.body["runner"]["name"] == "orquesta"
    kept = client.get(f"/v1/executions/{old['id']}")
    assert kept["runner"]["name"] == "python-script"
    assert kept["action"]["id"] == reply.body["action"]["id"]


@pytest.mark.parametrize(
    ("recording", "command"),
    [
        ("shell-built-echo-command-substitution", 'echo "load is $(id -u) and `id -un`"'),
        ("shell-built-echo-quote-breaks-out", 'echo "x"; id -un; echo "y"'),
        ("shell-built-echo-single-quoted-by-client", "echo \"'$(id -u)'\""),
        ("shell-built-single-quotes", "echo path=/tmp/a b; id -un label='it's; id -u'"),
        ("shell-built-linux-rm", "rm -v /tmp/clienttest-none; id -un"),
    ],
)
def test_a_built_command_is_shown_and_not_executed(
    recording: str, command: str, client: Client, clock: Clock
) -> None:
    view = recordings()[recording].body
    made = client.post(view["action"]["ref"], view["parameters"])
    clock.advance(10)

    result = client.get(f"/v1/executions/{made['id']}")["result"]

    shell = result if "stdout" in result else result["127.0.0.1"]
    assert shell["stdout"] == f"sandbox: nothing was executed; it would have run: {command}"


@pytest.mark.parametrize("query", ["pack=core", "name=local", "name=local&pack=core", "name=loc"])
def test_actions_are_found_by_their_exact_name_and_pack(query: str, client: Client) -> None:
    found = client.get(f"/v1/actions?{query}&include_attributes=ref,enabled")

    wanted = dict(part.split("=") for part in query.split("&"))
    refs = [row["ref"].split(".") for row in client.get("/v1/actions")]
    expected = [
        f"{pack}.{name}"
        for pack, name in refs
        if wanted.get("pack", pack) == pack and wanted.get("name", name) == name
    ]
    assert [row["ref"] for row in found] == expected
    assert all(row.keys() == {"id", "ref", "enabled"} for row in found)


def test_an_offset_skips_actions_and_filter_and_order_are_ignored(client: Client) -> None:
    refs = [row["ref"] for row in client.get("/v1/actions")]

    page = client.get("/v1/actions?limit=3&offset=5&filter=ref:core.local&sort_desc=True")

    assert [row["ref"] for row in page] == refs[5:8]


def test_packs_are_found_by_their_ref(client: Client) -> None:
    assert [row["ref"] for row in client.get("/v1/packs?ref=linux")] == ["linux"]
    assert client.get("/v1/packs?ref=nope") == []
