"""Eight threads at once, 25 rounds of each race: one winner per round on both databases."""

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
    """The results of the rounds by race, on a database of their own."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('races') / 'poundcake.sqlite3'}"
    else:
        url = request.getfixturevalue("mariadb_server").new_database("races")
    environment = os.environ | {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "poundcake.settings",
        "LOG_LEVEL": "ERROR",
        "SECRET_KEY": "races-0123456789-0123456789-0123456789",
    }
    manage(environment, "migrate", "--verbosity", "0")
    done = subprocess.run(
        [sys.executable, "-m", "tests.functional.races"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_concurrent_copies_of_a_notification_open_each_episode_once(race):
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


def test_concurrent_alert_and_resolve_leave_transitions_without_a_gap(race):
    assert race["fire_and_resolve"] == ROUNDS * [
        {
            "has_no_gap": True,
            "is_open_while_firing": True,
        }
    ]


def test_an_alert_with_a_concurrent_resolve_does_not_stay_open(race):
    assert race["overtake"] == ROUNDS * [{"rows": THREADS // 2, "open": 0}]


def test_notifications_of_one_commit_get_their_own_receipts_and_open_episodes_once(race):
    assert race["share_commits"] == ROUNDS * [
        {
            "got_their_own": True,
            "own": {"created": THREADS},
            "copied": {"created": 1, "repeated": 1},
            "open": THREADS + 1,
            "rows": THREADS + 2,
            "runs": {"pending": THREADS + 1},
            "have_no_gap": True,
            "are_open_while_firing": True,
        }
    ]


def test_concurrent_launches_start_each_execution_once(race):
    assert race["start"] == ROUNDS * [
        {
            "claimed": 5,
            "posts": [1, 1, 1, 1, 1],
            "executions": {"launching": 5, "running": 5},
            "runs": {"running": 5},
        }
    ]


def test_a_cooldown_lets_one_of_several_equal_runs_start(race):
    assert race["cool_down"] == ROUNDS * [{"runs": {"running": 1, "pending": THREADS - 1}}]


def test_an_execution_ends_once_and_its_next_step_is_created_once(race):
    assert race["end"] == ROUNDS * [
        {"won": 1, "transitions": 1, "is_final": True, "next": [[2, "pending"]]}
    ]


def test_a_dead_workers_launch_is_counted_once(race):
    assert race["recover_launch"] == ROUNDS * [{"status": "launching", "unanswered_launches": 1}]


def test_a_heartbeat_is_claimed_once(race):
    assert race["beat"] == ROUNDS * [{"taken": 1}]
