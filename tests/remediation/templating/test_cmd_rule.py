"""The `cmd` rule: alert data must reach a shell as quoted arguments, or the command is refused."""

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediation.templating import (
    TemplateError,
    check,
    render_for_local,
    render_for_stackstorm,
    render_step_parameters,
)
from tests.remediation.templating.variables import make_variables

pytestmark = pytest.mark.slow

SHELLS = ("sh", "bash")

# Any text that a shell accepts, with many characters that are special to shells.
TEXTS = st.lists(
    st.sampled_from([*"'\"\\$`#;&|<>(){}[]*?!~=- \t\n\r0129ax", "$(", "'\"'", "\n#", "\\'"])
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3),
    max_size=12,
).map("".join)

# Command, and the arguments of printf if the label t holds T and u holds U.
SAFE = [
    ("printf '%s\\0' {{ alert.labels.t | quote }}", ["T"]),
    ("printf '%s\\0' a {{alert.labels.t|quote}} 'b c'", ["a", "T", "b c"]),
    ("printf '%s\\0' a{{ alert.labels.t | quote }}b", ["aTb"]),
    ("printf '%s\\0' {{ alert.labels.t | quote }}{{ alert.labels.u | quote }}", ["TU"]),
    ("printf '%s\\0' \"a b\"{{ alert.labels.t | quote }}'c d'", ["a bTc d"]),
    ("V=1; printf '%s\\0' $V{{ alert.labels.t | quote }}", ["1T"]),
    ("printf '%s\\0' ~{{ alert.labels.t | quote }}", ["~T"]),
    ("printf '%s\\0' a\\ {{ alert.labels.t | quote }}", ["a T"]),
    ("printf '%s\\0' \"$(echo one)\" {{ alert.labels.t | quote }} # it's", ["one", "T"]),
    ("# don't\nprintf '%s\\0' {{ alert.labels.t | quote }}", ["T"]),
    ("printf '%s\\0' ${W:-x} `echo y` {{ alert.labels.t | quote }}", ["x", "y", "T"]),
    ("printf '%s\\0' $((1 << 2)) {{ alert.labels.t | quote }}", ["4", "T"]),
    ("printf '%s\\0' x{{ alert.labels.t | quote }}>&1", ["xT"]),
    ("printf '%s\\0' {{ alert.labels.t | quote }}>&1", ["T"]),
    ("V={{ alert.labels.t | quote }}; printf '%s\\0' \"$V\"", ["T"]),
    ("printf '%s\\0' {% if alert.labels.t %}{{ alert.labels.t | quote }}{% else %}''{% endif %}",
     ["T"]),
    ("printf '%s\\0' {{ alert.labels.t | quote if true else 'x' }} {{ config.FLAG }}", ["T", "-x"]),
    ("printf '%s\\0' {{ [alert.labels.t, 'x'] | join(' ') | quote }}", ["T x"]),
]  # fmt: skip


def arguments_of(shell: str, command: str) -> list[str]:
    done = subprocess.run([shell, "-c", command], capture_output=True, check=True, timeout=30)
    return done.stdout.decode().split("\0")[:-1]


@given(t=TEXTS, u=TEXTS)
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_out_of_a_quoted_argument(t: str, u: str) -> None:
    variables = make_variables({"t": t, "u": u})
    commands = [render_for_local({"cmd": text}, variables)["cmd"] for text, _arguments in SAFE]
    given = str.maketrans({"T": t, "U": u})

    for shell in SHELLS:
        arguments = arguments_of(shell, "\n".join(map(str, commands)))

        assert arguments == [
            argument.translate(given) for _text, expected in SAFE for argument in expected
        ]


# Each breaks out of some context. The injected command prints a marker that no text contains.
ATTACK = "echo LO${Z}OSE"
BREAKOUTS = [
    text.replace("!", ATTACK)
    for text in (
        *("';!;'", '";!;"', "\n!\n", "$(! >&2)", "`! >&2`", ";!;", "\\';!;#", "'\\'';!;'"),
        *(")\n!\n(", "}\n!\n{", "\nE\n!\n", "a[$(! >&2)]", "x;!", "|!", "&!&", "#\n!\n", "\\\n!"),
    )
]
# PATH is empty, so only the shell's builtins can run, and these do no harm.
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *("'", '"', "\\", "$", "`", "#", " ", "\n", ";", "a", "1", "=", "|", "&", "{", "}"),
            *("$(", ")", "(", "((", "))", "${", "${X:-", "$((", "<<E\n", "\nE\n", "<<<", "<("),
            *("[[", "]]", "[", "]", "a[", "a=(", "$[", "$'", '$"', "$X", "$#", "${#", "\\\n"),
            *("case a in a)", ";; esac"),
            *("{{ alert.labels.t | quote }}", "{{ config.QUOTE }}", "{% if true %} #{% endif %}"),
        ]
    ),
    max_size=7,
).map("".join)  # fmt: skip


@given(
    before=FRAGMENTS,
    after=FRAGMENTS,
    text=st.sampled_from(BREAKOUTS),
    quote=st.sampled_from("'\"`$# "),
)
@settings(max_examples=250, deadline=None)
def test_a_command_is_safe_or_refused_for_any_surrounding_text(
    before: str, after: str, text: str, quote: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    variables = make_variables({"t": text}, config={"QUOTE": quote})
    try:
        sent = render_for_local({"cmd": before + "{{ alert.labels.t | quote }}" + after}, variables)
    except TemplateError:
        return

    for shell in SHELLS:
        done = subprocess.run(
            [f"/bin/{shell}", "-c", str(sent["cmd"])],
            cwd=tmp_path_factory.mktemp("empty"),
            env={"PATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )

        assert b"LOOSE" not in done.stdout + done.stderr, (shell, sent["cmd"])


@pytest.mark.parametrize(
    ("template", "position"),
    [
        ("echo '{{ alert.labels.t | quote }}'", "inside '...'"),
        ('echo "{{ alert.labels.t | quote }}"', 'inside "..."'),
        ('echo "a\\" {{ alert.labels.t | quote }}"', 'inside "..."'),
        ("echo 'it'\\''s {{ alert.labels.t | quote }}'", "inside '...'"),
        ("echo a # {{ alert.labels.t | quote }}", "in a comment"),
        ("#{{ alert.labels.t | quote }}", "in a comment"),
        ("echo a \\\n# {{ alert.labels.t | quote }}", "in a comment"),
        ("echo \\{{ alert.labels.t | quote }}", "right after a backslash"),
        ("echo ${{ alert.labels.t | quote }}", "right after a $"),
        ("echo {{ '\"' }}{{ alert.labels.t | quote }}\"", 'inside "..."'),
        ("echo {{ config.QUOTE }}{{ alert.labels.t | quote }}'", "inside '...'"),
        ("{% if true %}'{% endif %}{{ alert.labels.t | quote }}'", "inside '...'"),
        *(
            (f"{opening}{{{{ alert.labels.t | quote }}}}", "in or after")
            for opening in (
                *("$(", "${V:-", "`", '"$(', '"${V:-', '"`', "$'", '$"', "<<E\n", "<(", ">(", "(("),
                *(
                    "[[ ",
                    "a[",
                    "a=(",
                    "a=([",
                    "$[",
                    '"$[',
                    "$((",
                    "echo $(a 'b') ",
                    'echo "$(a "b")" ',
                    "x=$(case a in a) '",
                ),
            )
        ),
    ],
)
def test_a_quoted_value_is_refused_where_quotes_have_no_effect(
    template: str, position: str
) -> None:
    variables = make_variables({"t": "nginx"}, config={"QUOTE": "'"})

    with pytest.raises(TemplateError) as caught:
        render_for_stackstorm({"cmd": template}, variables, rendered_twice=False)

    assert str(caught.value).startswith(f"cmd: a quoted value is {position}")
    assert str(caught.value).endswith(", where its quotes have no effect: move it")


UNQUOTED = [
    ("{{ alert.labels.t }}", "alert.labels.t"),
    ("echo {{ alert.instance | host }}", "alert.instance"),
    ("{{ steps.check.result.stdout }}", "steps.check.result.stdout"),
    ("{{ (alert.labels.t | quote) ~ '' }}", "alert.labels.t"),
    ("{{ alert.labels.t | quote | upper }}", "alert.labels.t"),
    ("{{ alert.labels.t | quote or '' }}", "alert.labels.t"),
    ("{{ [alert.labels.t | quote] | first }}", "alert.labels.t"),
    ("{{ alert.labels.t if true else alert.labels.u | quote }}", "alert.labels.t"),
    ("{{ alert.labels.t | quote if true else alert.labels.u }}", "alert.labels.u"),
    ("{{ 'x' if true else ('y' if true else alert.labels.u) }}", "alert.labels.u"),
    ("{{ alert['labels']['t'] }}", "alert.labels.t"),
    ("{{ alert.labels | tojson }}", "alert.labels"),
    ("{{ config.FLAG ~ alert.labels.t }}", "alert.labels.t"),
    ("{{ parameters.tainted }}", "parameters.tainted"),
    ("{{ parameters['tainted'] }}", "parameters.tainted"),
    ("{{ parameters['a.b'] }}", "parameters.a.b"),
    ("{{ parameters | tojson }}", "parameters"),
    ("{{ parameters[config.FLAG] }}", "parameters"),
    ("{{ parameters.nested.deep }}", "parameters.nested.deep"),
    ("sudo {{ parameters.cmd }}", "parameters.cmd"),
    ("{{ unknown }}", "unknown"),
]


@pytest.mark.parametrize(("template", "path"), UNQUOTED)
def test_unquoted_data_is_refused_on_save_and_at_launch(template: str, path: str) -> None:
    parameters: dict[str, object] = {
        "a": "literal",
        "a.b": "{{ alert.labels.team }}",
        "cmd": "echo {{ alert.labels.team | quote }}",
        "nested": {"deep": ["{% if true %}{{ steps.check.status }}{% endif %}"]},
        "tainted": "{% set t = alert.labels.team %}{{ t }}",
    }
    step = render_step_parameters(parameters, make_variables())

    on_save = check({"cmd": template}, tainted=step.from_data)
    with pytest.raises(TemplateError) as at_launch:
        render_for_stackstorm(
            {"cmd": template}, make_variables(parameters=parameters), rendered_twice=False
        )

    assert f"cmd: {path} must end in | quote" in map(str, on_save)
    assert str(at_launch.value) == f"cmd: {path} must end in | quote"


@pytest.mark.parametrize(
    "statement",
    [
        "{% for t in alert.labels %}{{ t | quote }}{% endfor %}",
        "{% set t = alert.labels.t %}{{ t | quote }}",
        "{% set config = alert.labels %}{{ config.t }}",
        "{% for config in [alert.labels] %}{{ config.t }}{% endfor %}",
        "{% set t %}{{ alert.labels.t }}{% endset %}{{ t }}",
        "{% macro m() %}{{ alert.labels.t }}{% endmacro %}{{ m() }}",
        "{% filter upper %}{{ alert.labels.t | quote }}{% endfilter %}",
        "{% call m() %}{% endcall %}",
        "{% with t = alert.labels.t %}{{ t }}{% endwith %}",
        "{% autoescape true %}{{ alert.labels.t | quote }}{% endautoescape %}",
        "{% block b %}{{ alert.labels.t | quote }}{% endblock %}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% from 'x' import x %}",
        "{% extends 'x' %}",
    ],
)
def test_a_command_allows_no_statement_but_if(statement: str) -> None:
    with pytest.raises(
        TemplateError, match=r"not for and set|only the statements|built-in variable"
    ):
        render_for_local({"cmd": statement}, make_variables({"t": "x"}))

    assert check({"cmd": statement})


@pytest.mark.parametrize(
    ("template", "command"),
    [
        ("systemctl restart nginx", "systemctl restart nginx"),
        ("systemctl restart {{ parameters.service }}", "systemctl restart nginx"),
        ("x {{ config.FLAG }} {{ bucket.name }} {{ run.number }}", "x -x host_down 1"),
        ("{{ parameters.tainted | quote }}", "'db'"),
        ("{{ parameters.cmd }}", "echo 'db'"),
        ("{{ 'page' if alert.severity == 'critical' else 'mail' }}", "page"),
        ("{% if alert.labels.team == 'db' %}a{% elif true %}b{% else %}c{% endif %}", "a"),
        ("x {{ st2kv.system.key }} {{ 7 | quote }}", "x {{ st2kv.system.key }} '7'"),
        (["{{ alert.labels.team | quote }}"], ["'db'"]),
    ],
)
def test_text_of_the_operator_needs_no_quotes(template: object, command: object) -> None:
    parameters: dict[str, object] = {
        "service": "nginx",
        "tainted": "{{ alert.labels.team }}",
        "cmd": "echo {{ alert.labels.team | quote }}",
    }
    variables = make_variables(parameters=parameters)

    sent = render_for_stackstorm({"cmd": template}, variables, rendered_twice=False)

    assert sent == {"cmd": command}
    assert check({"cmd": template}, tainted=["tainted", "cmd"]) == []


@pytest.mark.parametrize(
    "parameters",
    [{"cmd": "{{ alert.labels.team }}"}, {"options": [{"cmd": "{{ alert.labels.team }}"}]}],
)
def test_the_rule_applies_to_a_step_at_any_depth(
    parameters: dict[str, object],
) -> None:
    with pytest.raises(TemplateError, match=r"cmd: alert.labels.team must end in \| quote"):
        render_step_parameters(parameters, make_variables())

    assert check(parameters)


def test_a_command_of_parameters_without_provenance_is_refused() -> None:
    variables = make_variables() | {"parameters": {"cmd": "x"}}

    with pytest.raises(TemplateError, match=re.escape("parameters.cmd must end in | quote")):
        render_for_local({"cmd": "{{ parameters.cmd }}"}, variables)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\0b", "quote cannot quote a null byte: shell arguments cannot contain one"),
        (["a"], "quote accepts a string or a number, not a list"),
        (None, "quote accepts a string or a number, not none"),
        (True, "quote accepts a string or a number, not a boolean"),
    ],
)
def test_quote_names_the_type_that_it_cannot_quote(value: object, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render_for_local({"p": "{{ steps.x | quote }}"}, make_variables(steps={"x": value}))

    assert str(caught.value) == f"p: {message}"


@pytest.mark.parametrize(
    ("value", "argument"), [("", "''"), ("2", "'2'"), (2, "'2'"), ("<'>", "'<'\"'\"'>'")]
)
def test_quote_always_quotes(value: object, argument: str) -> None:
    rendered = render_for_local(
        {"p": "{{ steps.x | e | quote }}"}, make_variables(steps={"x": value})
    )

    assert rendered["p"] == argument.replace("<", "&lt;").replace(">", "&gt;").replace(
        "'\"'\"'", "&#39;"
    )
