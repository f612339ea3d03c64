"""Actions, the user and the version, which the connection check reads."""

import pytest
import responses

from remediation.stackstorm import ParameterInfo, StackStormRejected, UserInfo
from tests.remediation.stackstorm.recordings import HOST, add_response, make_client, recording

OVERVIEW = "/v1/actions/views/overview"
VERSIONS = ["get-root", "get-version", "get-version-no-slash", "nginx-get-version"]
USERS = {
    "get-user": UserInfo("st2admin", "API key", rbac_enabled=False, roles=(), is_admin=True),
    "rbac-get-user": UserInfo(
        "runner1", "API key", rbac_enabled=True, roles=("runner",), is_admin=False
    ),
}
UNREGISTERED = ["get-action-unknown-404", "get-action-no-dot-404"]


def test_an_action_includes_the_parameters_of_its_runner(st2: responses.RequestsMock) -> None:
    add_response(st2, "get-action-overview-core-local")

    action = make_client().action("core.local")

    assert action is not None
    assert (action.ref, action.pack, action.runner_name) == (
        "core.local",
        "core",
        "local-shell-cmd",
    )
    assert action.enabled
    assert action.parameters["cmd"] == ParameterInfo(
        "string", required=True, secret=False, immutable=False
    )
    assert action.parameters["sudo"].immutable
    assert action.parameters["sudo_password"].secret
    assert action.parameters["timeout"].type == "integer"


def test_every_recorded_parameter_is_read(st2: responses.RequestsMock) -> None:
    add_response(st2, "get-action-overview-typed")

    action = make_client().action("clienttest.typed")

    assert action is not None
    schemas = recording("get-action-parameters-view-by-ref").body["parameters"]
    assert action.parameters == {
        name: ParameterInfo(
            type=schema["type"],
            required=schema.get("required", False),
            secret=schema.get("secret", False),
            immutable=schema.get("immutable", False),
            default=schema.get("default"),
        )
        for name, schema in schemas.items()
    }


@pytest.mark.parametrize("name", ["get-action-core-local", "get-action-typed"])
def test_an_action_without_runner_parameters_is_read(
    st2: responses.RequestsMock, name: str
) -> None:
    ref = recording(name).body["ref"]
    add_response(st2, name, path=f"{OVERVIEW}/{ref}")

    action = make_client().action(ref)

    assert action is not None
    assert action.parameters.keys() == recording(name).body["parameters"].keys()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "array"]}, ParameterInfo("string|array", False, False, False)),
        ({"immutable": True}, ParameterInfo("", False, False, True)),
        (
            recording("get-execution-secret-printed-by-the-action").body["action"]["parameters"][
                "obj"
            ],
            ParameterInfo("object", False, True, False),
        ),
        ({"type": "array", "items": {"secret": True}}, ParameterInfo("array", False, True, False)),
    ],
)
def test_a_parameter_with_a_secret_part_is_secret(
    st2: responses.RequestsMock, schema: dict[str, object], expected: ParameterInfo
) -> None:
    st2.get(f"{HOST}{OVERVIEW}/x.y", json={"ref": "x.y", "parameters": {"it": schema}})

    action = make_client().action("x.y")

    assert action is not None
    assert action.parameters["it"] == expected


@pytest.mark.parametrize("name", UNREGISTERED)
def test_an_unregistered_action_is_none(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path=f"{OVERVIEW}/core.nope")

    assert make_client().action("core.nope") is None


def test_a_wrong_url_is_not_reported_as_a_missing_action(st2: responses.RequestsMock) -> None:
    add_response(st2, "unknown-path-404", path=f"{OVERVIEW}/core.local")

    with pytest.raises(StackStormRejected, match="Check ST2_API_URL"):
        make_client().action("core.local")


@pytest.mark.parametrize("name", USERS)
def test_the_user_is_read(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name)

    assert make_client().user() == USERS[name]


@pytest.mark.parametrize("name", VERSIONS)
def test_the_version_is_read(st2: responses.RequestsMock, name: str) -> None:
    add_response(st2, name, path="/v1/")

    assert make_client().version() == "3.10dev"
