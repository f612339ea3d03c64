"""The timers of the stages, with a clock of their own."""

from unittest.mock import create_autospec

import pytest

from tools.bench import profile, stage_table, stages, written
from tools.bench.databases import Database
from tools.bench.profile import Profile, StageFunctionMissing
from tools.bench.stage_table import FOLLOW, LAUNCH, WEB, Arrivals, Result


class FakeClock:
    """Stands in for the module ``time``; work takes as long as it says."""

    def __init__(self):
        self.now = 0.0

    def read(self):
        return self.now

    thread_time = process_time = perf_counter = read


clock = FakeClock()


@pytest.fixture(autouse=True)
def _fake_time(monkeypatch):
    monkeypatch.setattr(profile, "time", clock)


def work():
    clock.now += 1.0


def outer():
    work()
    inner()
    inner()


def inner():
    work()


STAGES = {"outer": (f"{__name__}.outer",), "inner": (f"{__name__}.inner",)}


def test_a_stage_excludes_the_time_of_the_stages_that_it_calls():
    one = Profile()
    one.phase = "phase"

    with one.wrapped(STAGES), one.measured():
        outer()

    outside, inside = one.stages["phase", "outer"], one.stages["phase", "inner"]
    assert (outside.calls, inside.calls) == (1, 2)
    assert (outside.cpu, outside.wall) == (1.0, 1.0)
    assert (inside.cpu, inside.wall) == (2.0, 2.0)
    assert one.attributed == one.cpu == 3.0


def test_time_outside_of_all_stages_is_not_attributed():
    one = Profile()

    with one.measured(), one.wrapped(STAGES):
        work()
        inner()

    assert one.cpu - one.attributed == 1.0


def test_nothing_is_counted_while_the_profile_is_off():
    one = Profile()

    with one.wrapped(STAGES):
        outer()
        one.count(lambda _sql: None, "SELECT 1")

    assert (one.stages, one.cpu) == ({}, 0)


def test_a_statement_counts_for_the_stage_that_sends_it():
    one = Profile()
    sent: list[str] = []

    with one.measured():
        one.count(sent.append, "SELECT 0")
        with one.stage("a"):
            one.count(sent.append, "INSERT INTO x VALUES (1)")
            one.count(sent.append, "BEGIN")
            with one.stage("b"):
                one.count(sent.append, "(select 1)")

    assert len(sent) == 4
    counts = {stage: use.statements for (_, stage), use in one.stages.items()}
    assert counts == {profile.NO_STAGE: 1, "a": 1, "b": 1}


def test_the_functions_are_restored_afterwards():
    before = outer

    with Profile().wrapped(STAGES):
        assert outer is not before

    assert outer is before


@pytest.mark.parametrize(
    "name", ["tools.bench.profile.gone", "tools.bench.profile.Profile.gone", "nowhere.at.all"]
)
def test_a_missing_function_is_an_error(name):
    with (
        pytest.raises(StageFunctionMissing, match="is no function"),
        Profile().wrapped({"a": (name,)}),
    ):
        pytest.fail("no error")


@pytest.mark.parametrize("name", [name for names in stages.STAGES.values() for name in names])
def test_every_function_of_a_stage_exists(name):
    owner, attribute, function = profile.find_function(name)

    assert getattr(owner, attribute) is function


def result(seconds):
    one = Profile()
    one.cpu = 5 * seconds
    one.stages = {
        (WEB, "parse"): profile.Use(cpu=seconds, wall=2 * seconds, statements=2),
        (FOLLOW, "poll"): profile.Use(cpu=3 * seconds, wall=3 * seconds),
    }
    return Result(Arrivals("one by one", rounds=2, alerts=1, a_body=1), one, {WEB: 6.0})


def test_the_table_has_stages_phases_and_the_rest():
    lines = stage_table.table([result(0.002)], list(stages.STAGES), "MariaDB 1").splitlines()

    head = "| stage, per alert | one by one: CPU ms | one by one: wall ms | one by one: SQL |"
    assert lines[2:] == [
        head,
        "|---|---:|---:|---:|",
        "| parse | 1.00 | 2.00 | 1.00 |",
        "| **intake** | 1.00 | 2.00 | 1.00 |",
        "| **launch** | 0.00 | 0.00 | 0.00 |",
        "| poll | 3.00 | 3.00 | 0.00 |",
        "| **follow** | 3.00 | 3.00 | 0.00 |",
        "| **not attributed** | 1.00 (20.0 %) |  |  |",
        "| **all** | 5.00 |  | 1.00 |",
        "| database server: intake | 3.00 |  |  |",
        "| database server: launch | 0.00 |  |  |",
        "| database server: follow | 0.00 |  |  |",
    ]


def test_two_versions_are_compared(tmp_path):
    path = tmp_path / "before.json"
    before = result(0.004)
    before.profile.stages[LAUNCH, "removed"] = profile.Use(cpu=0.002)
    stage_table.save(path, [before])

    both = stage_table.side_by_side(stage_table.load(path), [result(0.002)])

    lines = stage_table.table(
        both, ["poll", "parse"], "MariaDB 1", stage_table.COMPARED_COLUMNS
    ).splitlines()
    assert lines[2].startswith("| stage, per alert | one by one, before: CPU ms |")
    assert "| parse | 2.00 | 1.00 | 1.00 | 1.00 |" in lines
    assert "| removed | 1.00 | 0.00 | 0.00 | 0.00 |" in lines


def test_the_rows_and_index_entries_of_each_table_are_listed(tmp_path):
    server = create_autospec(Database, instance=True)
    server.counters.return_value = {"Innodb_data_fsyncs": 2, "Innodb_os_log_written": 2_048}
    server.fetch.return_value = [("alerts", 3, 12)]  # three rows of one table with four indexes
    one = result(0.002)
    written.add(one.written, {"redo log KiB": 1.0}, written.read(server))
    path = tmp_path / "now.json"
    stage_table.save(path, [one])

    lines = stage_table.table(stage_table.load(path), [], "MariaDB 1").splitlines()

    assert lines[-8:] == [
        "| written, per alert | one by one |",
        "|---|---:|",
        "| alerts: rows | 1.50 |",
        "| alerts: rows times indexes | 6.00 |",
        "| all tables: rows | 1.50 |",
        "| all tables: rows times indexes | 6.00 |",
        "| flushes to disk | 1.00 |",
        "| redo log KiB | 0.50 |",
    ]


def test_the_functions_of_another_version_are_read_from_a_file(tmp_path):
    path = tmp_path / "before.py"
    path.write_text("STAGES = {'parse': ('a.b',)}\n")

    assert stages._mapping(path) == {"parse": ("a.b",)}
