"""The house rules that a machine can check."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from remediation import queue
from tests.paths import ROOT

PACKAGES = ("poundcake", "remediation", "audit")
DRAWERS = {"utils", "helpers", "common", "misc", "base", "constants", "services"}
MODULES = [
    path
    for package in (*PACKAGES, "tests")
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_has_a_name_of_its_own(path):
    assert len(path.read_text().splitlines()) <= 400
    # Django loads a database backend from a module of this name.
    assert path.stem not in DRAWERS or path.match("poundcake/mariadb/base.py")


def test_a_status_is_set_by_the_models_and_by_intake_alone():
    allowed = {"intake.py", "assignment.py", "episodes.py", "advance.py"}
    guilty = [
        path
        for path in MODULES
        if path.is_relative_to(ROOT / "remediation")
        and not path.is_relative_to(ROOT / "remediation" / "models")
        and path.name not in allowed
        and not {"sandbox", "stackstorm"} & set(path.parts)
        and _assigns_status(path)
    ]

    assert guilty == []


def _assigns_status(path: Path) -> bool:
    targets = (
        target
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        for target in node.targets
    )
    return any(isinstance(target, ast.Attribute) and target.attr == "status" for target in targets)


@pytest.mark.parametrize("job", queue.ALL_JOBS, ids=lambda job: job.path)
def test_the_name_of_a_job_leads_to_a_function(job):
    module, _, name = job.path.rpartition(".")

    assert callable(getattr(import_module(module), name))
    assert job.cluster in queue.CLUSTERS
