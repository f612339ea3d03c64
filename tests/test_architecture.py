"""Rules for the code: layers, sizes, names, and the places that set a status."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from remediation import queue
from tests.paths import ROOT

PRODUCT = ("poundcake", "remediation", "audit")
ADR_MOVES = ROOT / "docs" / "adr" / "0004-compare-and-set-moves.md"
# Moves are in the models. The StackStorm client has statuses of HTTP and of StackStorm.
NO_STATUS_OF_OURS = {("remediation", "models"), ("remediation", "stackstorm")}
WRITERS = {
    *("update", "create", "get_or_create", "update_or_create"),
    *("Alert", "BucketRun", "ActionExecution"),
}
DRAWERS = {"utils", "helpers", "common", "misc", "base", "constants", "services"}
MODULES = [
    path
    for package in (*PRODUCT, "st2_sandbox", "tools", "tests")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
]


def test_the_layers_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_modules_are_small():
    too_long = {path: lines for path in MODULES if (lines := len(_text(path).splitlines())) > 400}

    assert too_long == {}


def test_modules_have_names_of_their_own():
    # Django loads a database backend from a module of this name.
    allowed = {ROOT / "poundcake" / backend / "base.py" for backend in ("mariadb", "sqlite")}

    assert [path for path in MODULES if path.stem in DRAWERS and path not in allowed] == []


def test_each_suppressed_check_has_its_reason():
    # mypy accepts a reason only as a comment of its own.
    suppressed = re.compile(r"# (?:noqa|type: ignore)")
    with_reason = re.compile(r"# (?:noqa: [A-Z0-9, ]*\d - |type: ignore\[[a-z, -]+\]  # )\S")
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in MODULES
        if path != Path(__file__)
        for number, line in enumerate(_text(path).splitlines(), 1)
        if suppressed.search(line) and not with_reason.search(line)
    ]

    assert bare == []


def test_only_models_and_listed_modules_set_a_status():
    found = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.relative_to(ROOT).parts[0] in PRODUCT
        and path.relative_to(ROOT).parts[:2] not in NO_STATUS_OF_OURS
        and any(_sets_status(node) for node in ast.walk(ast.parse(_text(path))))
    }
    listed = set(re.findall(r"^\| `([^`]+)` \|", _text(ADR_MOVES), re.MULTILINE))

    assert found == listed


@pytest.mark.parametrize(
    "source",
    [
        "row.status = 1",
        "row.status, row.reason = 1, 2",
        "(a, [row.status]) = x",
        "row.status += 1",
        "rows.update(status=1)",
        "rows.bulk_update(found, ['status'])",
        "BucketRun(status=1)",
        "Alert.objects.create(status=1)",
        "setattr(row, 'status', 1)",
    ],
)
def test_every_way_to_set_a_status_is_found(source):
    assert any(_sets_status(node) for node in ast.walk(ast.parse(source)))


def _sets_status(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "status" and isinstance(node.ctx, ast.Store)
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    if name in WRITERS:
        return "status" in {word.arg for word in node.keywords}
    constants = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
    return name in {"setattr", "bulk_update"} and "status" in constants


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
def test_the_name_of_a_job_leads_to_a_function(job):
    module, _, name = job.path.rpartition(".")

    assert callable(getattr(import_module(module), name))
    assert job.cluster in queue.CLUSTERS
