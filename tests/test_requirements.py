"""The lock files contain every package with its hashes, in the versions of their sources."""

import re
import subprocess
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.paths import ROOT

LOCKS = ["requirements.txt", "requirements-dev.txt"]
INSTALL_TOOLS = {"pip", "setuptools", "wheel"}

each_lock = pytest.mark.parametrize("name", LOCKS)


def sources(name: str) -> dict[str, str]:
    """Return the versions in a source file, by package."""
    text = (ROOT / name).read_text()
    included = re.findall(r"^-r (.*)$", text, re.MULTILINE)
    found = dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))
    for other in included:
        found |= sources(other)
    return {canonicalize_name(package): version for package, version in found.items()}


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Return the version and hashes of each package in a lock file."""
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in re.split(r"^(?=[^\s#])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]:
        pinned = re.match(r"([\w-]+)==([^\s;]+)", entry)
        assert pinned, entry
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}", entry)
        found[canonicalize_name(pinned[1])] = (pinned[2], hashes)
    return found


@each_lock
def test_a_lock_has_the_versions_of_its_source_and_hashes(name):
    entries = locked(name)
    source = sources(name.replace(".txt", ".in"))

    assert source
    assert {package: entries[package][0] for package in source} == source, "run make lock"
    assert [package for package, (_, hashes) in entries.items() if not hashes] == []


def test_the_lock_of_the_tests_has_the_versions_of_production():
    production, development = (locked(name) for name in LOCKS)

    assert production.items() <= development.items()


@each_lock
def test_a_lock_contains_all_transitive_requirements(name):
    entries = locked(name)
    missing = set()
    for package in entries:
        try:
            requirements = metadata.requires(package) or []
        except metadata.PackageNotFoundError:
            # For another platform; a package for this one that is missing breaks other tests.
            continue
        for requirement in map(Requirement, requirements):
            is_needed = not requirement.marker or requirement.marker.evaluate({"extra": ""})
            if is_needed and canonicalize_name(requirement.name) not in entries:
                missing.add((package, requirement.name))

    assert {one for one in missing if one[1] not in INSTALL_TOOLS} == set()


@pytest.mark.parametrize("name", [*LOCKS, "requirements.in", "requirements-dev.in"])
def test_requirements_name_no_index_and_no_path(name):
    text = (ROOT / name).read_text()

    assert re.findall(r"^.*(?:://|--\w*index|--find-links| @ ).*$", text, re.MULTILINE) == []


def test_setup_can_leave_out_the_package_that_is_compiled():
    script = (ROOT / "scripts" / "setup.sh").read_text()
    [function] = re.findall(r"^without_package\(\) \{\n.*?^\}", script, re.DOTALL | re.MULTILINE)
    command = f"{function}\nwithout_package mysqlclient requirements.txt"
    text = (ROOT / "requirements.txt").read_text()

    rest = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    [entry] = re.findall(r"^mysqlclient==.*?(?=^[^ ])", text, re.DOTALL | re.MULTILINE)
    assert "--hash" in entry
    assert rest == text.replace(entry, "")
