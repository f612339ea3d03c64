"""The processes that render: what they know, how they end, and what their end says."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.templating import (
    DatastoreReference,
    RendererUnavailable,
    StepParameters,
    TemplateError,
    render_step_parameters,
    renderer_pool,
    rendering,
    wire,
)
from remediation.templating.renderer_pool import RendererPool
from tests.remediation.templating.variables import make_variables

NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
PATIENCE = 60.0


@pytest.fixture
def pool():
    """Return a pool of its own, empty before and after."""
    fresh = RendererPool()
    yield fresh
    fresh.close()


def render(pool: RendererPool, template: object) -> object:
    return pool.call("render_step_parameters", [{"p": template}, make_variables()], {})


def pid_of(pool: RendererPool) -> int:
    (renderer,) = pool._idle
    return renderer._process.pid


def wait_until(holds) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_every_json_value_goes_over_the_wire(value: object) -> None:
    assert wire.decode(wire.encode(value)) == value


def test_what_is_more_than_json_goes_over_the_wire() -> None:
    values = {"a": [DatastoreReference("st2kv.system.x")], "b": ["reference", "x"], "c": {"l": []}}
    parameters = wire.decode(wire.encode(StepParameters(values, ["b"])))

    assert isinstance(parameters, StepParameters)
    assert (parameters, parameters.from_data) == (values, {"b"})
    assert wire.decode(wire.encode(frozenset({"x"}))) == {"x"}
    error = wire.decode(wire.encode(TemplateError("f", "m")))
    assert (error.field, error.message) == ("f", "m")
    with pytest.raises(TypeError, match="bytes is not JSON"):
        wire.encode(b"")


@pytest.mark.parametrize(
    "parameters",
    [
        {"p": "{{ alert.instance }} {{ '{{' }}", "q": ["{{ 1 }}", {"r": "{{ none }}"}]},
        {"p": "{{ st2kv.system.key | decrypt_kv }}", "cmd": "echo {{ alert.instance | quote }}"},
        {"p": "{{ alert.labels.nope }}"},
        {"cmd": "echo {{ alert.instance }}"},
        {"hosts": "{{ 'a,b' }}{{ alert.instance }},"},
        {"p": "{{ ["},
        {"p": "{{ alert.instance | truncate(2) }}"},
    ],
)
def test_a_renderer_renders_as_this_process_does(pool, parameters) -> None:
    def outcome(render) -> object:
        try:
            step = render("render_step_parameters", [parameters, make_variables()], {})
            variables = make_variables() | {"parameters": step}
            sent = render("render_for_stackstorm", [{}, variables], {"rendered_again": False})
        except TemplateError as error:
            return str(error)
        return step, step.from_data, sent

    def here(name, arguments, options):
        return getattr(rendering, name)(*arguments, **options)

    assert outcome(pool.call) == outcome(here)


def test_a_renderer_is_used_again(pool) -> None:
    render(pool, "{{ 1 }}")
    first = pid_of(pool)

    render(pool, "{{ 2 }}")

    assert pid_of(pool) == first


def test_a_renderer_knows_no_secret(pool, monkeypatch) -> None:
    monkeypatch.setenv("CONFIG_TOKEN", "hunter2-hunter2")
    render(pool, "{{ 1 }}")

    for name in ("environ", "cmdline"):
        assert b"hunter2" not in Path(f"/proc/{pid_of(pool)}/{name}").read_bytes()
    output = [Path(f"/proc/{pid_of(pool)}/fd/{number}").readlink() for number in (1, 2)]
    assert output == [Path("/dev/null")] * 2


def test_an_idle_renderer_that_was_killed_is_replaced(pool) -> None:
    render(pool, "{{ 1 }}")
    killed = pid_of(pool)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: has_ended(killed))

    assert render(pool, "{{ 2 }}") == {"p": 2}


def test_one_that_is_killed_at_work_says_nothing_about_the_template(pool) -> None:
    render(pool, "{{ 1 }}")
    pid = pid_of(pool)
    killer = threading.Timer(0.1, os.kill, [pid, signal.SIGKILL])
    killer.start()

    with pytest.raises(
        RendererUnavailable, match=r"^p: could not be rendered: .*SIGKILL"
    ) as caught:
        render(pool, NESTED)

    killer.join()
    assert caught.value.is_suspect
    assert render(pool, "{{ 2 }}") == {"p": 2}


def test_one_that_is_frozen_is_given_up(pool, monkeypatch) -> None:
    render(pool, "{{ 1 }}")
    pid = pid_of(pool)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(renderer_pool, "_patience", lambda _limits: 0.2)

    with pytest.raises(RendererUnavailable, match="no processor time"):
        render(pool, "{{ 2 }}")

    assert has_ended(pid)


def test_more_threads_than_renderers_wait_for_one(pool) -> None:
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append(render(pool, "{{ 1 + 1 }}"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [{"p": 2}] * 6
    assert len(pool._idle) <= renderer_pool.RENDERERS_MAX


def test_who_waits_too_long_for_a_renderer_is_told_so(pool, monkeypatch) -> None:
    monkeypatch.setattr(renderer_pool, "_patience", lambda _limits: 0.01)
    for _ in range(renderer_pool.RENDERERS_MAX):
        pool._slots.acquire()

    with pytest.raises(RendererUnavailable, match="all renderers are busy") as caught:
        render(pool, "{{ 1 }}")

    assert not caught.value.is_suspect


def test_a_renderer_that_cannot_start_says_nothing_about_the_template(pool, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    with pytest.raises(RendererUnavailable, match="could be started") as caught:
        render(pool, "{{ 1 }}")

    assert not caught.value.is_suspect


FORKS = """
import os, sys
from remediation.templating import render_step_parameters as render
from remediation.templating.renderer_pool import POOL
def pid():
    assert render({"p": "{{ 1 + 1 }}"}, {}) == {"p": 2}
    return POOL._idle[0]._process.pid
before = pid()
child = os.fork()
if not child:
    os._exit(0 if pid() != before else 1)
assert os.waitpid(child, 0)[1] == 0
assert pid() == before
"""


def test_a_fork_starts_renderers_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=PATIENCE)


DIES = f"""
import threading, time
from remediation.templating import configure, render_step_parameters as render
from remediation.templating.renderer_pool import POOL
configure(seconds=1.0, max_bytes=100000)
render({{"p": "{{{{ 1 + 1 }}}}"}}, {{}})
print(POOL._idle[0]._process.pid, flush=True)
render({{"p": "{NESTED}"}}, {{}})
"""


def test_no_renderer_outlives_its_parent_for_longer_than_its_budget() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DIES], stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.1)
        parent.kill()
        parent.wait()

        wait_until(lambda: has_ended(pid))


def test_a_large_result_is_rendered() -> None:
    result = {"rows": [{"n": number, "text": "x" * 100} for number in range(10_000)]}
    variables = make_variables(steps={"look": {"result": result}})

    rendered = render_step_parameters({"p": "{{ steps.look.result.rows[0].n }}"}, variables)

    assert rendered == {"p": 0}
