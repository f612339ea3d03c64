"""Search the locked packages for known vulnerabilities with pip-audit: ``make audit``.

Exit status: 0 none found, 1 some found, 2 not all packages could be checked. pip-audit alone
reports a package as fine if the vulnerability database does not answer for it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.txt", "requirements-dev.txt")
FOUND, NOT_CHECKED = 1, 2


def report(dependencies: list[dict[str, Any]]) -> tuple[int, str]:
    """Return the exit status and the text for pip-audit's list of dependencies."""
    unique = {(one["name"], one.get("version")): one for one in dependencies}.values()
    skipped = [one["name"] for one in unique if "skip_reason" in one]
    lines = [
        f"{one['name']} {one['version']}: {vulnerability['id']}, fixed in"
        f" {', '.join(vulnerability['fix_versions']) or 'no release'}"
        for one in unique
        for vulnerability in one.get("vulns", ())
    ]
    if skipped:
        lines.append(
            f"NOT CHECKED: {len(skipped)} of {len(unique)} packages, because the vulnerability"
            " database does not answer for them. Use a machine that reaches PyPI's JSON API:"
            f" {', '.join(sorted(skipped))}"
        )
    if not lines:
        return 0, f"{len(unique)} packages checked, no known vulnerability"
    status = FOUND if len(lines) > bool(skipped) else NOT_CHECKED
    return status, "\n".join(lines)


def main() -> int:
    """Run pip-audit on the lock files and print the report."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json"]
    command += ["--require-hashes", "--disable-pip"]
    command += [f"--requirement={ROOT / name}" for name in LOCKS]
    print("Checking the locked packages (a request for each, about a minute)", flush=True)  # noqa: T201 - the output
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        sys.stderr.write(done.stderr[-1000:])
        print("NOT CHECKED: the vulnerability database cannot be reached")  # noqa: T201 - the output
        return NOT_CHECKED
    status, text = report(dependencies)
    print(text)  # noqa: T201 - the output
    return status


if __name__ == "__main__":
    sys.exit(main())
