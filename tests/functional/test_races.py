"""Eight threads at once, 25 rounds of each race: one winner a round, on SQLite and on MariaDB."""

import json
import os
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.servers.poundcake import manage

THREADS, ROUNDS = 8, 25


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def race(request, tmp_path_factory):
    """What came of the rounds of each race, by its name, on a database that nobody else uses."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('races') / 'poundcake.sqlite3'}"
    else:
        url = request.getfixturevalue("mariadb_server").new_database("races")
    environment = os.environ | {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "poundcake.settings",
        "LOG_LEVEL": "ERROR",
        "SECRET_KEY": "races",
    }
    manage(environment, "migrate", "--verbosity", "0")
    done = subprocess.run(
        [sys.executable, "-m", "tests.functional.races"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_notification_that_comes_many_times_at_once_opens_each_episode_once(race):
    assert race["deliver"] == ROUNDS * [
        {
            "dispositions": {"created": 2, "repeated": 3 * THREADS - 2},
            "occurrences": [["a", 2 * THREADS], ["b", THREADS]],
            "open": 2,
            "alerts": {"firing": 2},
            "runs": {"pending": 2},
            "executions": {"pending": 2},
        }
    ]


def test_an_alert_and_its_resolve_at_once_leave_one_story_without_a_gap(race):
    assert race["fire_and_resolve"] == ROUNDS * [
        {
            "each_move_begins_where_the_last_ended": True,
            "the_last_is_where_it_is": True,
            "an_open_one_is_firing": True,
        }
    ]


def test_an_alert_whose_resolve_comes_at_the_same_time_does_not_stay_open(race):
    assert race["overtake"] == ROUNDS * [{"rows": THREADS // 2, "open": 0}]


def test_what_is_due_is_started_once_whoever_launches(race):
    assert race["start"] == ROUNDS * [
        {
            "claimed": 5,
            "posts": [1, 1, 1, 1, 1],
            "executions": {"launching": 5, "running": 5},
            "runs": {"running": 5},
        }
    ]


def test_one_run_begins_of_those_that_a_cooldown_counts_as_the_same(race):
    assert race["cool_down"] == ROUNDS * [{"runs": {"running": 1, "pending": THREADS - 1}}]


def test_an_execution_ends_once_and_the_next_step_is_made_once(race):
    assert race["end"] == ROUNDS * [
        {"won": 1, "moves": 1, "is_final": True, "next": [[2, "pending"]]}
    ]


def test_a_dead_workers_launch_is_counted_once(race):
    assert race["rescue"] == ROUNDS * [{"status": "launching", "unanswered_launches": 1}]


def test_a_beat_is_taken_once(race):
    assert race["beat"] == ROUNDS * [{"taken": 1}]
