"""The environment file: systemd's syntax, its precedence and its errors."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from poundcake import environment_file
from tests.paths import ROOT

PATH = Path("/etc/example.env")
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")

# The text of a file and the value of X in it.
VALUES = {
    "X=plain": "plain",
    "  X = spaces around  ": "spaces around",
    "X=a b\tc": "a b\tc",
    "X=not # a comment": "not # a comment",
    "X=p@ss#w;rd": "p@ss#w;rd",
    "X=$HOME ${HOME} `id` %h": "$HOME ${HOME} `id` %h",
    "X=a=b==": "a=b==",
    "X='single # $ \\ \"'": 'single # $ \\ "',
    'X="double # \\" \\\\ \\$ \\` \\n"': 'double # " \\ $ ` \\n',
    "X='it'\"'\"'s'": "it's",
    'X=it\'s "quoted"': 'it\'s "quoted"',
    "X='two\nlines'": "two\nlines",
    'X="con\\\ntinued"': "continued",
    "X=con\\\ntinued": "continued",
    "X=back\\\\slash \\# \\'": "back\\slash # '",
    "X=kept\\ ": "kept ",
    'X="a" "b" c': "abc",
    "# comment\n;comment\n\n \t\nX=x\n# comment": "x",
    "X=1\nX=2": "2",
    "X=windows\r\nY=2\r\n": "windows",
    "X=é漢": "é漢",
}

each_value = pytest.mark.parametrize(("text", "value"), VALUES.items())


@each_value
def test_a_value_is_read(text, value):
    assert environment_file.parse(text, PATH)["X"] == value


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd-analyze is missing")
@each_value
def test_systemd_reads_the_same_value(text, value, tmp_path):
    # systemd reads os-release with the parser of EnvironmentFile.
    path = tmp_path / "os-release"
    path.write_text(text)
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")

    done = subprocess.run(
        [str(SYSTEMD_ANALYZE), "condition", f'ConditionOSRelease="X={quoted}"'],
        env=os.environ | {"SYSTEMD_OS_RELEASE": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_value_is_read():
    assert environment_file.parse("A=\nB= \nC=''\n", PATH) == {"A": "", "B": "", "C": ""}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("X=1\nSECRET", 2, "it must be NAME=VALUE"),
        ("\n\nexport X=1", 3, "remove 'export'"),
        ("X Y=1", 1, "the name before = must"),
        ("1X=1", 1, "the name before = must"),
        ("=1", 1, "the name before = must"),
        ("A=1\nX='open\nB=2\n", 2, "the quote ' is not closed"),
        ('A=1\nX="open\\"\n', 2, 'the quote " is not closed'),
        ("A='two\nlines'\nX", 3, "it must be NAME=VALUE"),
        ("# skipped? \\\nX=1", 1, "a comment must not end in a backslash"),
        ("X=1\\", 1, "a backslash must not end the file"),
        ("X=a\0b", 1, "a value must not contain a NUL"),
    ],
)
def test_a_wrong_line_is_refused_with_file_and_line(text, line, problem):
    with pytest.raises(ImproperlyConfigured) as raised:
        environment_file.parse(text, PATH)

    assert str(raised.value).startswith(f"/etc/example.env, line {line}: {problem}")
    assert "SECRET" not in str(raised.value)


@pytest.fixture
def load(tmp_path):
    """Load a file with a text and a mode into an environment; return environment and warning."""

    def load_file(text, *, mode=0o640, **environment):
        path = tmp_path / "poundcake.env"
        path.write_text(text)
        path.chmod(mode)
        environment["POUNDCAKE_ENV_FILE"] = str(path)
        warning = environment_file.load(environment)
        return environment, warning

    return load_file


def test_variables_of_the_process_win(load):
    environment, _ = load("BIND=127.0.0.1:1\nLOG_LEVEL=DEBUG\n", BIND="127.0.0.1:2")

    assert (environment["BIND"], environment["LOG_LEVEL"]) == ("127.0.0.1:2", "DEBUG")


def test_a_variable_of_the_process_wins_over_a_secret_file_of_the_file(load):
    text = "DATABASE_URL_FILE=/run/url\nST2_API_KEY_FILE=/run/key\n"
    environment, _ = load(text, DATABASE_URL="x")

    assert "DATABASE_URL_FILE" not in environment
    assert environment["ST2_API_KEY_FILE"] == "/run/key"


def test_child_processes_do_not_read_the_file_again(load):
    environment, _ = load("BIND=127.0.0.1:1\n")

    assert environment["POUNDCAKE_ENV_FILE"] == ""


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "DATABASE_URL", "ST2_API_KEY", "ST2_PASSWORD", "CONFIG_X"]
)
def test_secrets_that_every_user_can_read_cause_a_warning(name, load):
    assert "chmod o= " in load(f"{name}=x\n", mode=0o644)[1]
    assert load(f"{name}=x\n", mode=0o640)[1] == ""
    assert load(f"{name}_FILE=/run/x\nBIND=127.0.0.1:1\n", mode=0o644)[1] == ""


def test_without_the_variable_the_default_file_is_read_if_it_exists(monkeypatch, tmp_path):
    path = tmp_path / "poundcake.env"
    monkeypatch.setattr(environment_file, "DEFAULT_PATH", path)
    environment: dict[str, str] = {}

    environment_file.load(environment)
    assert environment == {}

    path.write_text("BIND=127.0.0.1:1\n")
    environment_file.load(environment)
    assert environment["BIND"] == "127.0.0.1:1"


def test_with_an_empty_variable_no_file_is_read(monkeypatch, tmp_path):
    path = tmp_path / "poundcake.env"
    path.write_text("BIND=127.0.0.1:1\n")
    monkeypatch.setattr(environment_file, "DEFAULT_PATH", path)
    environment = {"POUNDCAKE_ENV_FILE": ""}

    environment_file.load(environment)

    assert environment == {"POUNDCAKE_ENV_FILE": ""}


def test_a_default_file_that_this_user_may_not_read_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "poundcake.env"
    path.write_text("X=1")
    monkeypatch.setattr(environment_file, "DEFAULT_PATH", path)

    def refuse(*_args, **_kwargs):
        # Root can read every file, so the mode does not matter for it.
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)

    with pytest.raises(ImproperlyConfigured, match="this user may not"):
        environment_file.load({})


def test_a_file_that_is_not_utf_8_is_refused(tmp_path):
    path = tmp_path / "poundcake.env"
    path.write_bytes(b"X=\xff")

    with pytest.raises(ImproperlyConfigured, match=r"poundcake\.env is not UTF-8\.$"):
        environment_file.load({"POUNDCAKE_ENV_FILE": str(path)})


def run(*command, **environment):
    """Run Python with an environment; return status and standard error."""
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_commands_and_the_web_server_read_the_file(tmp_path):
    path = tmp_path / "poundcake.env"
    path.write_text("POLL_INTERVAL=soon\n")
    sentence = "POLL_INTERVAL must be a number of seconds, not 'soon'.\n"

    status, output = run("manage.py", "check", POUNDCAKE_ENV_FILE=str(path))
    assert (status, output) == (1, sentence)

    status, output = run("-c", "import poundcake.wsgi", POUNDCAKE_ENV_FILE=str(path))
    assert (status, output.count("\n")) == (4, 1)
    assert output.endswith(f" CRITICAL web poundcake.wsgi: {sentence}")


def test_a_missing_file_stops_a_command_with_one_sentence(tmp_path):
    path = tmp_path / "none.env"

    assert run("manage.py", "check", POUNDCAKE_ENV_FILE=str(path)) == (
        1,
        f"The environment file {path} cannot be read: No such file or directory. Correct"
        " POUNDCAKE_ENV_FILE, or create the file.\n",
    )
