"""Settings: a wrong value stops the start with a message that names the setting."""

import os
import runpy
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from poundcake import settings as module

ROOT = Path(module.__file__).parents[1]


@pytest.fixture
def read(monkeypatch, tmp_path):
    """Read the settings from an environment, with a copy of settings.py whose var/ is empty."""
    copy = tmp_path / "poundcake" / "settings.py"
    copy.parent.mkdir()
    copy.write_text(Path(module.__file__).read_text())
    for name in (*os.environ,):
        if name.startswith(("ST2_", "CONFIG_", "DATABASE_", "SECRET_")):
            monkeypatch.delenv(name)

    def read_settings(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(copy))

    return read_settings


SECONDS = [
    "ST2_TIMEOUT",
    "POLL_INTERVAL",
    "RESOLVE_TIMEOUT",
    "LAUNCH_LOOKUP_SECONDS",
    "LAUNCH_TIMEOUT",
    "ST2_QUEUE_TIMEOUT",
    "ST2_INQUIRY_TIMEOUT",
    "TEMPLATE_TIMEOUT_SECONDS",
    "ST2_ACTION_MAX_AGE",
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in SECONDS for value in ("soon", "-1", "nan", "inf", "")),
        ("ST2_TIMEOUT", "0"),
        ("POLL_INTERVAL", "0"),
        *(("ST2_MAX_CONCURRENT_REQUESTS", value) for value in ("0", "-1", "1.5", "many", "")),
        *(("TEMPLATE_TIMEOUT_SECONDS", value) for value in ("0", "4.1")),
        *(("TEMPLATE_MAX_BYTES", value) for value in ("0", "999", "16777217", "1 MiB", "")),
        *((name, "maybe") for name in ("DEBUG", "ST2_NOTIFY", "ST2_VERIFY_TLS", "SECURE_COOKIES")),
        *(("BIND", value) for value in ("8000", ":8000", "localhost:", "h:http", "h:70000")),
        ("LOG_LEVEL", "LOUD"),
        *(
            ("LOCAL_ACTION_ALLOWED_NETWORKS", value)
            for value in ("10.0.0.1/8", "10.0.0.0/33", "web-01", "10.0.0.0-10.0.0.9")
        ),
        *(("LOCAL_ACTION_ALLOWED_HOSTS", value) for value in ("http://web-01", "web-01 web-02")),
        *(("LOCAL_ACTION_RESPONSE_BYTES", value) for value in ("-1", "65537", "1 KiB", "")),
        ("LOCAL_ACTION_CA_BUNDLE", "/no/such/file"),
        *(("TARGET_PARAMETERS", value) for value in ("a host", "hosts,-")),
        *(
            ("DATABASE_URL", value)
            for value in ("nonsense", "postgres://u@h/n", "mysql://u@h:port/n", "/a/file")
        ),
        *((f"{name}_FILE", "/no/such/file") for name in ("SECRET_KEY", "ST2_API_KEY")),
        ("CONFIG_KEY_FILE", "/no/such/file"),
    ],
)
def test_a_wrong_value_is_refused_with_a_message_that_names_the_setting(name, value, read):
    with pytest.raises(ImproperlyConfigured, match=rf"^{name} .+\.$"):
        read(**{name: value})


def test_the_error_for_a_database_url_does_not_contain_the_password(read):
    with pytest.raises(ImproperlyConfigured) as raised:
        read(DATABASE_URL="postgres://user:hunter2@host/name")

    assert "hunter2" not in str(raised.value)


def test_a_wrong_value_stops_every_command():
    environment = os.environ | {"POLL_INTERVAL": "soon"}

    process = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "check"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode != 0
    assert "POLL_INTERVAL must be a number of seconds, not 'soon'." in process.stderr


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("True", True), ("1", True), ("false", False), ("0", False)]
)
def test_a_boolean_is_true_false_1_or_0(text, value, read):
    assert read(ST2_VERIFY_TLS=text)["ST2_VERIFY_TLS"] is value


def test_no_setting_is_required(read):
    settings = read()

    assert settings["DEBUG"] is False
    assert settings["ST2_VERIFY_TLS"] is True
    assert settings["ST2_API_URL"] == ""
    assert settings["DATABASES"]["default"]["ENGINE"] == "poundcake.sqlite"


@pytest.mark.parametrize("name", ["SECRET_KEY", "ST2_API_KEY", "ST2_PASSWORD"])
@pytest.mark.parametrize(
    "text",
    [
        f"{'x' * 20}{text}"
        for text in ("plain text, long", " $has a dollar", "has an \\$escape", "at its end =#")
    ]
    + ["$begins with a dollar, and is long enough"],
)
def test_a_secret_is_read_literally(name, text, read):
    assert read(**{name: text})[name] == text


@pytest.mark.parametrize("name", ["SECRET_KEY", "ST2_API_KEY", "ST2_PASSWORD"])
def test_a_secret_file_overrides_the_variable(name, read, tmp_path):
    path = tmp_path / "secret"
    path.write_text("$from the file, with 32 characters\n")

    settings = read(**{name: "from the environment", f"{name}_FILE": str(path)})

    assert settings[name] == "$from the file, with 32 characters"


def test_the_database_url_can_come_from_a_file(read, tmp_path):
    path = tmp_path / "url"
    path.write_text("mysql://user:p%40ssword@db.example.com:3307/poundcake\n")

    database = read(DATABASE_URL_FILE=str(path))["DATABASES"]["default"]

    assert (database["PASSWORD"], database["HOST"], database["PORT"]) == (
        "p@ssword",
        "db.example.com",
        3307,
    )


def test_config_secrets_come_from_the_environment_and_from_files(read, tmp_path):
    path = tmp_path / "secret"
    path.write_text("hunter3-hunter3\n")

    settings = read(CONFIG_DATABASE_PASSWORD="hunter2-hunter2", CONFIG_TOKEN_FILE=str(path))

    assert settings["CONFIG_SECRETS"] == {
        "database_password": "hunter2-hunter2",
        "token": "hunter3-hunter3",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ST2_API_KEY", "s3cret7"),
        ("ST2_PASSWORD", "s3cret7"),
        ("CONFIG_DB_PASSWORD", "s3cret7"),
        ("DATABASE_URL", "mysql://user:s3cret7@host/name"),
    ],
)
@pytest.mark.parametrize("is_file", [False, True])
def test_a_secret_that_is_too_short_to_be_masked_is_refused(name, value, is_file, read, tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{value}\n")

    with pytest.raises(ImproperlyConfigured) as raised:
        read(**({f"{name}_FILE": str(path)} if is_file else {name: value}))

    assert f"{name} has fewer than 8 characters" in str(raised.value)
    assert "s3cret7" not in str(raised.value)


def test_the_secret_key_is_created_once_with_mode_600(read, tmp_path):
    first = read()["SECRET_KEY"]
    second = read()["SECRET_KEY"]

    assert first == second
    assert len(first) >= 50
    [stored] = (tmp_path / "var").iterdir()
    assert (stored.name, stored.read_text()) == ("secret_key", first)
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600


def test_a_given_secret_key_is_not_stored(read, tmp_path):
    key = "a-given-secret-key-of-32-letters"

    assert read(SECRET_KEY=key)["SECRET_KEY"] == key
    assert not (tmp_path / "var" / "secret_key").exists()


def test_a_secret_key_that_cannot_be_read_is_explained(read, tmp_path):
    (tmp_path / "var" / "secret_key").mkdir(parents=True)

    with pytest.raises(ImproperlyConfigured, match=r"SECRET_KEY is not set and .* Is a directory"):
        read()


def test_a_short_secret_key_is_refused(read):
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY has fewer than 32 characters"):
        read(SECRET_KEY="a-given-secret-key-of-31-letter")


def test_sqlite_takes_the_write_lock_first_and_creates_its_folder(read, tmp_path):
    path = tmp_path / "deep" / "down" / "poundcake.sqlite3"

    database = read(DATABASE_URL=f"sqlite:///{path}")["DATABASES"]["default"]

    assert database["NAME"] == str(path)
    assert database["CONN_MAX_AGE"] == 60
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]
    assert path.parent.is_dir()


def test_mariadb_is_strict_uses_utc_and_accepts_a_socket(read):
    url = "mysql://root@localhost/poundcake?unix_socket=/run/mysqld.sock"

    database = read(DATABASE_URL=url)["DATABASES"]["default"]

    assert (database["ENGINE"], database["NAME"]) == ("poundcake.mariadb", "poundcake")
    options = database["OPTIONS"]
    assert options["unix_socket"] == "/run/mysqld.sock"
    assert options["charset"] == "utf8mb4"
    assert options["isolation_level"] == "read committed"
    assert "time_zone='+00:00'" in options["init_command"]
    assert "STRICT_TRANS_TABLES" in options["init_command"]
    assert "idle_transaction_timeout=40" in options["init_command"]


def test_options_of_django_in_the_database_url_do_not_reach_the_driver(read):
    url = "mysql://u@h/n?conn_max_age=5&CONN_HEALTH_CHECKS=0&autocommit=true&connect_timeout=5"

    database = read(DATABASE_URL=url)["DATABASES"]["default"]

    assert (database["CONN_MAX_AGE"], database["CONN_HEALTH_CHECKS"]) == (60, True)
    assert database["AUTOCOMMIT"] == "true"
    assert {name.upper() for name in database["OPTIONS"]} == {
        *("CONNECT_TIMEOUT", "CHARSET", "ISOLATION_LEVEL", "INIT_COMMAND"),
    }


@pytest.mark.parametrize("password", ["p#w-long", "p[w-long", "p%23w-long"])
def test_a_password_in_the_database_url_may_hold_reserved_characters(password, read):
    database = read(DATABASE_URL=f"mysql://user:{password}@host/name")["DATABASES"]["default"]

    assert database["PASSWORD"] == password.replace("%23", "#")


def test_a_host_in_a_sqlite_url_is_ignored_with_a_warning(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.warns(UserWarning, match="the host 'data' is ignored"):
        database = read(DATABASE_URL="sqlite://data/x.sqlite3")["DATABASES"]["default"]

    assert database["NAME"] == "x.sqlite3"


def test_sqlite_may_be_in_memory(read):
    names = {
        read(DATABASE_URL=url)["DATABASES"]["default"]["NAME"]
        for url in ("sqlite://:memory:", "sqlite://")
    }

    assert names == {":memory:"}


def test_a_list_is_split_at_commas(read):
    assert read(SEVERITY_ORDER="page, info,")["SEVERITY_ORDER"] == ["page", "info"]
