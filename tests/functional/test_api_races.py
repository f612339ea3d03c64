"""Eight equal API requests at once, 8 rounds: one changes the row, on both databases."""

import json
import os
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.servers.poundcake import manage

pytestmark = pytest.mark.slow

THREADS, ROUNDS = 8, 8


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def race(request, tmp_path_factory):
    """The results of the rounds by race, on a database of their own."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('races') / 'poundcake.sqlite3'}"
    else:
        url = request.getfixturevalue("mariadb_server").new_database("api_races")
    environment = os.environ | {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "poundcake.settings",
        "LOG_LEVEL": "ERROR",
        "SECRET_KEY": "a secret key for the races of the API",
        "ALLOWED_HOSTS": "testserver",
    }
    manage(environment, "migrate", "--verbosity", "0")
    done = subprocess.run(
        [sys.executable, "-m", "tests.functional.api_races"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_of_several_changes_with_the_same_etag_is_saved(race):
    assert race["patch_bucket"] == ROUNDS * [
        {"statuses": {"200": 1, "412": THREADS - 1}, "versions": 1}
    ]


def test_concurrent_changes_of_different_fields_are_all_saved(race):
    assert race["patch_other_fields"] == ROUNDS * [{"lost": []}]


def test_one_of_several_requests_with_the_same_key_starts_a_run(race):
    assert race["retry_with_one_key"] == ROUNDS * [
        {"statuses": {"201": THREADS}, "runs": 1, "keys": 1}
    ]
