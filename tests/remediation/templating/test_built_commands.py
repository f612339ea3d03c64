"""Commands that actions build from their parameters: what may stand in them, and where."""

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
    defaults_of,
    render_for_stackstorm,
    render_step_parameters,
    tainted,
)
from tests.paths import CONTRACTS
from tests.remediation.templating.test_command import TEXTS
from tests.remediation.templating.variables import make_variables

STACKSTORM_CONTRACTS = CONTRACTS / "stackstorm"
QUOTED = "{{ alert.labels.t | quote }}"
# As StackStorm renders a default over the values that it was sent.
STACKSTORM = Environment(trim_blocks=True, lstrip_blocks=True)  # noqa: S701


@cache
def recorded(name: str) -> Command:
    """Return the command of a recorded action."""
    body = json.loads((STACKSTORM_CONTRACTS / f"{name}.json").read_text())["response"]["body"]
    defaults = {key: schema.get("default") for key, schema in body["parameters"].items()}
    return Command(body["runner_type"], defaults_of(defaults))


def built(cmd: str, runner: str = "local-shell-cmd", **defaults: object) -> Command:
    return Command(runner, defaults_of({"cmd": cmd, **defaults}))


def send(parameters: dict[str, object], command: Command, **labels: str) -> dict[str, object]:
    """Return what an action without a mapping is sent."""
    variables = make_variables(labels or {"t": "x"})
    step = render_step_parameters(parameters, variables, command=command)
    return render_for_stackstorm(
        {}, variables | {"parameters": step}, rendered_again=False, command=command
    )


def refused(parameters: dict[str, object], command: Command) -> str:
    """Return why parameters are refused, on save as at launch."""
    with pytest.raises(TemplateError) as at_launch:
        send(parameters, command)
    assert str(at_launch.value) in [str(error) for error in check(parameters, command=command)]
    return str(at_launch.value)


@pytest.mark.parametrize(
    ("recording", "parameters", "place"),
    [
        ("shell-built-overview-core-echo", {"message": "{{ alert.labels.t }}"}, 'inside "..."'),
        ("shell-built-overview-core-echo", {"message": f"a {QUOTED}"}, 'inside "..."'),
        ("shell-built-overview-core-echo", {"message": "{{ steps.check.status }}"}, 'side "..."'),
        ("shell-built-overview-clienttest-shell-built", {"path": "x", "label": QUOTED}, "'...'"),
    ],
)
def test_data_inside_the_quotes_of_a_recorded_command_is_refused(recording, parameters, place):
    command = recorded(recording)

    message = refused(parameters, command)

    name = [*parameters][-1]
    assert message.startswith(f"{name}: becomes part of the command ")
    assert place in message
    assert command.shown(name) in message
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
def test_an_unquoted_word_of_a_recorded_command_takes_quoted_data_alone(recording, name):
    command = recorded(recording)

    message = refused({name: "{{ alert.labels.t }}"}, command)

    assert message.startswith(f"{name}: alert.labels.t must end in | quote")
    assert send({name: QUOTED}, command, t="a; id")[name] == "'a; id'"
    assert send({name: "a literal; of the operator"}, command)


@pytest.mark.parametrize("name", ["recursive", "force", "verbose", "hosts"])
def test_what_a_command_only_asks_for_is_no_part_of_it(name):
    assert not recorded("shell-built-overview-linux-rm").takes(name)


@given(text=TEXTS)
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_out_of_a_built_command(text):
    command = built("printf '%s\\0' {{ target }}", runner="remote-shell-cmd")

    sent = send({"target": QUOTED}, command, t=text)
    # The escape for StackStorm's own Jinja comes off first.
    target = STACKSTORM.from_string(str(sent["target"])).render()
    line = STACKSTORM.from_string(str(command.defaults["cmd"])).render(target=target)

    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=30)
    assert done.stdout.decode().split("\0")[:-1] == [text.replace("\r\n", "\n").replace("\r", "\n")]


@pytest.mark.parametrize(
    ("cmd", "place"),
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
def test_data_is_refused_where_no_quotes_hold(cmd, place):
    command = built(cmd, a='"{{ p }}"', b="{{ b }}{{ p }}", p=None)

    assert place in refused({"p": QUOTED}, command)


def test_quotes_that_another_parameter_opens_are_seen():
    command = built("echo {{ a }} {{ p }}", a="-v")

    assert send({"a": "-n", "p": QUOTED}, command)
    with pytest.raises(TemplateError, match=r"^p: becomes part .* inside '...'"):
        send({"a": "it's", "p": QUOTED}, command)


def test_a_parameter_that_is_not_sent_has_its_default():
    command = built("echo {{ a }}{{ p }}", a="'")

    with pytest.raises(TemplateError, match=r"inside '\.\.\.'"):
        send({"p": QUOTED}, command)
    with pytest.raises(TemplateError, match=r"inside '\.\.\.'"):
        send({"a": None, "p": QUOTED}, command)


def test_data_in_a_list_for_a_command_is_refused():
    message = refused({"p": [QUOTED]}, built("rm {{ p }}"))

    assert message == "p[0]: has to be one text: it becomes part of the command rm {{ p }}"


def test_data_passes_through_a_mapping_quoted_there():
    command = built("rm {{ target }}")
    parameters = {"file": "{{ alert.labels.t }}"}
    variables = make_variables({"t": "a; id"})
    step = render_step_parameters(parameters, variables)

    def sent(mapping: str) -> object:
        return render_for_stackstorm(
            {"target": mapping},
            variables | {"parameters": step},
            rendered_again=False,
            command=command,
        )

    assert sent("/srv/{{ parameters.file | quote }}") == {"target": "/srv/'a; id'"}
    with pytest.raises(TemplateError, match=r"parameters.file must end in \| quote: it becomes"):
        sent("/srv/{{ parameters.file }}")
    assert check({"target": "{{ parameters.file }}"}, tainted=tainted(parameters), command=command)


@pytest.mark.parametrize("runner", ["local-shell-script", "remote-shell-script"])
def test_arguments_of_scripts_are_quoted_by_stackstorm_and_their_operator_is_not(runner):
    command = Command(runner)

    assert send({"service": "{{ alert.labels.t }}"}, command, t="a; id") == {"service": "a; id"}
    assert "must end in | quote" in refused({"kwarg_op": "{{ alert.labels.t }}"}, command)


@pytest.mark.parametrize("runner", ["winrm-cmd", "winrm-ps-cmd"])
def test_windows_takes_no_data_in_a_built_command(runner):
    command = built("dir {{ p }}", runner=runner)

    assert "Windows" in refused({"p": QUOTED}, command)
    assert send({"p": "C:\\", "host": "{{ alert.labels.t }}"}, command)


def test_a_powershell_script_takes_no_data_as_an_argument():
    # PowerShell takes a typographic quote for the end of a text in double quotes.
    command = Command("winrm-ps-script")

    assert "Windows" in refused({"name": "{{ alert.labels.t }}"}, command)
    assert send({"name": "spooler", "host": "{{ alert.labels.t }}"}, command)


@pytest.mark.parametrize("runner", ["python-script", "http-request", "orquesta", ""])
def test_other_runners_have_no_command_but_cmd(runner):
    command = Command(runner, {})

    assert send({"message": "{{ alert.labels.t }}"}, command, t="a; id")
    assert "must end in | quote" in refused({"cmd": "{{ alert.labels.t }}"}, command)


def test_only_the_defaults_that_a_command_needs_are_kept():
    defaults = {"cmd": "rm {{ a }} {{ p }}", "a": "-v {{ b }}", "b": {"x": 1}, "c": "unused"}

    assert defaults_of(defaults) == {
        "cmd": "rm {{ a }} {{ p }}",
        "a": "-v {{ b }}",
        "b": "{'x': 1}",
    }
    assert defaults_of({"cmd": None, "a": "x"}) == defaults_of({"cmd": "ls"}) == {}


def test_templates_that_multiply_each_other_end_soon():
    names = [f"p{number}" for number in range(40)]
    texts = {name: f"{{{{ {after} }}}}" * 9 for name, after in itertools.pairwise(names)}
    command = built("{{ p0 }} {{ q }}", **texts)

    assert "in or after" in refused({"q": QUOTED}, command)


@given(
    cmd=st.text("{}%#'\"$`\\ pq()|", max_size=30),
    before=st.sampled_from(["", "'", '"', "a"]),
)
def test_any_text_can_be_a_command(cmd, before):
    command = built(cmd + " {{ p }}")
    with contextlib.suppress(TemplateError):
        send({"q": before, "p": QUOTED}, command)


def test_what_is_rendered_in_a_process_of_its_own_is_held_to_the_same_rules():
    costly = "{{ alert.labels.t | replace('b', 'c') | quote }}"
    command = built("echo {{ a }} {{ p }}", a="-v")

    assert send({"p": costly}, command, t="a; b") == {"p": "'a; c'"}
    with pytest.raises(TemplateError, match=r"^p: becomes part .* inside '\.\.\.'"):
        send({"a": "it's", "p": costly}, command)
    with pytest.raises(TemplateError, match=r"^p: becomes part .* inside '\.\.\.'"):
        send({"a": "{{ 'it' ~ \"'\" }}", "p": QUOTED}, command)


@pytest.mark.parametrize("cmd", ["{{ p }}" + "x" * 60_000, "{{ " + "(" * 5_000])
def test_a_command_that_is_too_long_or_deep_is_no_way_out(cmd):
    command = Command("local-shell-cmd", defaults_of({"cmd": cmd, "p": None}))

    assert len(str(command.defaults)) < 1_000
    if command.takes("p"):
        assert "in or after" in refused({"p": QUOTED}, command)
