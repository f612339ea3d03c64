"""The roles of PoundCake's processes."""

import pytest

from tools.bench import roles

MANAGE = ["python", "/opt/poundcake/manage.py"]
COMMANDS = {
    1: [*MANAGE, "serve"],
    70: ["python", "-m", "granian"],
    99: ["python", "-m", "unrelated"],
}
CHILDREN = {
    0: [1, 99],
    1: [10, 30, 40, 50, 60, 70],
    10: [11],
    30: [31, 32],
    40: [41],
    50: [51],
}
NAMES = {1: "web", 3: "launch", 4: "follow", 5: "local", 6: "follower"}


@pytest.fixture(autouse=True)
def proc(monkeypatch):
    """Forks have the command line of their parent and a name."""
    monkeypatch.setattr(roles, "_words", lambda pid, _name: COMMANDS.get(pid, COMMANDS[1]))
    monkeypatch.setattr(roles, "_name", lambda pid: NAMES.get(pid // 10, "python"))
    monkeypatch.setattr(roles, "children", lambda: CHILDREN)


def test_a_role_follows_from_name_command_line_and_parents():
    by_role: dict[str, set[int]] = {}
    for pid, role in roles.find_roles(1, CHILDREN).items():
        by_role.setdefault(role, set()).add(pid)

    assert by_role == {
        "web": {10, 11, 70},
        "launch": {31, 32},
        "follow": {41},
        "local": {51},
        "stream": {60},
        "parents": {1, 30, 40, 50},
    }


def test_a_starting_cluster_has_no_working_process():
    starting = CHILDREN | {40: []}

    roles_now = roles.find_roles(1, starting)

    assert roles_now[40] == "parents"
    assert "follow" not in roles_now.values()


def test_the_use_between_two_readings_is_divided_by_the_count():
    before = {"web": {"CPU ms": 100.0}, "launch": {"CPU ms": 5.0}}
    after = {"web": {"CPU ms": 300.0}, "launch": {"CPU ms": 5.0}, "late": {"CPU ms": 9.0}}

    assert roles.between(10, before, after) == {"web": {"CPU ms": 20.0}, "launch": {"CPU ms": 0.0}}
