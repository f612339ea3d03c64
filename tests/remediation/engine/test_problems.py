"""Recurring failures are recorded as problems, masked and bounded, until they end."""

import datetime
import json

import pytest
import time_machine
from django.db import DatabaseError
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from remediation import jobs, queue
from remediation.engine import cancel, problems
from remediation.engine.launching import launch_timeout, recover
from remediation.engine.outcomes.outcome import Outcome
from remediation.engine.outcomes.settle import Settlement
from remediation.engine.row_by_row import isolate
from remediation.models import JobSchedule, Problem
from tests.factories import make_client, make_execution

pytestmark = pytest.mark.django_db

SECRET = "hunter2-hunter2"


class DeliberateError(Exception):
    pass


@pytest.fixture
def break_jobs(monkeypatch, settings):
    """Make the first call of every job raise; return a function that undoes it."""
    settings.CONFIG_SECRETS = {"password": SECRET}
    settings.ST2_API_URL = ""

    def fail():
        raise DeliberateError(f"no column <b>x</b> for {SECRET} " + "long " * 1_000)

    monkeypatch.setattr(jobs, "_record_heartbeat", fail)
    return lambda: monkeypatch.setattr(jobs, "_record_heartbeat", lambda: None)


def run_failing(job):
    with pytest.raises(DeliberateError):
        job()


@pytest.mark.parametrize("name", ["tick", "launch_due", "run_local", "beat"])
def test_a_failing_job_is_a_problem_until_it_succeeds(name, break_jobs):
    job = getattr(jobs, name)
    for _ in range(3):
        run_failing(job)

    [problem] = problems.current()
    assert (problem.name, problem.failures) == (name, 3)
    assert problem.text.startswith("DeliberateError: no column <b>x</b> for ********")
    assert len(problem.text) <= 500

    break_jobs()
    job()
    assert problems.current() == []


def test_a_tick_between_two_beats_does_not_end_the_problem(monkeypatch, settings):
    settings.ST2_API_URL = ""

    def fail():
        raise DeliberateError("recover")

    monkeypatch.setattr(recover, "recover", fail)
    run_failing(jobs.tick)
    jobs.tick()

    assert [problem.name for problem in problems.current()] == ["tick"]


def test_a_failing_part_of_the_tick_does_not_stop_the_others(monkeypatch, settings):
    settings.ST2_API_URL = ""
    done = []
    for module, name in [(recover, "recover"), (cancel, "apply_stops")]:

        def fail(name=name):
            done.append(name)
            raise DeliberateError(name)

        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(launch_timeout, "expire", lambda: done.append("expire"))
    monkeypatch.setattr(cancel, "cancel_overdue", lambda: done.append("cancel_overdue"))

    run_failing(jobs.tick)

    assert sorted(done) == ["apply_stops", "cancel_overdue", "expire", "recover"]


def test_a_tick_whose_process_is_killed_each_time_is_a_problem(monkeypatch, settings):
    settings.ST2_API_URL = ""
    alive = jobs._run_all

    class Killed(BaseException):
        pass

    def die(_parts):
        raise Killed

    monkeypatch.setattr(jobs, "_run_all", die)
    # A killed process does not call finish.
    monkeypatch.setattr(problems, "finish", lambda _job: None)
    for _ in range(4):
        JobSchedule.objects.filter(name="tick").update(due_at=timezone.now())
        with pytest.raises(Killed):
            jobs.tick()

    [problem] = problems.current()
    assert problem.name == "tick"
    assert problem.text == "started 3 times and never ended: its process was killed or hung"

    monkeypatch.undo()
    settings.ST2_API_URL = ""
    assert jobs._run_all is alive
    JobSchedule.objects.filter(name="tick").update(due_at=timezone.now())
    jobs.tick()
    JobSchedule.objects.filter(name="tick").update(due_at=timezone.now())
    jobs.tick()
    assert problems.current() == []


@pytest.mark.usefixtures("break_jobs")
def test_a_failure_to_record_a_problem_does_not_hide_the_error(monkeypatch):
    def refuse(*_arguments, **_options):
        raise DatabaseError("away")

    monkeypatch.setattr(Problem, "report", refuse)

    run_failing(jobs.tick)


def neglect(cluster, seconds):
    before = timezone.now() - datetime.timedelta(seconds=seconds)
    OrmQ.objects.create(key=cluster, payload="", lock=before)


@pytest.mark.parametrize("cluster", queue.CLUSTERS)
def test_a_missing_worker_is_a_problem_after_a_minute(cluster):
    neglect(cluster, 50)
    assert problems.current() == []

    neglect(cluster, 70)

    [problem] = problems.current()
    assert problem.name == f"no_worker_{cluster}"
    assert "Is manage.py worker running?" in problem.text


def test_a_row_that_cannot_be_stored_is_a_problem_until_reports_stop():
    execution = make_execution(status="running")
    ending = Settlement(execution, Outcome.success({}))

    def refuse(*_arguments, **_options):
        raise ValueError("Data too long")

    with isolate(ending, description="Settling", on_failure=lambda *_: None):
        refuse()

    [problem] = problems.current()
    assert problem.name == "storage"
    assert problem.text == f"{execution}: ValueError: Data too long"
    problems.end_unreported()
    assert problems.current() == [problem]
    later = timezone.now() + datetime.timedelta(minutes=11)
    with time_machine.travel(later):
        problems.end_unreported()
        assert problems.current() == []


def test_a_problem_counts_its_failures():
    for _ in range(2):
        problems.report("storage", ValueError("too long"), subject="#7: restart")

    [problem] = problems.current()
    assert (problem.title, problem.failures) == ("Storing an outcome fails", 2)
    assert problem.text == "#7: restart: ValueError: too long"


@pytest.fixture
def three_problems():
    Problem.report("stackstorm", "http://st2.internal refused <b>", at=timezone.now())
    problems.report("tick", DeliberateError("no column <b>"))
    problems.report("tick", DeliberateError("no column <b>"))
    neglect("launch", 120)


@pytest.mark.usefixtures("three_problems")
@pytest.mark.parametrize("address", ["admin:index", "audit:failures", "admin:password_change"])
def test_every_page_shows_the_problems(address, admin_client):
    text = " ".join(admin_client.get(reverse(address)).content.decode().split())

    assert "<strong>StackStorm cannot be reached</strong> since" in text
    assert "<strong>Polling executions fails</strong> since" in text
    assert "2 times in a row: DeliberateError: no column &lt;b&gt;" in text
    assert "<strong>No worker starts executions</strong> since" in text


@pytest.mark.usefixtures("three_problems")
def test_metrics_count_the_problems():
    text = make_client("read").get("/metrics").content.decode()

    assert 'poundcake_problem{name="stackstorm"} 1' in text
    assert 'poundcake_problem{name="tick"} 2' in text
    assert 'poundcake_problem{name="no_worker_launch"} 1' in text
    assert 'poundcake_problem{name="run_local"} 0' in text
    assert "poundcake_stackstorm_unreachable 1" in text
    assert 'job="failing' not in text


@pytest.mark.usefixtures("three_problems")
def test_readyz_names_the_problems_without_details():
    response = make_client().get("/readyz")

    assert response.status_code == 200
    found = {problem["name"]: problem["title"] for problem in response.json()["problems"]}
    assert found == {
        "stackstorm": "StackStorm cannot be reached",
        "tick": "Polling executions fails",
        "no_worker_launch": "No worker starts executions",
    }
    text = json.dumps(response.json())
    assert "st2.internal" not in text
    assert "no column" not in text
    assert "failing" not in response.json()["workers"]


def test_there_are_no_problems_without_failures(settings):
    settings.ST2_API_URL = ""
    make_execution(status="success")
    jobs.tick()

    assert problems.current() == []
