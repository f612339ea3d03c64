"""The security headers of all kinds of responses, and Django's checks for production."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from django.test import Client

from poundcake.security_headers import CONTENT_SECURITY_POLICY, HEADERS
from tests.factories import make_client
from tests.paths import ROOT
from tests.servers.poundcake import MANAGE, SECRET_KEY


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/admin/login/", "localhost", 200),
        ("/healthz", "localhost", 200),
        ("/static/admin/css/base.css", "localhost", 200),
        ("/api/v1/alerts/", "localhost", 200),
        ("/nowhere/", "localhost", 404),
        ("/admin/", "elsewhere.example.com", 503),
    ],
)
def test_every_response_has_the_headers(path, host, status):
    response = make_client("read").get(path, headers={"Host": host})
    response.close()

    assert response.status_code == status
    assert {name: response[name] for name in HEADERS} == HEADERS
    assert response["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_the_policy_allows_nothing_inline():
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY


@pytest.mark.django_db
def test_hsts_is_sent_over_tls(settings):
    settings.SECURE_HSTS_SECONDS = 31_536_000

    with_tls = Client().get("/admin/login/", headers={"X-Forwarded-Proto": "https"})

    assert with_tls["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in Client().get("/admin/login/")


@pytest.mark.slow
def test_djangos_deployment_checks_pass_with_the_documented_settings(tmp_path):
    documented = _settings_of_section(ROOT / "docs" / "security.md", "## Web server and headers")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ST2_", "CONFIG_", "DATABASE_"))
    }

    done = subprocess.run(
        [*MANAGE, "check", "--deploy", "--fail-level", "WARNING"],
        env=environment
        | {"DATABASE_URL": f"sqlite:///{tmp_path / 'db'}", "ST2_API_URL": "http://st2.example.com"}
        | {"ST2_API_KEY": "an-api-key-for-the-check", "POUNDCAKE_ENV_FILE": ""}
        | {**documented, "SECRET_KEY": SECRET_KEY + " and more, so that it has 50"},
        capture_output=True,
        text=True,
    )

    assert set(documented) >= {"SECURE_COOKIES", "SSL_REDIRECT", "HSTS_SECONDS"}
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def _settings_of_section(path: Path, heading: str) -> dict[str, str]:
    """Return the NAME=VALUE lines of the first code block below a heading."""
    block = path.read_text().partition(heading)[2].partition("```sh\n")[2].partition("```")[0]
    pairs = (line.partition("=") for line in block.splitlines() if line)
    return {name: value for name, _, value in pairs}
