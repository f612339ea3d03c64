"""All processes use the database's time, independent of their machines' clocks."""

import datetime
import time

import pytest
import time_machine
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from remediation import clock
from remediation.clock import DatabaseClock, Timer

AT = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC)
AHEAD = datetime.timedelta(seconds=600)


class Machine:
    """A steady clock that tests advance, and a database whose clock starts at AT."""

    def __init__(self, monkeypatch):
        self.steady = 1_000.0
        self.shown = AT.timestamp()
        self.readings = 0
        self.round_trips = []
        self.is_away = False
        self.error = OperationalError(2006, "Server has gone away")
        monkeypatch.setattr(clock, "steady_seconds", lambda: self.steady)
        monkeypatch.setattr(clock, "_database_seconds", self.read)

    def advance(self, seconds):
        self.steady += seconds
        self.shown += seconds

    def read(self):
        self.readings += 1
        if self.is_away:
            raise self.error
        trip = self.round_trips.pop(0) if self.round_trips else 0.0
        self.advance(trip / 2)
        shown = self.shown
        self.advance(trip / 2)
        return shown


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def seconds(shown):
    return (shown - AT).total_seconds()


def test_the_database_clock_is_read_every_few_seconds(machine):
    shared = DatabaseClock()

    shown = []
    for _ in range(40):
        shown.append(seconds(shared.now()))
        machine.advance(0.25)

    assert shown == [number / 4 for number in range(40)]
    assert machine.readings == 2


@pytest.mark.parametrize("by", [AHEAD, -AHEAD])
def test_a_jump_of_the_machines_clock_has_no_effect(machine, by):
    shared = DatabaseClock()
    shared.now()
    machine.advance(1)

    with time_machine.travel(timezone.now() + by):
        assert seconds(shared.now()) == 1


def test_a_jump_of_the_databases_clock_is_followed(machine):
    shared = DatabaseClock()
    shared.now()
    machine.advance(6)
    machine.shown += 600

    assert seconds(shared.now()) == 606


def test_a_reading_is_dated_to_the_middle_of_the_round_trip(machine):
    machine.round_trips = [0.5]

    assert seconds(DatabaseClock().now()) == 0.5


def test_time_does_not_jitter_with_the_round_trip(machine):
    shared = DatabaseClock()
    shared.now()
    machine.round_trips = [0.5]
    machine.advance(6)

    assert seconds(shared.now()) == 6.5


def test_a_reading_that_took_too_long_is_repeated(machine):
    machine.round_trips = [600.0, 0.0]

    assert seconds(DatabaseClock().now()) == 600
    assert machine.readings == 2


def test_a_slow_reading_is_used_if_no_other_succeeds(machine):
    machine.round_trips = [4.0] * clock.READINGS_MAX

    assert seconds(DatabaseClock().now()) == 4 * clock.READINGS_MAX - 2


@pytest.mark.parametrize("error", [OperationalError(2006, "gone"), InterfaceError(0, "")], ids=str)
def test_time_advances_without_the_database(error, machine):
    machine.error = error
    shared = DatabaseClock()
    shared.now()
    machine.is_away = True
    machine.advance(3_600)

    assert seconds(shared.now()) == 3_600
    assert seconds(shared.now()) == 3_600
    assert machine.readings == 2


def test_the_machines_time_is_used_before_the_first_reading(machine):
    machine.is_away = True

    with time_machine.travel(AT + AHEAD, tick=False):
        assert DatabaseClock().now() == AT + AHEAD


@pytest.mark.django_db
def test_the_clock_is_not_read_in_a_broken_transaction(machine):
    shared = DatabaseClock()
    shared.now()
    machine.advance(6)

    with transaction.atomic():
        transaction.set_rollback(True)
        assert seconds(shared.now()) == 6
        assert machine.readings == 1
    shared.now()
    assert machine.readings == 2


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "mysql", reason="MariaDB has a clock of its own")
def test_the_clock_of_mariadb_is_read(django_assert_num_queries):
    shared = DatabaseClock()
    with time_machine.travel(timezone.now() + AHEAD), django_assert_num_queries(1):
        ahead = timezone.now() - shared.now()
        shared.now()

    assert abs(ahead - AHEAD) < datetime.timedelta(seconds=5)


def test_skew_is_the_difference_to_the_shared_time(machine, monkeypatch):
    shared = DatabaseClock()
    monkeypatch.setattr(clock, "_shared", lambda: shared)

    with time_machine.travel(AT + AHEAD, tick=False):
        assert clock.skew_seconds() == 600


def test_a_time_limit_ends_by_the_steady_clock(machine):
    timer = Timer(10)
    machine.advance(9.9)
    assert not timer.is_over()

    machine.advance(0.1)
    assert timer.is_over()


def test_a_time_limit_ends_by_the_wall_clock_too(machine, monkeypatch):
    timer = Timer(10)
    wall = time.time()

    monkeypatch.setattr(time, "time", lambda: wall + 11)
    assert timer.is_over()
    monkeypatch.setattr(time, "time", lambda: wall - 600)
    assert not timer.is_over()
    machine.advance(10)
    assert timer.is_over()
