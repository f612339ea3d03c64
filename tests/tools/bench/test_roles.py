"""The roles of PoundCake's processes."""

import pytest

from tools.bench import roles

MANAGE = ["python", "/opt/poundcake/manage.py"]
COMMANDS = {
    1: [*MANAGE, "serve"],
    10: [*MANAGE, "web"],
    11: [*MANAGE, "web"],
    20: [*MANAGE, "worker"],
    **{pid: [*MANAGE, "cluster"] for pid in (30, 31, 32, 33, 40, 41, 42, 50, 51, 52)},
    60: [*MANAGE, "follow_stackstorm"],
    99: ["python", "-m", "unrelated"],
}
CHILDREN = {
    0: [1, 99],
    1: [10, 20, 60],
    10: [11],
    20: [30, 40, 50],
    30: [31],
    31: [32, 33],
    40: [41],
    41: [42],
    50: [51],
    51: [52],
}
CLUSTERS = {3: "launch", 4: "follow", 5: "local"}


@pytest.fixture(autouse=True)
def proc(monkeypatch):
    def words(pid, name):
        if name == "cmdline":
            return COMMANDS.get(pid, [])
        return ["HOME=/root", f"Q_CLUSTER_NAME={CLUSTERS.get(pid // 10, '')}"]

    monkeypatch.setattr(roles, "_words", words)
    monkeypatch.setattr(roles, "children", lambda: CHILDREN)


def test_a_role_follows_from_command_line_and_parents():
    by_role: dict[str, set[int]] = {}
    for pid, role in roles.find_roles(1, CHILDREN).items():
        by_role.setdefault(role, set()).add(pid)

    assert by_role == {
        "web": {10, 11},
        "launch": {32, 33},
        "follow": {42},
        "local": {52},
        "stream": {60},
        "parents": {1, 20, 30, 31, 40, 41, 50, 51},
    }


def test_a_starting_cluster_has_no_working_process():
    starting = CHILDREN | {40: [41], 41: []}

    roles_now = roles.find_roles(1, starting)

    assert (roles_now[40], roles_now[41]) == ("parents", "parents")
    assert "follow" not in roles_now.values()


def test_the_use_between_two_readings_is_divided_by_the_count():
    before = {"web": {"CPU ms": 100.0}, "launch": {"CPU ms": 5.0}}
    after = {"web": {"CPU ms": 300.0}, "launch": {"CPU ms": 5.0}, "late": {"CPU ms": 9.0}}

    assert roles.between(10, before, after) == {"web": {"CPU ms": 20.0}, "launch": {"CPU ms": 0.0}}
