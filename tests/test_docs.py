"""The documentation matches the code: settings, commands, endpoints, links and examples."""

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import URLPattern, URLResolver, get_resolver

from remediation import local_actions, templating
from remediation.engine.outcomes.outcome import OUTCOMES
from remediation.local_actions import LocalAction
from remediation.models import Scope
from remediation.stackstorm import KNOWN_STATUSES
from tests import servers
from tests.paths import ROOT

README = ROOT / "README.md"
DOCUMENTS = sorted(
    [
        README,
        ROOT / "CHANGELOG.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "stackstorm_pack").rglob("*.md"),
    ]
)
CONTRACTS = ROOT / "tests" / "contracts"
OUR_APPS = ("poundcake", "remediation", "audit")
# Settings that settings.py does not read by a literal name.
OTHER_SETTINGS = {"CONFIG_KEY", "POUNDCAKE_ENV_FILE"}
# README texts for defaults that the code computes.
COMPUTED = {
    "SECRET_KEY": "made once, kept in var/secret_key",
    "DATABASE_URL": "SQLite, var/poundcake.sqlite3",
    "LAUNCH_PROCESSES": "2, or 1 on one processor",
}

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def blocks(document: Path, language: str) -> list[str]:
    """Return the fenced code blocks in a language, dedented; blocks in lists are included."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(pattern, document.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def table(document: Path, first_column: str, *, after: str = "") -> list[list[str]]:
    """Return the rows of the table whose first column has this heading.

    ``after``: skip the text before this string.
    """
    text = document.read_text()
    lines = text[text.index(after) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        rows.append([cell.strip().replace("\\|", "|") for cell in cells])
    return rows


def prose(document: Path) -> str:
    """Return the document without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)


# Settings


def setting_calls() -> dict[str, ast.Call]:
    """Return the calls in poundcake/settings.py that read a setting, by setting name."""
    tree = ast.parse((ROOT / "poundcake" / "settings.py").read_text())
    return {
        ast.literal_eval(node.args[0]): node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and re.match(r"env\.|env_", ast.unparse(node.func))
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def default_in_code(call: ast.Call) -> str:
    """Return the default of a setting in the format of README."""
    defaults = [*call.args[1:], *(one.value for one in call.keywords if one.arg == "default")]
    value = ast.literal_eval(defaults[0]) if defaults else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def documented_settings() -> dict[str, list[str]]:
    return {row[0].strip("`"): row[1:] for row in table(README, "setting")}


def test_readme_lists_exactly_the_existing_settings():
    assert documented_settings().keys() == setting_calls().keys() | OTHER_SETTINGS


@pytest.mark.parametrize("name", sorted(setting_calls()))
def test_readme_states_the_default_of_each_setting(name):
    default, form, meaning = documented_settings()[name]

    assert default.replace("`", "") == (
        COMPUTED.get(name) or default_in_code(setting_calls()[name])
    )
    assert (form == "secret") == (ast.unparse(setting_calls()[name].func) == "env_secret")
    assert meaning


@each_document
def test_settings_named_in_a_document_exist(document):
    named = set(re.findall(r"\b(?:ST2|LAUNCH|POLL|RESOLVE)_[A-Z0-9_]+\b", document.read_text()))

    assert {name.removesuffix("_FILE") for name in named} <= setting_calls().keys() | {
        "ST2_EXECUTION_ID"
    }


# Commands


def test_every_management_command_is_documented():
    text = (ROOT / "docs" / "operations.md").read_text()
    commands = {name for name, app in get_commands().items() if app in OUR_APPS}

    assert commands
    assert {name for name in commands if f"| `{name}" not in text} == set()


@each_document
def test_commands_named_in_a_document_exist(document):
    text = document.read_text()
    named = set(re.findall(r"\bmanage\.py ([a-z][a-z0-9_]*)", text))
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))

    assert named <= get_commands().keys()
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


# Endpoints


def endpoints() -> set[tuple[str, str]]:
    """Return the methods and paths of all endpoints below /api/v1/."""
    found = set()
    for path, pattern in walk_url_patterns(get_resolver().url_patterns, ""):
        if not path.startswith("/api/v1/"):
            continue
        view: Any = pattern.callback
        actions = getattr(view, "actions", None)
        methods = actions or [m for m in ("get", "post", "delete") if hasattr(view.view_class, m)]
        # A viewset adds HEAD on its first request.
        found |= {(method.upper(), path) for method in methods if method != "head"}
    return found


def walk_url_patterns(
    patterns: list[URLPattern | URLResolver], prefix: str
) -> Iterator[tuple[str, URLPattern]]:
    """Yield every URL pattern with its path in the notation of the documents."""
    for pattern in patterns:
        part = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", str(pattern.pattern))
        part = re.sub(r"\^|/\?\$$|/?(\$|\\Z)$", lambda end: "" if end[0] == "^" else "/", part)
        if isinstance(pattern, URLResolver):
            yield from walk_url_patterns(pattern.url_patterns, prefix + part)
        else:
            yield "/" + (prefix + part).replace("{pk}", "{id}"), pattern


def test_api_document_lists_exactly_the_existing_endpoints_and_methods():
    documented = set()
    for row in table(ROOT / "docs" / "api.md", "endpoint"):
        methods, _, path = row[0].strip("`").rpartition(" ")
        documented |= {(method, path) for method in methods.split(", ")}

    assert documented == endpoints()


# Scopes, local actions and statuses


def code_spans(cell: str) -> list[str]:
    """Return the text of the code spans in a cell."""
    return re.findall(r"`([^`]*)`", cell)


def test_every_scope_is_documented():
    assert [
        code_spans(row[0])[0] for row in table(ROOT / "docs" / "api.md", "scope")
    ] == Scope.values


def test_every_local_action_is_documented_with_its_parameters():
    documented = {
        code_spans(row[0])[0]: set(code_spans(row[1]))
        for row in table(ROOT / "docs" / "concepts.md", "action", after="### Local actions")
    }

    assert documented == {
        name: set(local_actions.get(name).parameters) for name in local_actions.names()
    }


def test_every_stackstorm_status_is_documented_with_ours():
    rows = table(ROOT / "docs" / "concepts.md", "StackStorm's status")
    documented = {status: code_spans(row[2])[0] for row in rows for status in code_spans(row[0])}

    assert documented == {status: str(OUTCOMES.get(status, "running")) for status in KNOWN_STATUSES}


# Links


def anchors(document: Path) -> set[str]:
    """Return the anchors of the headings as GitHub generates them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in headings}


@each_document
def test_links_lead_to_existing_files_and_headings(document):
    links = re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", prose(document))

    for path, anchor in links:
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@each_document
def test_files_named_in_a_document_exist(document):
    named = re.findall(
        r"`((?:poundcake|remediation|audit|tests|scripts|docs)/[\w./-]*)`", prose(document)
    )
    example_files = {"remediation/local_actions/dns_lookup.py"}

    assert {path for path in named if not (ROOT / path).exists()} <= example_files


# Examples


@each_document
def test_json_and_yaml_examples_are_valid(document):
    for text in blocks(document, "json"):
        json.loads(text)
    for text in blocks(document, "yaml"):
        assert yaml.safe_load(text)


def curl_bodies(document: Path) -> list[object]:
    """Return the request bodies of the curl commands in a document."""
    commands = (command for text in blocks(document, "sh") for command in text.split("\n\n"))
    command_lines = [
        shlex.split(command, comments=True) for command in commands if " -d '" in command
    ]
    return [json.loads(line[line.index("-d") + 1]) for line in command_lines]


@each_document
def test_curl_commands_send_json_objects(document):
    for body in curl_bodies(document):
        assert isinstance(body, dict)


def test_readme_sends_the_alert_of_the_seed():
    seed = (CONTRACTS / "seed.md").read_text()
    [body] = re.findall(r"curl -X POST /api/v1/webhook -d '(.*?)'", seed, re.DOTALL)

    assert curl_bodies(README)[0] == json.loads(body)
    assert "Content-Type" not in blocks(README, "sh")[1]


def test_readme_contains_the_alertmanager_configuration_file():
    configuration = yaml.safe_load((ROOT / "docs" / "alertmanager.yml").read_text())
    [webhook] = configuration["receivers"][0]["webhook_configs"]

    assert configuration in [yaml.safe_load(text) for text in blocks(README, "yaml")]
    assert (webhook["send_resolved"], webhook["max_alerts"]) == (True, 0)
    assert ("POST", webhook["url"].partition("example.com")[2] + "/") in endpoints()


@contextmanager
def amtool() -> Iterator[Path]:
    """Find amtool, the command-line tool of Alertmanager."""
    yield servers.find_program("amtool", package="prometheus-alertmanager")


def test_amtool_accepts_the_alertmanager_configuration():
    with servers.skip_if_missing(amtool()) as program:
        process = subprocess.run(
            [program, "check-config", ROOT / "docs" / "alertmanager.yml"],
            capture_output=True,
            text=True,
            check=False,
        )

    assert process.returncode == 0, process.stdout + process.stderr


VARIABLES = {
    "alert": {
        "instance": "web-01:9100",
        "labels": {"service": "nginx", "pool": "web-01,web-02"},
        "annotations": {},
    }
}
TEMPLATES = ROOT / "docs" / "templates.md"


def parameters_sent(parameters: str) -> dict[str, object]:
    """Check a step's parameters as on saving; return the parameters sent to StackStorm."""
    source = json.loads(parameters)
    for error in templating.check(source):
        raise error
    rendered = templating.render_step_parameters(source, VARIABLES)
    variables = VARIABLES | {"parameters": rendered}
    return templating.render_for_stackstorm({}, variables, rendered_twice=False)


@pytest.mark.parametrize(
    ("parameters", "error"), table(TEMPLATES, "parameters", after="Error messages")
)
def test_an_invalid_template_raises_the_documented_error(parameters, error):
    with pytest.raises(templating.TemplateError) as raised:
        parameters_sent(parameters.strip("`"))

    assert str(raised.value) == error.strip("`")


@pytest.mark.parametrize(
    ("parameters", "result"), table(TEMPLATES, "parameters", after="Valid examples")
)
def test_a_valid_template_sends_the_documented_parameters(parameters, result):
    assert parameters_sent(parameters.strip("`")) == json.loads(result.strip("`"))


@pytest.mark.parametrize(("instance", "host"), table(TEMPLATES, "instance"))
def test_the_host_filter_returns_the_documented_host(instance, host):
    variables = {"alert": {"instance": instance.strip("`")}}

    rendered = templating.render_step_parameters({"host": "{{ alert.instance | host }}"}, variables)

    assert rendered["host"] == host.strip("`")


def test_the_documented_local_action_works():
    [source] = blocks(ROOT / "CONTRIBUTING.md", "python")
    module: dict[str, object] = {}

    exec(compile(source, "dns_lookup.py", "exec"), module)  # noqa: S102 - our own document

    action = module["action"]
    assert isinstance(action, LocalAction)
    result: Any = action.run({"host": "localhost"}, deadline_seconds=5)
    assert "127.0.0.1" in result["addresses"]


# Decisions


def test_every_pinned_dependency_is_documented():
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    documented = [
        row[0] for row in table(ROOT / "docs" / "adr" / "0006-dependencies.md", "package")
    ]

    assert sorted(documented) == sorted(pinned)


@pytest.mark.parametrize("record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=str)
def test_a_decision_record_is_short_and_complete(record):
    text = record.read_text()

    assert len(text.splitlines()) <= 60
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Rejected",
        "Consequence",
    ]
    assert text.startswith(f"# {record.name[:4]}: ")
