"""The capacity model: what holds whatever the constants, and what was measured."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tools.bench import capacity, costs, flow, model, plans, report
from tools.bench.costs import Costs, Measured, NotMeasured
from tools.bench.model import Load, Setup, StackStorm, simulate

# A storm that was measured with the constants is foretold within this share of its time.
TOLERANCE = 0.4
SCALING = Path(__file__).parents[3] / "docs" / "scaling.md"

COSTS = Costs(
    database="mariadb",
    web_call=6.0,
    web_alert=0.8,
    launch=4.0,
    stream=3.0,
    follow=1.5,
    follow_beside=0.5,
    others_alert=0.1,
    database_alert=1.0,
    database_execution=1.5,
    load_alert=0.2,
    stub_execution=0.3,
    kib_alert=5.0,
    kib_execution=10.0,
    flushes_alert=0.5,
    flushes_execution=1.0,
    flush_ms=0.5,
    rows_alert=6.0,
    rows_execution=10.0,
    idle={"launch": 10.0, "database": 20.0},
)
FAST = StackStorm(post_seconds=0.02, execution_seconds=0.2, api_seconds=0.0)
ONE = Setup(stackstorm=FAST)
MANY = Setup(web_machines=2, workers=3, cores=4, database_cores=4, stackstorm=FAST)

each_setup = pytest.mark.parametrize(
    "setup", [ONE, replace(ONE, is_streamed=False), MANY], ids=["one", "polled", "many"]
)


@each_setup
@pytest.mark.parametrize("steps", [1, 3])
def test_no_alert_is_lost_and_none_is_made(setup, steps):
    outcome = simulate(COSTS, setup, Load(500, steps=steps))

    assert outcome.accepted == pytest.approx(500)
    assert outcome.begun == pytest.approx(500 * steps)
    assert outcome.ended == pytest.approx(500 * steps)
    assert outcome.known == pytest.approx(500)
    assert outcome.waiting == pytest.approx(0, abs=1e-3)
    assert outcome.accepted_at <= outcome.started_at <= outcome.known_at


@each_setup
@pytest.mark.parametrize("seconds", [0.1, 0.5, 2.0])
def test_what_has_not_come_through_is_on_its_way(setup, seconds):
    one = model.Simulation(COSTS, setup, Load(500, steps=3))

    outcome = one.run(seconds=seconds)

    under_way = one.posting, one.running, one.unseen, one.to_launch
    held = sum(one.pending) + sum(one.ended) + sum(one.requested) + one.to_launch.held
    held += one.running.held + one.unseen.held
    assert one.unsent + one.in_web + held + outcome.known == pytest.approx(500)
    assert all(pipe.held >= 0 for pipe in under_way)


@each_setup
def test_more_alerts_are_never_over_sooner(setup):
    times = [simulate(COSTS, setup, Load(alerts)) for alerts in (10, 100, 300, 1_000, 3_000)]

    assert [one.started_at for one in times] == sorted(one.started_at for one in times)
    assert [one.known_at for one in times] == sorted(one.known_at for one in times)
    assert times[0].known_at < times[-1].known_at


@each_setup
def test_more_steps_are_never_over_sooner(setup):
    times = [simulate(COSTS, setup, Load(300, steps=steps)).known_at for steps in (1, 2, 3, 5)]

    assert times == sorted(times)


@pytest.mark.parametrize(
    "more",
    [
        {"workers": 4},
        {"workers": 5},
        {"web_machines": 3},
        {"cores": 8},
        {"database_cores": 8},
        {"calls_at_once": 30},
    ],
)
def test_more_machines_are_not_later(more):
    load = Load(2_000)

    before, after = simulate(COSTS, MANY, load), simulate(COSTS, replace(MANY, **more), load)

    # A little, since who is faster at one end has the others wait for the database.
    assert after.started_at <= 1.05 * before.started_at
    assert after.known_at <= 1.05 * before.known_at


@pytest.mark.parametrize("steps", [1, 3])
def test_one_worker_more_is_never_later(steps):
    times = [
        simulate(COSTS, replace(MANY, workers=workers, is_streamed=False), Load(2_000, steps=steps))
        for workers in (1, 2, 3, 4, 8)
    ]

    for before, after in pairwise(times):
        assert after.started_at <= before.started_at + 3 * model.STEP
        assert after.known_at <= before.known_at + 3 * model.STEP
    assert times[-1].known_at < times[0].known_at


def test_costlier_work_is_never_over_sooner():
    for name in ("web_alert", "launch", "stream", "database_alert", "database_execution"):
        costlier = replace(COSTS, **{name: 3 * getattr(COSTS, name)})
        times = [simulate(one, ONE, Load(1_000)).known_at for one in (COSTS, costlier)]

        assert times[0] < times[1], name


def test_a_slow_disk_holds_up_who_waits_for_it():
    slow = replace(COSTS, flush_ms=20.0)

    # Each execution makes the launching process wait for half a flush.
    assert simulate(slow, ONE, Load(500)).started_at >= 500 * 0.5 * 0.020
    assert simulate(slow, ONE, Load(500)).use["processors"] < 0.6


def test_a_worker_makes_no_more_calls_at_once_than_it_may():
    slow = replace(MANY, workers=2, stackstorm=replace(FAST, post_seconds=0.5))

    outcome = simulate(COSTS, slow, Load(500))

    assert 17 < outcome.most_calls <= 18 + 1e-6
    # Each waits half a second for StackStorm's answer.
    assert outcome.started_at >= 500 / 18 * 0.5 - 1


def test_stackstorm_takes_no_more_than_it_can_and_runs_no_more_than_it_has_slots():
    stackstorm = replace(FAST, api_processes=2, api_seconds=0.05, slots=10, execution_seconds=1.0)

    outcome = simulate(COSTS, replace(MANY, stackstorm=stackstorm), Load(200))

    assert outcome.most_running <= 10 + 1e-6
    assert outcome.started_at >= 200 / 40
    assert outcome.known_at >= 200 / 10


def test_processors_give_no_more_than_there_is():
    outcome = simulate(COSTS, replace(ONE, beside=0.5), Load(2_000))

    cpu = 2_000 * COSTS.alert(steps=1, a_body=20, is_streamed=True) / 1_000
    assert outcome.known_at >= cpu / (2 - 0.5 - 0.03)
    assert outcome.use["processors"] <= 1 + 1e-6
    assert all(share <= 1 + 1e-6 for share in outcome.use.values())


def test_room_is_divided_by_shares_and_nothing_is_left_over():
    shares = {"a": 1.0, "b": 1 / 3}

    assert flow.shared(4, {"a": 9, "b": 9}, shares) == pytest.approx({"a": 3, "b": 1})
    assert flow.shared(4, {"a": 1, "b": 9}, shares) == pytest.approx({"a": 1, "b": 3})
    assert flow.shared(4, {"a": 1, "b": 1}, shares) == pytest.approx({"a": 1, "b": 1})


def test_a_steady_load_beyond_the_limit_grows_a_queue():
    reached = dict(plans.limits(COSTS, MANY, Load(0), flushes=1e9))
    most = min(reached.values()) / 60

    def waiting(share, seconds):
        load = Load(1e9, per_second=share * most)
        return simulate(COSTS, MANY, load, seconds=seconds).waiting

    assert waiting(0.9, 40) == pytest.approx(waiting(0.9, 20), rel=0.05)
    assert waiting(1.3, 40) > 1.5 * waiting(1.3, 20)


@pytest.mark.parametrize("rate", [1, 10, 100, 1_000, 10_000, 100_000])
def test_what_is_planned_keeps_up(rate):
    load = Load(0.0, a_body=5, per_second=rate / 60)

    one = plans.plan(COSTS, load, StackStorm(), flushes=1e9)

    assert one.keeps_up
    assert one.limits[0][1] >= rate
    assert math.isfinite(one.storm.known_at)


def test_more_alerts_take_no_fewer_machines():
    planned = [
        plans.plan(COSTS, Load(0.0, per_second=rate / 60), StackStorm(), flushes=1e9).setup
        for rate in (10, 1_000, 10_000, 30_000, 100_000)
    ]

    for name in ("web_machines", "workers", "database_cores"):
        counts = [getattr(one, name) for one in planned]
        assert counts == sorted(counts), name


# What was measured


@pytest.fixture(scope="module")
def measured():
    return Measured.read()


def test_the_storms_that_were_measured_are_foretold(measured):
    assert set(measured) == {"sqlite", "mariadb"}
    for kind, one in measured.items():
        assert {(storm.steps, storm.mode) for storm in one.storms} >= {(1, "stream"), (3, "stream")}
        for storm in one.storms:
            told = plans.predicted(one, storm)
            of = f"{kind}, {storm.steps} steps, by {storm.mode}"
            assert told.started_at == pytest.approx(storm.started, rel=TOLERANCE), of
            assert told.known_at == pytest.approx(storm.known, rel=TOLERANCE), of


def test_the_document_holds_what_is_printed(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["capacity"])

    assert capacity.main() == 0

    printed, document = capsys.readouterr().out, SCALING.read_text()
    assert "100,000 alerts a minute" in printed
    assert "off by" in printed
    # make capacity CAPACITY="--into docs/scaling.md" writes it anew.
    assert report.inserted(document, printed, command=capacity.COMMAND) == document


def test_tables_are_written_into_a_document(monkeypatch, capsys, tmp_path):
    path = tmp_path / "document.md"
    begin, end = "what make capacity prints, written by its --into", "the end of what make capacity"
    path.write_text(f"before\n<!-- {begin} -->\nold\n<!-- {end} prints -->\nafter\n")
    monkeypatch.setattr("sys.argv", ["capacity", f"--into={path}"])

    capacity.main()

    text = path.read_text()
    assert capsys.readouterr().out in text
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")


def test_one_load_on_one_setup_is_told(monkeypatch, capsys):
    words = [
        "--alerts-per-minute",
        "600",
        "--workers",
        "2",
        "--web-machines",
        "2",
        "--database-cores",
        "4",
    ]
    monkeypatch.setattr("sys.argv", ["capacity", *words])

    assert capacity.main() == 0

    printed = capsys.readouterr().out
    assert "600 alerts a minute" in printed
    assert "at most, alerts a minute" in printed


def content(**without):
    whole = json.loads(costs.CONSTANTS.read_text())
    whole["figures"] = [
        one for one in whole["figures"] if not one["group"].startswith(without["group"])
    ]
    return whole


@pytest.mark.parametrize("group", ["storm", "intake", "nothing to do"])
def test_what_was_not_measured_is_named(tmp_path, group):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(content(group=group)))

    with pytest.raises(NotMeasured, match="--only idle,intake,storm"):
        Measured.read(path)
