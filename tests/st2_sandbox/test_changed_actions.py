"""Actions whose definition changes, the commands they build, and lists of actions and packs."""

import pytest

from .client import Client, Clock
from .recordings import CHANGING_ACTION, recordings

WORKFLOW = {"runner_type": "orquesta", "parameters": {"host": {"type": "string"}}}


def test_a_re_run_uses_the_current_definition_of_the_action(client: Client, clock: Clock) -> None:
    old = client.post(CHANGING_ACTION, {"host": "web1"})
    clock.advance(10)
    client.sandbox.configure(actions={CHANGING_ACTION: WORKFLOW})

    response = client.call("POST", f"/v1/executions/{old['id']}/re_run", {})

    recorded = recordings()["changed-action-rerun-of-old-201"]
    assert response.status == recorded.status
    assert response.body["runner"]["name"] == recorded.body["runner"]["name"] == "orquesta"
    original = client.get(f"/v1/executions/{old['id']}")
    assert original["runner"]["name"] == "python-script"
    assert original["action"]["id"] == response.body["action"]["id"]


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
def test_a_built_command_is_returned_and_not_executed(
    recording: str, command: str, client: Client, clock: Clock
) -> None:
    view = recordings()[recording].body
    made = client.post(view["action"]["ref"], view["parameters"])
    clock.advance(10)

    result = client.get(f"/v1/executions/{made['id']}")["result"]

    shell = result if "stdout" in result else result["127.0.0.1"]
    assert shell["stdout"] == f"sandbox: nothing was executed; it would have run: {command}"


@pytest.mark.parametrize("query", ["pack=core", "name=local", "name=local&pack=core", "name=loc"])
def test_actions_are_filtered_by_exact_name_and_pack(query: str, client: Client) -> None:
    found = client.get(f"/v1/actions?{query}&include_attributes=ref,enabled")

    filters = dict(part.split("=") for part in query.split("&"))
    refs = [row["ref"].split(".") for row in client.get("/v1/actions")]
    expected = [
        f"{pack}.{name}"
        for pack, name in refs
        if filters.get("pack", pack) == pack and filters.get("name", name) == name
    ]
    assert [row["ref"] for row in found] == expected
    assert all(row.keys() == {"id", "ref", "enabled"} for row in found)


def test_the_action_list_obeys_offset_but_ignores_filter_and_sort(client: Client) -> None:
    refs = [row["ref"] for row in client.get("/v1/actions")]

    page = client.get("/v1/actions?limit=3&offset=5&filter=ref:core.local&sort_desc=True")

    assert [row["ref"] for row in page] == refs[5:8]


def test_packs_are_filtered_by_ref(client: Client) -> None:
    assert [row["ref"] for row in client.get("/v1/packs?ref=linux")] == ["linux"]
    assert client.get("/v1/packs?ref=nope") == []
