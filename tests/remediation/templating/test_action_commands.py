"""Data in the commands that actions build from their parameters."""

import contextlib
import itertools
import json
import subprocess
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from remediation.templating import (
    Command,
    TemplateError,
    check,
    command_defaults,
    render_for_stackstorm,
    render_step_parameters,
    tainted_parameters,
)
from tests.paths import CONTRACTS
from tests.remediation.templating.test_cmd_rule import TEXTS
from tests.remediation.templating.variables import make_variables

pytestmark = pytest.mark.slow

STACKSTORM_CONTRACTS = CONTRACTS / "stackstorm"
QUOTED = "{{ alert.labels.t | quote }}"
# As StackStorm renders a default with the parameters it received.
STACKSTORM = Environment(trim_blocks=True, lstrip_blocks=True)  # noqa: S701 - no HTML


@cache
def recorded(name: str) -> Command:
    """Return the command of a recorded action."""
    body = json.loads((STACKSTORM_CONTRACTS / f"{name}.json").read_text())["response"]["body"]
    defaults = {key: schema.get("default") for key, schema in body["parameters"].items()}
    return Command(body["runner_type"], command_defaults(defaults))


def build_command(cmd: str, runner: str = "local-shell-cmd", **defaults: object) -> Command:
    return Command(runner, command_defaults({"cmd": cmd, **defaults}))


def send(parameters: dict[str, object], command: Command, **labels: str) -> dict[str, object]:
    """Return the parameters sent to an action without a mapping."""
    variables = make_variables(labels or {"t": "x"})
    step = render_step_parameters(parameters, variables, command=command)
    return render_for_stackstorm(
        {}, variables | {"parameters": step}, rendered_twice=False, command=command
    )


def error_of(parameters: dict[str, object], command: Command) -> str:
    """Return the error for parameters that are refused on save and at launch."""
    with pytest.raises(TemplateError) as at_launch:
        send(parameters, command)
    assert str(at_launch.value) in [str(error) for error in check(parameters, command=command)]
    return str(at_launch.value)


@pytest.mark.parametrize(
    ("recording", "parameters", "position"),
    [
        (
            "shell-built-overview-core-echo",
            {"message": "{{ alert.labels.t }}"},
            'inside "..."',
        ),
        ("shell-built-overview-core-echo", {"message": f"a {QUOTED}"}, 'inside "..."'),
        (
            "shell-built-overview-core-echo",
            {"message": "{{ steps.check.status }}"},
            'side "..."',
        ),
        (
            "shell-built-overview-clienttest-shell-built",
            {"path": "x", "label": QUOTED},
            "'...'",
        ),
    ],
)
def test_data_inside_quotes_of_a_recorded_command_is_refused(recording, parameters, position):
    command = recorded(recording)

    message = error_of(parameters, command)

    name = [*parameters][-1]
    assert message.startswith(f"{name}: is inserted into the command ")
    assert position in message
    assert command.displayed(name) in message
    assert "core.local" in message


@pytest.mark.parametrize(
    ("recording", "name"),
    [
        ("shell-built-overview-linux-rm", "target"),
        ("shell-built-overview-linux-rm", "args"),
        ("shell-built-overview-linux-cp", "source"),
        ("shell-built-overview-linux-cp", "destination"),
        ("shell-built-overview-linux-pkill", "process"),
        ("shell-built-overview-linux-rm", "cwd"),
        ("shell-built-overview-clienttest-shell-built", "path"),
        ("get-action-overview-core-local", "cmd"),
    ],
)
def test_an_unquoted_parameter_of_a_recorded_command_takes_only_quoted_data(recording, name):
    command = recorded(recording)

    message = error_of({name: "{{ alert.labels.t }}"}, command)

    assert message.startswith(f"{name}: alert.labels.t must end in | quote")
    assert send({name: QUOTED}, command, t="a; id")[name] == "'a; id'"
    assert send({name: "a literal; of the operator"}, command)


@pytest.mark.parametrize("name", ["recursive", "force", "verbose", "hosts"])
def test_parameters_used_only_in_conditions_are_not_part_of_the_command(name):
    assert not recorded("shell-built-overview-linux-rm").includes(name)


@given(text=TEXTS)
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_out_of_the_command_of_an_action(text):
    command = build_command("printf '%s\\0' {{ target }}", runner="remote-shell-cmd")

    sent = send({"target": QUOTED}, command, t=text)
    # StackStorm's Jinja first removes our escaping.
    target = STACKSTORM.from_string(str(sent["target"])).render()
    line = STACKSTORM.from_string(str(command.defaults["cmd"])).render(target=target)

    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=30)
    assert done.stdout.decode().split("\0")[:-1] == [text.replace("\r\n", "\n").replace("\r", "\n")]


@pytest.mark.parametrize(
    ("cmd", "position"),
    [
        ("echo `id {{ p }}`", "in or after $("),
        ("echo $(id {{ p }})", "in or after $("),
        ('echo "$(id {{ p }})"', "in or after $("),
        ("echo \\{{ p }}", "right after a backslash"),
        ("echo ${{ p }}", "right after a $"),
        ("ls # {{ p }}", "in a comment"),
        ("cat <<E\n{{ p }}\nE", "in or after"),
        ("echo {{ p | upper }}", "in or after"),
        ("echo {{ p ~ '' }}", "in or after"),
        ("{% for x in p %}{{ x }}{% endfor %}", "in or after"),
        ("{% if a %}'{% endif %}{{ p }}", "inside '...'"),
        ("{{ a }}", 'inside "..."'),
        ("{{ b }}", "in or after"),
    ],
)
def test_data_is_refused_where_quotes_have_no_effect(cmd, position):
    command = build_command(cmd, a='"{{ p }}"', b="{{ b }}{{ p }}", p=None)

    assert position in error_of({"p": QUOTED}, command)


def test_quotes_opened_by_another_parameter_are_detected():
    command = build_command("echo {{ a }} {{ p }}", a="-v")

    assert send({"a": "-n", "p": QUOTED}, command)
    with pytest.raises(TemplateError, match=r"^p: is inserted .* inside '...'"):
        send({"a": "it's", "p": QUOTED}, command)


def test_an_omitted_parameter_has_its_default():
    command = build_command("echo {{ a }}{{ p }}", a="'")

    with pytest.raises(TemplateError, match=r"inside '\.\.\.'"):
        send({"p": QUOTED}, command)
    with pytest.raises(TemplateError, match=r"inside '\.\.\.'"):
        send({"a": None, "p": QUOTED}, command)


def test_data_in_a_list_for_a_command_is_refused():
    message = error_of({"p": [QUOTED]}, build_command("rm {{ p }}"))

    assert message == "p[0]: must be a string: it is inserted into the command rm {{ p }}"


def test_a_mapping_can_quote_data():
    command = build_command("rm {{ target }}")
    parameters = {"file": "{{ alert.labels.t }}"}
    variables = make_variables({"t": "a; id"})
    step = render_step_parameters(parameters, variables)

    def sent(mapping: str) -> object:
        return render_for_stackstorm(
            {"target": mapping},
            variables | {"parameters": step},
            rendered_twice=False,
            command=command,
        )

    assert sent("/srv/{{ parameters.file | quote }}") == {"target": "/srv/'a; id'"}
    with pytest.raises(TemplateError, match=r"parameters.file must end in \| quote: it is"):
        sent("/srv/{{ parameters.file }}")
    assert check(
        {"target": "{{ parameters.file }}"}, tainted=tainted_parameters(parameters), command=command
    )


@pytest.mark.parametrize("runner", ["local-shell-script", "remote-shell-script"])
def test_stackstorm_quotes_arguments_of_scripts_but_not_their_operator(runner):
    command = Command(runner)

    assert send({"service": "{{ alert.labels.t }}"}, command, t="a; id") == {"service": "a; id"}
    assert "must end in | quote" in error_of({"kwarg_op": "{{ alert.labels.t }}"}, command)


@pytest.mark.parametrize("runner", ["winrm-cmd", "winrm-ps-cmd"])
def test_data_is_refused_in_commands_on_windows(runner):
    command = build_command("dir {{ p }}", runner=runner)

    assert "Windows" in error_of({"p": QUOTED}, command)
    assert send({"p": "C:\\", "host": "{{ alert.labels.t }}"}, command)


def test_data_is_refused_in_arguments_of_powershell_scripts():
    # In PowerShell a typographic quote closes a double-quoted string.
    command = Command("winrm-ps-script")

    assert "Windows" in error_of({"name": "{{ alert.labels.t }}"}, command)
    assert send({"name": "spooler", "host": "{{ alert.labels.t }}"}, command)


@pytest.mark.parametrize("runner", ["python-script", "http-request", "orquesta", ""])
def test_other_runners_have_no_command_except_cmd(runner):
    command = Command(runner, {})

    assert send({"message": "{{ alert.labels.t }}"}, command, t="a; id")
    assert "must end in | quote" in error_of({"cmd": "{{ alert.labels.t }}"}, command)


def test_only_the_defaults_that_a_command_needs_are_stored():
    defaults = {"cmd": "rm {{ a }} {{ p }}", "a": "-v {{ b }}", "b": {"x": 1}, "c": "unused"}

    assert command_defaults(defaults) == {
        "cmd": "rm {{ a }} {{ p }}",
        "a": "-v {{ b }}",
        "b": "{'x': 1}",
    }
    assert command_defaults({"cmd": None, "a": "x"}) == command_defaults({"cmd": "ls"}) == {}


def test_exponentially_nested_defaults_are_limited():
    names = [f"p{number}" for number in range(40)]
    texts = {name: f"{{{{ {after} }}}}" * 9 for name, after in itertools.pairwise(names)}
    command = build_command("{{ p0 }} {{ q }}", **texts)

    assert "in or after" in error_of({"q": QUOTED}, command)


@given(
    cmd=st.text("{}%#'\"$`\\ pq()|", max_size=30),
    before=st.sampled_from(["", "'", '"', "a"]),
)
def test_any_text_is_accepted_as_a_command(cmd, before):
    command = build_command(cmd + " {{ p }}")
    with contextlib.suppress(TemplateError):
        send({"q": before, "p": QUOTED}, command)


def test_the_same_rules_apply_in_a_renderer_process():
    costly = "{{ alert.labels.t | replace('b', 'c') | quote }}"
    command = build_command("echo {{ a }} {{ p }}", a="-v")

    assert send({"p": costly}, command, t="a; b") == {"p": "'a; c'"}
    with pytest.raises(TemplateError, match=r"^p: is inserted .* inside '\.\.\.'"):
        send({"a": "it's", "p": costly}, command)
    with pytest.raises(TemplateError, match=r"^p: is inserted .* inside '\.\.\.'"):
        send({"a": "{{ 'it' ~ \"'\" }}", "p": QUOTED}, command)


@pytest.mark.parametrize("cmd", ["{{ p }}" + "x" * 60_000, "{{ " + "(" * 5_000])
def test_a_command_that_is_too_long_or_deep_is_still_checked(cmd):
    command = Command("local-shell-cmd", command_defaults({"cmd": cmd, "p": None}))

    assert len(str(command.defaults)) < 1_000
    if command.includes("p"):
        assert "in or after" in error_of({"p": QUOTED}, command)
