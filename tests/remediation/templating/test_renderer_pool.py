"""Renderer processes: isolation, how they end, and the resulting errors."""

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
    renderer_protocol,
    rendering,
)
from remediation.templating.renderer_pool import RendererPool
from tests.remediation.templating.variables import make_variables

pytestmark = pytest.mark.slow

NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
TIMEOUT_SECONDS = 60.0


@pytest.fixture
def pool():
    """Yield a new pool, and end its renderers."""
    fresh = RendererPool()
    yield fresh
    fresh.close()


def render(pool: RendererPool, template: object) -> object:
    return pool.call("render_step_parameters", [{"p": template}, make_variables()], {})


def pid_of(pool: RendererPool) -> int:
    (renderer,) = pool._idle
    return renderer._process.pid


def wait_until(condition) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
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
def test_every_json_value_survives_the_protocol(value: object) -> None:
    assert renderer_protocol.decode(renderer_protocol.encode(value)) == value


def test_other_types_survive_the_protocol() -> None:
    values = {"a": [DatastoreReference("st2kv.system.x")], "b": ["reference", "x"], "c": {"l": []}}
    parameters = renderer_protocol.decode(renderer_protocol.encode(StepParameters(values, ["b"])))

    assert isinstance(parameters, StepParameters)
    assert parameters == values
    assert parameters.from_data == {"b"}
    assert renderer_protocol.decode(renderer_protocol.encode(frozenset({"x"}))) == {"x"}
    error = renderer_protocol.decode(renderer_protocol.encode(TemplateError("f", "m")))
    assert isinstance(error, TemplateError)
    assert (error.field, error.message) == ("f", "m")
    with pytest.raises(TypeError, match="bytes is not JSON"):
        renderer_protocol.encode(b"")


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
def test_a_renderer_gives_the_same_results_as_this_process(pool, parameters) -> None:
    def outcome(render) -> object:
        try:
            step = render("render_step_parameters", [parameters, make_variables()], {})
            variables = make_variables() | {"parameters": step}
            sent = render("render_for_stackstorm", [{}, variables], {"rendered_twice": False})
        except TemplateError as error:
            return str(error)
        return step, step.from_data, sent

    def here(name, arguments, options):
        return getattr(rendering, name)(*arguments, **options)

    assert outcome(pool.call) == outcome(here)


def test_a_renderer_is_reused(pool) -> None:
    render(pool, "{{ 1 }}")
    first = pid_of(pool)

    render(pool, "{{ 2 }}")

    assert pid_of(pool) == first


def test_a_renderer_holds_no_secret(pool, monkeypatch) -> None:
    monkeypatch.setenv("CONFIG_TOKEN", "hunter2-hunter2")
    render(pool, "{{ 1 }}")

    for name in ("environ", "cmdline"):
        assert b"hunter2" not in Path(f"/proc/{pid_of(pool)}/{name}").read_bytes()
    output = [Path(f"/proc/{pid_of(pool)}/fd/{number}").readlink() for number in (1, 2)]
    assert output == [Path("/dev/null")] * 2


def test_a_killed_idle_renderer_is_replaced(pool) -> None:
    render(pool, "{{ 1 }}")
    killed = pid_of(pool)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: has_ended(killed))

    assert render(pool, "{{ 2 }}") == {"p": 2}


def test_a_renderer_killed_while_rendering_does_not_fail_the_template(pool) -> None:
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


def test_a_frozen_renderer_is_killed(pool, monkeypatch) -> None:
    render(pool, "{{ 1 }}")
    pid = pid_of(pool)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(renderer_pool, "_wall_clock_limit", lambda _limits: 0.2)

    with pytest.raises(RendererUnavailable, match="no CPU time"):
        render(pool, "{{ 2 }}")

    assert has_ended(pid)


def test_threads_wait_for_a_free_renderer(pool) -> None:
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


def test_waiting_too_long_for_a_renderer_is_an_error(pool, monkeypatch) -> None:
    monkeypatch.setattr(renderer_pool, "_wall_clock_limit", lambda _limits: 0.01)
    for _ in range(renderer_pool.RENDERERS_MAX):
        pool._slots.acquire()

    with pytest.raises(RendererUnavailable, match="all renderers are busy") as caught:
        render(pool, "{{ 1 }}")

    assert not caught.value.is_suspect


def test_a_failed_start_of_a_renderer_does_not_fail_the_template(pool, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    with pytest.raises(RendererUnavailable, match="could not be started") as caught:
        render(pool, "{{ 1 }}")

    assert not caught.value.is_suspect


FORK_SCRIPT = """
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


def test_a_fork_starts_its_own_renderers() -> None:
    subprocess.run([sys.executable, "-c", FORK_SCRIPT], check=True, timeout=TIMEOUT_SECONDS)


DYING_PARENT_SCRIPT = f"""
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
        [sys.executable, "-c", DYING_PARENT_SCRIPT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
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
