"""The registry, the parameters and the deadline of all local actions."""

import pkgutil
from collections.abc import Mapping
from threading import Event
from typing import Any

import pytest

from remediation import local_actions
from remediation.local_actions import (
    AnyValue,
    Choice,
    Host,
    Integer,
    InvalidParameters,
    LocalAction,
    LocalActionTimeout,
    Number,
    Object,
    Parameter,
    ParameterType,
    Text,
    UnknownLocalAction,
)

PUBLIC_MODULES = [
    module.name
    for module in pkgutil.iter_modules(local_actions.__path__)
    if not module.name.startswith("_")
]


class Hang(LocalAction):
    """An action that hangs until the test ends it."""

    name = "hang"
    description = "Never ends"
    parameters = {"port": Parameter(Integer(1, 9), "A number", required=True)}
    is_repeatable = False

    def __init__(self) -> None:
        self.may_end = Event()
        self.deadline_seconds = 0.0

    def run(self, parameters: Mapping[str, Any], *, deadline_seconds: float) -> dict[str, object]:
        self.deadline_seconds = deadline_seconds
        self.may_end.wait()
        return {}


@pytest.fixture
def hang(monkeypatch):
    action = Hang()
    monkeypatch.setattr(local_actions, "_actions", lambda: {"hang": action})
    yield action
    action.may_end.set()


def test_every_module_is_an_action_with_its_name():
    assert local_actions.names() == sorted(PUBLIC_MODULES)


def test_the_documented_actions_exist():
    assert {"log_event", "ping", "tcp_check", "http_request", "wait"} <= set(local_actions.names())


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_action_describes_itself_and_its_parameters(name):
    action = local_actions.get(name)

    assert action.description
    assert all(parameter.description for parameter in action.parameters.values())


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_every_default_is_a_valid_value(name):
    for parameter in local_actions.get(name).parameters.values():
        if parameter.default is not None:
            assert parameter.type.convert(parameter.default) == parameter.default


@pytest.mark.parametrize(
    ("name", "is_repeatable"),
    [
        ("http_request", False),
        ("log_event", True),
        ("ping", True),
        ("tcp_check", True),
        ("wait", True),
    ],
)
def test_only_http_request_is_not_repeatable(name, is_repeatable):
    assert local_actions.get(name).is_repeatable == is_repeatable


@pytest.mark.parametrize("call", [local_actions.run, local_actions.delay_seconds])
def test_an_unknown_action_is_refused_with_the_known_names(call):
    names = ", ".join(local_actions.names())
    with pytest.raises(UnknownLocalAction, match=f"'reboot'; use one of {names}"):
        call("reboot", {})


@pytest.mark.parametrize("call", [local_actions.run, local_actions.delay_seconds])
def test_every_invalid_parameter_is_named_with_its_type(call):
    with pytest.raises(InvalidParameters) as refused:
        call("tcp_check", {"port": "http", "hostname": "web-01"})

    assert refused.value.errors == {
        "host": "is missing; it must be a host name or an IP address without port, zone, spaces or "
        "control characters, at most 253 characters, an IPv4 address with four decimal numbers",
        "port": "must be an integer from 1 to 65535",
        "hostname": "is unknown; the action accepts host, port, timeout_seconds",
    }
    assert str(refused.value).startswith("tcp_check: parameter 'host' is missing")


def test_the_error_does_not_contain_the_value():
    with pytest.raises(InvalidParameters) as refused:
        local_actions.run("tcp_check", {"host": "s3cret value", "port": "s3cret"})

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "given", "converted"),
    [
        (Text(), "", ""),
        (Text(), "{{ x }}", "{{ x }}"),
        (Choice(("GET", "PUT")), "PUT", "PUT"),
        (Integer(1, 65535), 22, 22),
        (Integer(1, 65535), "9100", 9100),
        (Integer(-5, 5), "-5", -5),
        (Number(0, 10), 0, 0.0),
        (Number(0, 10), "2.5", 2.5),
        (Host(), "web-01.example.com", "web-01.example.com"),
        (Host(), "2001:db8::1", "2001:db8::1"),
        (Host(), "münchen.example", "münchen.example"),
        (Host(), "-rf", "-rf"),
        (Host(), "a.b", "a.b"),
        (Object(), {"a": [1]}, {"a": [1]}),
        (AnyValue(), [None], [None]),
    ],
)
def test_a_valid_value_is_converted(kind, given, converted):
    assert kind.convert(given) == converted


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Text(), 5),
        (Text(), ["a"]),
        (Choice(("GET", "PUT")), "put"),
        (Choice(("GET", "PUT")), ["GET"]),
        (Integer(1, 65535), 0),
        (Integer(1, 65535), 65536),
        (Integer(1, 65535), True),
        (Integer(1, 65535), 22.0),
        (Integer(1, 65535), "22.0"),
        (Integer(1, 65535), "٢٢"),
        (Integer(1, 65535), "9" * 5000),
        (Number(0, 10), True),
        (Number(0, 10), None),
        (Number(0, 10), "soon"),
        (Number(0, 10), float("nan")),
        (Number(0, 10), float("inf")),
        (Number(0, 10), -0.1),
        (Host(), ""),
        (Host(), "a b"),
        (Host(), "a\x00b"),
        (Host(), "a\nb"),
        (Host(), "a\u2028b"),
        (Host(), "\ud800"),
        (Host(), "a..b"),
        (Host(), "a" * 64 + ".example"),
        (Host(), "a." * 127),
        (Host(), 10),
        (Host(), "."),
        (Host(), "2130706433"),
        (Host(), "0x7f.1"),
        (Host(), "fe80::1%eth0"),
        (Host(), "user@web-01"),
        (Host(), "web-01/x"),
        (Host(), "web-01:22"),
        (Object(), []),
        (Object(), "{}"),
    ],
)
def test_an_invalid_value_is_refused(kind: ParameterType, given):
    with pytest.raises(ValueError):  # noqa: PT011 - the caller adds the message
        kind.convert(given)


def test_null_counts_as_missing():
    with pytest.raises(InvalidParameters, match="'message' is missing"):
        local_actions.run("log_event", {"message": None, "level": None})


def test_an_action_that_hangs_times_out_at_its_deadline(hang):
    with pytest.raises(LocalActionTimeout, match=r"hang did not end within 0\.05 s"):
        local_actions.run("hang", {"port": 1}, deadline_seconds=0.05)


def test_a_deadline_is_at_most_the_limit_of_all_actions(hang, monkeypatch):
    monkeypatch.setattr(local_actions, "MAX_SECONDS", 0.05)

    with pytest.raises(LocalActionTimeout, match=r"within 0\.05 s"):
        local_actions.run("hang", {"port": 1}, deadline_seconds=2)

    assert hang.deadline_seconds == 0.05


def test_an_unexpected_error_of_the_action_is_raised(hang, monkeypatch):
    def fail(*_arguments, **_options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Hang, "run", fail)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        local_actions.run("hang", {"port": 1})


def test_a_timeout_error_of_the_action_is_not_the_deadline(hang, monkeypatch):
    def fail(*_arguments, **_options):
        raise TimeoutError("inside the action")

    monkeypatch.setattr(Hang, "run", fail)

    with pytest.raises(TimeoutError, match="inside the action"):
        local_actions.run("hang", {"port": 1})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("log_event", {"message": "x"}),
        ("ping", {"host": "localhost"}),
        ("tcp_check", {"host": "localhost", "port": 22}),
        ("http_request", {"url": "http://localhost/"}),
    ],
)
def test_all_actions_but_wait_run_without_a_delay(name, parameters):
    assert local_actions.delay_seconds(name, parameters) is None
