"""make audit reports vulnerable packages, and never takes an unchecked one for a safe one."""

import pytest

from tools.audit import report

FINE = {"name": "django", "version": "5.2.19", "vulns": []}
VULNERABLE = {
    "name": "jinja2",
    "version": "2.4",
    "vulns": [{"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"]}],
}
SKIPPED = {"name": "asgiref", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "status", "text"),
    [
        ([FINE, FINE], 0, "1 packages checked, no known vulnerability"),
        ([FINE, VULNERABLE], 1, "jinja2 2.4: PYSEC-2014-8, fixed in 2.7.2"),
        ([FINE, SKIPPED], 2, "NOT CHECKED: 1 of 2 packages"),
        ([VULNERABLE, SKIPPED], 1, "NOT CHECKED: 1 of 2 packages"),
    ],
)
def test_the_exit_status_tells_found_from_not_checked(dependencies, status, text):
    found, output = report(dependencies)

    assert found == status
    assert text in output
