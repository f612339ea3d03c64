"""The timers around the stages of an alert's way."""

import time

import pytest

from tools.bench import profile, stage_table, stages
from tools.bench.profile import Profile, StageGone
from tools.bench.stage_table import FOLLOW, LAUNCH, WEB, Result, Way

TICK = 0.02


def spin(seconds=TICK):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def outer():
    spin()
    inner()
    inner()


def inner():
    spin()


STAGES = {"whole": (f"{__name__}.outer",), "part": (f"{__name__}.inner",)}


def test_a_stage_does_not_hold_what_others_do_for_it():
    one = Profile()
    one.phase = "phase"

    with one.wrapped(STAGES), one.measured():
        outer()

    whole, part = one.stages["phase", "whole"], one.stages["phase", "part"]
    assert (whole.calls, part.calls) == (1, 2)
    assert TICK <= whole.cpu < 1.5 * TICK
    assert 2 * TICK <= part.cpu < 3 * TICK
    assert part.wall >= part.cpu
    assert one.attributed == pytest.approx(one.cpu, rel=0.1)


def test_what_no_stage_holds_is_not_attributed():
    one = Profile()

    with one.measured(), one.wrapped(STAGES):
        spin()
        inner()

    assert one.cpu - one.attributed == pytest.approx(TICK, rel=0.3)


def test_preparation_counts_nowhere():
    one = Profile()

    with one.wrapped(STAGES):
        outer()
        one.count(lambda _sql: None, "SELECT 1")

    assert (one.stages, one.cpu) == ({}, 0)


def test_statements_count_to_the_stage_that_sends_them():
    one = Profile()
    sent = []

    with one.measured():
        one.count(sent.append, "SELECT 0")
        with one.stage("a"):
            one.count(sent.append, "INSERT INTO x VALUES (1)")
            one.count(sent.append, "BEGIN")
            with one.stage("b"):
                one.count(sent.append, "(select 1)")

    assert len(sent) == 4
    counts = {stage: use.statements for (_, stage), use in one.stages.items()}
    assert counts == {profile.NOWHERE: 1, "a": 1, "b": 1}


def test_the_functions_are_themselves_again_afterwards():
    before = outer

    with Profile().wrapped(STAGES):
        assert outer is not before

    assert outer is before


@pytest.mark.parametrize(
    "name", ["tools.bench.profile.gone", "tools.bench.profile.Profile.gone", "nowhere.at.all"]
)
def test_a_function_that_is_gone_is_an_error(name):
    with (
        pytest.raises(StageGone, match="no function any more"),
        Profile().wrapped({"a": (name,)}),
    ):
        pytest.fail("it was taken for a function")


@pytest.mark.parametrize("name", [name for names in stages.STAGES.values() for name in names])
def test_every_stage_is_made_of_functions_that_are_there(name):
    owner, attribute, function = profile.found(name)

    assert getattr(owner, attribute) is function


def result(seconds):
    one = Profile()
    one.cpu = 5 * seconds
    one.stages = {
        (WEB, "parse"): profile.Use(cpu=seconds, wall=2 * seconds, statements=2),
        (FOLLOW, "poll"): profile.Use(cpu=3 * seconds, wall=3 * seconds),
    }
    return Result(Way("one by one", rounds=2, alerts=1, a_body=1), one, {WEB: 6.0})


def test_the_table_tells_what_was_not_attributed():
    lines = stage_table.table([result(0.002)], list(stages.STAGES), "MariaDB 1").splitlines()

    head = "| stage, for each alert | one by one: CPU ms | one by one: wall ms | one by one: SQL |"
    assert lines[2:] == [
        head,
        "|---|---:|---:|---:|",
        "| parse | 1.00 | 2.00 | 1.00 |",
        "| **take the alert** | 1.00 | 2.00 | 1.00 |",
        "| **start it** | 0.00 | 0.00 | 0.00 |",
        "| poll | 3.00 | 3.00 | 0.00 |",
        "| **learn its end** | 3.00 | 3.00 | 0.00 |",
        "| **not attributed** | 1.00 (20.0 %) |  |  |",
        "| **all** | 5.00 |  | 1.00 |",
        "| database server: take the alert | 3.00 |  |  |",
        "| database server: start it | 0.00 |  |  |",
        "| database server: learn its end | 0.00 |  |  |",
    ]


def test_another_version_stands_beside_it(tmp_path):
    path = tmp_path / "before.json"
    before = result(0.004)
    before.profile.stages[LAUNCH, "gone since"] = profile.Use(cpu=0.002)
    stage_table.save(path, [before])

    both = stage_table.side_by_side(stage_table.load(path), [result(0.002)])

    lines = stage_table.table(both, ["poll", "parse"], "MariaDB 1", stage_table.BESIDE).splitlines()
    assert lines[2].startswith("| stage, for each alert | one by one, before: CPU ms |")
    assert "| parse | 2.00 | 1.00 | 1.00 | 1.00 |" in lines
    assert "| gone since | 1.00 | 0.00 | 0.00 | 0.00 |" in lines


def test_a_mapping_for_another_version_is_read_from_a_file(tmp_path):
    path = tmp_path / "before.py"
    path.write_text("STAGES = {'parse': ('a.b',)}\n")

    assert stages._mapping(path) == {"parse": ("a.b",)}
