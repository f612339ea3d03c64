"""What the documents say is so: settings, commands, endpoints, links and examples."""

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
OURS = ("poundcake", "remediation", "audit")
# Read in another way than by a constant name.
OTHER_SETTINGS = {"CONFIG_KEY"}
# Defaults that the code computes, as README words them.
COMPUTED = {
    "SECRET_KEY": "made once, kept in var/secret_key",
    "DATABASE_URL": "SQLite, var/poundcake.sqlite3",
}

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def blocks(document: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, those inside of lists too, their indent taken off."""
    pattern = rf"^( *)```{language}\n(.*?)^\1```$"
    found = re.findall(pattern, document.read_text(), re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def table(document: Path, first_column: str, *, after: str = "") -> list[list[str]]:
    """Return the cells of the table whose first column has this heading, without their marks."""
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
    """Return the document without its blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)


# Settings


def settings_read() -> dict[str, ast.Call]:
    """Return the calls of poundcake/settings.py that read a setting, by its name."""
    tree = ast.parse((ROOT / "poundcake" / "settings.py").read_text())
    return {
        node.args[0].value: node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and re.match(r"env\.|env_", ast.unparse(node.func))
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def default_in_code(call: ast.Call) -> str:
    """Return the default of a setting as README words it."""
    given = [*call.args[1:], *(word.value for word in call.keywords if word.arg == "default")]
    value = ast.literal_eval(given[0]) if given else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_told() -> dict[str, list[str]]:
    return {row[0].strip("`"): row[1:] for row in table(README, "setting")}


def test_readme_has_every_setting_and_no_other():
    assert settings_told().keys() == settings_read().keys() | OTHER_SETTINGS


@pytest.mark.parametrize("name", sorted(settings_read()))
def test_readme_tells_the_default_of_a_setting(name):
    default, form, meaning = settings_told()[name]

    assert default.replace("`", "") == COMPUTED.get(name, default_in_code(settings_read()[name]))
    assert (form == "secret") == (ast.unparse(settings_read()[name].func) == "env_secret")
    assert meaning


@each_document
def test_a_setting_that_a_document_names_exists(document):
    named = set(re.findall(r"\b(?:ST2|LAUNCH|POLL|RESOLVE)_[A-Z0-9_]+\b", document.read_text()))

    assert {name.removesuffix("_FILE") for name in named} <= settings_read().keys() | {
        "ST2_EXECUTION_ID"
    }


# Commands


def test_every_command_of_ours_is_documented():
    text = (ROOT / "docs" / "operations.md").read_text()
    ours = {name for name, app in get_commands().items() if app in OURS}

    assert ours
    assert {name for name in ours if f"| `{name}" not in text} == set()


@each_document
def test_a_command_that_a_document_names_exists(document):
    text = document.read_text()
    named = set(re.findall(r"\bmanage\.py ([a-z][a-z0-9_]*)", text))
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE))

    assert named <= get_commands().keys()
    assert targets <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


# Addresses


def endpoints() -> set[tuple[str, str]]:
    """Return method and path of everything below /api/v1/."""
    found = set()
    for path, pattern in walk(get_resolver().url_patterns, ""):
        if not path.startswith("/api/v1/"):
            continue
        view = pattern.callback
        actions = getattr(view, "actions", None)
        methods = actions or [m for m in ("get", "post", "delete") if hasattr(view.view_class, m)]
        # A view that has been called knows HEAD too.
        found |= {(method.upper(), path) for method in methods if method != "head"}
    return found


def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, URLPattern]]:
    """Yield every pattern with its path, as the documents write it."""
    for pattern in patterns:
        piece = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", str(pattern.pattern))
        piece = re.sub(r"\^|/\?\$$|/?(\$|\\Z)$", lambda end: "" if end[0] == "^" else "/", piece)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, prefix + piece)
        else:
            yield "/" + (prefix + piece).replace("{pk}", "{id}"), pattern


def test_api_document_has_every_endpoint_with_its_methods_and_no_other():
    told = set()
    for row in table(ROOT / "docs" / "api.md", "endpoint"):
        methods, _, path = row[0].strip("`").rpartition(" ")
        told |= {(method, path) for method in methods.split(", ")}

    assert told == endpoints()


# Words


def code(cell: str) -> list[str]:
    """Return what a cell shows as code."""
    return re.findall(r"`([^`]*)`", cell)


def test_the_scopes_are_documented():
    assert [code(row[0])[0] for row in table(ROOT / "docs" / "api.md", "scope")] == Scope.values


def test_the_local_actions_are_documented_with_their_parameters():
    told = {
        code(row[0])[0]: set(code(row[1]))
        for row in table(ROOT / "docs" / "concepts.md", "action", after="### Local actions")
    }

    assert told == {name: set(local_actions.get(name).parameters) for name in local_actions.names()}


def test_the_statuses_of_stackstorm_are_documented_with_ours():
    rows = table(ROOT / "docs" / "concepts.md", "StackStorm's status")
    told = {word: code(row[2])[0] for row in rows for word in code(row[0])}

    assert told == {word: str(OUTCOMES.get(word, "running")) for word in KNOWN_STATUSES}


# Links


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in headings}


@each_document
def test_a_link_leads_somewhere(document):
    links = re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", prose(document))

    for path, anchor in links:
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@each_document
def test_a_file_that_a_document_names_exists(document):
    named = re.findall(
        r"`((?:poundcake|remediation|audit|tests|scripts|docs)/[\w./-]*)`", prose(document)
    )
    to_be_written = {"remediation/local_actions/dns_lookup.py"}

    assert {path for path in named if not (ROOT / path).exists()} <= to_be_written


# Examples


@each_document
def test_json_and_yaml_examples_can_be_read(document):
    for text in blocks(document, "json"):
        json.loads(text)
    for text in blocks(document, "yaml"):
        assert yaml.safe_load(text)


def posted(document: Path) -> list[object]:
    """Return the bodies that a document's curl lines send."""
    commands = (command for text in blocks(document, "sh") for command in text.split("\n\n"))
    words = [shlex.split(command, comments=True) for command in commands if " -d '" in command]
    return [json.loads(line[line.index("-d") + 1]) for line in words]


@each_document
def test_what_curl_sends_is_json(document):
    for body in posted(document):
        assert isinstance(body, dict)


def test_readme_sends_the_alert_of_the_seed():
    seed = (CONTRACTS / "seed.md").read_text()
    [sent] = re.findall(r"curl -X POST /api/v1/webhook -d '(.*?)'", seed, re.DOTALL)

    assert posted(README)[0] == json.loads(sent)
    assert "Content-Type" not in blocks(README, "sh")[1]


def test_readme_configures_alertmanager_as_the_file_does():
    configuration = yaml.safe_load((ROOT / "docs" / "alertmanager.yml").read_text())
    [webhook] = configuration["receivers"][0]["webhook_configs"]

    assert configuration in [yaml.safe_load(text) for text in blocks(README, "yaml")]
    assert (webhook["send_resolved"], webhook["max_alerts"]) == (True, 0)
    assert ("POST", webhook["url"].partition("example.com")[2] + "/") in endpoints()


@contextmanager
def amtool() -> Iterator[Path]:
    """Find Alertmanager's tool."""
    yield servers.find_program("amtool", package="prometheus-alertmanager")


def test_alertmanager_takes_the_configuration():
    with servers.skip_if_missing(amtool()) as program:
        done = subprocess.run(
            [program, "check-config", ROOT / "docs" / "alertmanager.yml"],
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr


VARIABLES = {
    "alert": {
        "instance": "web-01:9100",
        "labels": {"service": "nginx", "pool": "web-01,web-02"},
        "annotations": {},
    }
}
TEMPLATES = ROOT / "docs" / "templates.md"


def sent(parameters: str) -> dict[str, object]:
    """Return what StackStorm gets of a step's parameters, after the checks of saving them."""
    source = json.loads(parameters)
    for error in templating.check(source):
        raise error
    rendered = templating.render_step_parameters(source, VARIABLES)
    variables = VARIABLES | {"parameters": rendered}
    return templating.render_for_stackstorm({}, variables, rendered_twice=False)


@pytest.mark.parametrize(
    ("parameters", "error"), table(TEMPLATES, "parameters", after="Error messages")
)
def test_a_wrong_template_is_refused_with_the_documented_words(parameters, error):
    with pytest.raises(templating.TemplateError) as raised:
        sent(parameters.strip("`"))

    assert str(raised.value) == error.strip("`")


@pytest.mark.parametrize(
    ("parameters", "result"), table(TEMPLATES, "parameters", after="Valid examples")
)
def test_a_right_template_sends_what_is_documented(parameters, result):
    assert sent(parameters.strip("`")) == json.loads(result.strip("`"))


@pytest.mark.parametrize(("instance", "host"), table(TEMPLATES, "instance"))
def test_the_host_of_an_instance_is_as_documented(instance, host):
    variables = {"alert": {"instance": instance.strip("`")}}

    rendered = templating.render_step_parameters({"host": "{{ alert.instance | host }}"}, variables)

    assert rendered["host"] == host.strip("`")


def test_the_documented_local_action_works():
    [source] = blocks(ROOT / "CONTRIBUTING.md", "python")
    module: dict[str, object] = {}

    exec(compile(source, "dns_lookup.py", "exec"), module)  # noqa: S102 - it is our own document

    action = module["action"]
    assert isinstance(action, LocalAction)
    result = action.run({"host": "localhost"}, deadline_seconds=5)
    assert "127.0.0.1" in result["addresses"]


# Decisions


def test_every_dependency_has_a_line():
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    told = [row[0] for row in table(ROOT / "docs" / "adr" / "0006-dependencies.md", "package")]

    assert sorted(told) == sorted(pinned)


@pytest.mark.parametrize("record", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=str)
def test_a_decision_is_short_and_whole(record):
    text = record.read_text()

    assert len(text.splitlines()) <= 60
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Rejected",
        "Consequence",
    ]
    assert text.startswith(f"# {record.name[:4]}: ")
