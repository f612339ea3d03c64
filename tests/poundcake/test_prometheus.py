"""The rules and the dashboard of docs/prometheus: valid, documented, and timed as written."""

import json
import re
import subprocess
from collections import Counter
from itertools import combinations

import pytest
import yaml

from tests import factories, servers
from tests.paths import ROOT

HOME = ROOT / "docs" / "prometheus"
DASHBOARD = json.loads((HOME / "dashboard.json").read_text())
GROUPS = yaml.safe_load((HOME / "rules.yml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
WEBHOOK = 'poundcake_api_requests_total{endpoint="webhook",code="%s"}'
ENDED = 'poundcake_runs_ended_total{bucket="b",outcome="%s"}'
FIRST_CALL = 'poundcake_alert_to_first_call_seconds_bucket{le="%s"}'
# Series with a value per minute, and the minutes at which the alert does not fire and fires.
# Labels: those of the alert besides its severity.
CASES = {
    "PoundCakeIsDown": ({"up": "1x2 0x9"}, {}, (4,), 6),
    "PoundCakeWorkersAreGone": (
        {'poundcake_heartbeat_age_seconds{heartbeat="tick"}': "120x5 121x9"},
        {"heartbeat": "tick"},
        (6,),
        8,
    ),
    "PoundCakeJobsAreNotTaken": (
        {'poundcake_wakeup_age_seconds{cluster="launch"}': "60x5 61x9"},
        {"cluster": "launch"},
        (6,),
        8,
    ),
    "PoundCakeCannotLaunch": (
        {
            # Minute 6: it waits because of the pause. Minute 17: it has waited for 4 minutes.
            'poundcake_due_execution_age_seconds{kind="local"}': "301x7 300x4 301x30",
            "poundcake_paused": "1x8 0x40",
        },
        {"kind": "local"},
        (6, 17),
        20,
    ),
    "PoundCakeIsSlow": (
        {FIRST_CALL % "30.0": "0x60", FIRST_CALL % "60.0": "0+1x60", FIRST_CALL % "+Inf": "0+1x60"},
        {},
        (9,),
        15,
    ),
    "PoundCakeRunsFail": (
        {ENDED % "success": "0+1x60", ENDED % "failure": "0+2x60"},
        {"bucket": "b"},
        (5,),
        12,
    ),
    "PoundCakeStackStormIsUnreachable": (
        {"poundcake_stackstorm_unreachable": "0x5 1x9"},
        {},
        (10,),
        12,
    ),
    "PoundCakeHasAProblem": (
        {
            'poundcake_problem{name="recovery"}': "0x5 3x9",
            'poundcake_problem{name="clock@a"}': "1x99",
        },
        {"name": "recovery"},
        (10,),
        12,
    ),
    "PoundCakeWaitsForAPerson": (
        {'poundcake_waiting_for_person{reason="inquiry"}': "0x5 2x9"},
        {"reason": "inquiry"},
        (6,),
        8,
    ),
    "PoundCakeIsPausedForLong": ({"poundcake_paused": "1x300"}, {}, (239,), 241),
    "PoundCakeFailsWebhooks": ({WEBHOOK % 503: "0x5 1x40"}, {"code": "503"}, (5,), 7),
    "PoundCakeRefusesWebhooks": ({WEBHOOK % 401: "0x5 1x40"}, {"code": "401"}, (5,), 7),
    "PoundCakeRejectsAlerts": ({"poundcake_rejected_alerts_total": "7x5 8x40"}, {}, (5,), 7),
    "PoundCakeMissesTruncatedAlerts": (
        {"poundcake_alerts_truncated_total": "0x5 4x40"},
        {},
        (5,),
        7,
    ),
    "PoundCakeRecordHasGaps": ({"poundcake_unrecorded_calls_total": "0x5 4x40"}, {}, (5,), 7),
    "PoundCakeDatabaseFails": (
        {
            'poundcake_database_errors_total{kind="connection"}': "0x5 4x40",
            'poundcake_database_errors_total{kind="conflict"}': "0+3x40",
        },
        {"kind": "connection"},
        (6,),
        8,
    ),
    "PoundCakeClockIsWrong": (
        {'poundcake_clock_skew_seconds{machine="m"}': "-5x5 -6x9"},
        {"machine": "m"},
        (10,),
        12,
    ),
}


@pytest.fixture
def promtool():
    return servers.find_program("promtool", package="prometheus")


def with_labels(series, **labels):
    """Return a series with labels as Prometheus adds them to a target's samples."""
    name, _, known = series.rstrip("}").partition("{")
    added = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{','.join(filter(None, [known, added]))}}}"


def firing_test(name, series, labels, minutes):
    """Return a promtool test of one alert: at these minutes it fires if ``labels`` is not None."""
    is_instance = name == "PoundCakeIsDown"
    target = {"job": "poundcake"} | ({"instance": "a"} if is_instance else {})
    return {
        "interval": "1m",
        # Two web servers show the same; the values must not be added.
        "input_series": [
            {"series": with_labels(one, job="poundcake", instance=instance), "values": values}
            for one, values in series.items()
            for instance in (["a"] if is_instance else ["a", "b"])
        ],
        "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": name, "exp_alerts": []}]
        if labels is None
        else [],
        "promql_expr_test": []
        if labels is None
        else [
            {
                "expr": f"count by (alertname, job, severity, {', '.join(labels) or 'instance'})"
                f' (ALERTS{{alertname="{name}", alertstate="firing"}})',
                "eval_time": f"{minutes}m",
                "exp_samples": [
                    {
                        "labels": with_labels(
                            "",
                            alertname=name,
                            severity=ALERTS[name]["labels"]["severity"],
                            **target,
                            **labels,
                        ),
                        "value": 1,
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires_after_its_time_and_once_for_two_web_servers(promtool, tmp_path, name):
    series, labels, silent, firing = CASES[name]
    tests = [firing_test(name, series, None, minute) for minute in silent]
    tests.append(firing_test(name, series, labels, firing))
    file = tmp_path / "test.yml"
    file.write_text(
        json.dumps(
            {
                "rule_files": [str(HOME / "rules.yml")],
                "evaluation_interval": "1m",
                "tests": tests,
            }
        )
    )

    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules(promtool):
    command = [promtool, "check", "rules", "--lint=all", "--lint-fatal", str(HOME / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_and_metric_is_documented():
    text = (HOME / "README.md").read_text()

    assert re.findall(r"^\| `(PoundCake\w+)` \|", text, re.MULTILINE) == list(ALERTS)


@pytest.mark.django_db
def test_the_documented_metrics_are_the_exported_ones():
    factories.make_bucket()
    exported = factories.make_client("read").get("/metrics").content.decode()
    names = re.findall(r"^# TYPE (\w+)", exported, re.MULTILINE)
    rows = re.findall(r"^\| (`poundcake_.*?) \|", (HOME / "README.md").read_text(), re.MULTILINE)

    documented = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    assert sorted(documented) == sorted(names)


def test_the_dashboard_needs_only_prometheus():
    assert DASHBOARD["schemaVersion"] >= 36
    assert "id" not in DASHBOARD  # Grafana assigns it
    ids = Counter(panel["id"] for panel in DASHBOARD["panels"])
    assert max(ids.values()) == 1
    assert {panel["type"] for panel in PANELS} == {"stat", "timeseries"}
    for panel in PANELS:
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
    assert "://" not in json.dumps(DASHBOARD)
    variables = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert variables == ["datasource", "job", "bucket"]


def test_the_panels_fit_and_do_not_overlap():
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]

    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_above
