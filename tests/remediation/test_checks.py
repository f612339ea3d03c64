"""Settings that contradict each other prevent the start with a message."""

import pytest
from django.core.checks import Error, run_checks

from remediation.checks import check_queue, check_stackstorm


@pytest.fixture(autouse=True)
def stackstorm(settings):
    """Settings without problems."""
    settings.ST2_API_URL, settings.ST2_API_KEY = "https://st2.example.com/api/v1", "key"
    settings.ST2_AUTH_URL = settings.ST2_USERNAME = settings.ST2_PASSWORD = ""
    settings.ST2_STREAM_URL = ""
    return settings


def test_valid_settings_pass():
    assert check_queue() == check_stackstorm() == []


def test_the_checks_are_registered(settings):
    settings.ST2_API_KEY = ""

    assert "remediation.E4" in {message.id for message in run_checks()}


@pytest.mark.parametrize(
    ("changed", "id_"),
    [
        ({"orm": None}, "remediation.E1"),
        ({"orm": "replica"}, "remediation.E1"),
        ({"timeout": 60, "retry": 180}, "remediation.E2"),
        ({"retry": 30}, "remediation.E2"),
    ],
)
def test_a_queue_that_would_lose_or_redeliver_wake_ups_is_an_error(changed, id_, settings):
    settings.Q_CLUSTER = settings.Q_CLUSTER | changed

    [message] = check_queue()

    assert isinstance(message, Error)
    assert (message.id, message.msg[:9]) == (id_, "Q_CLUSTER")


def test_a_missing_stackstorm_url_is_a_warning_with_an_example(settings):
    settings.ST2_API_URL = ""

    [message] = check_stackstorm()

    assert (message.id, message.is_serious()) == ("remediation.W1", False)
    assert "ST2_API_URL" in message.msg
    assert message.hint is not None
    assert "https://" in message.hint


@pytest.mark.parametrize("name", ["ST2_API_URL", "ST2_AUTH_URL", "ST2_STREAM_URL"])
@pytest.mark.parametrize("value", ["st2.example.com", "ftp://st2.example.com", "https://"])
def test_an_invalid_url_is_an_error_that_names_the_setting(name, value, settings):
    setattr(settings, name, value)

    [message] = check_stackstorm()

    assert (message.id, message.msg.split()[0]) == ("remediation.E3", name)


def test_a_websocket_url_for_the_stream_is_a_warning(settings):
    settings.ST2_STREAM_URL = "wss://st2.example.com/stream"

    [message] = check_stackstorm()

    assert (message.id, message.is_serious()) == ("remediation.W2", False)
    assert message.hint is not None
    assert "https://" in message.hint


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ST2_USERNAME": "user", "ST2_PASSWORD": "pass"},
        {"ST2_AUTH_URL": "https://st2.example.com/auth", "ST2_USERNAME": "user"},
        {"ST2_AUTH_URL": "https://st2.example.com/auth", "ST2_PASSWORD": "pass"},
    ],
    ids=lambda given: "+".join(given) or "nothing",
)
def test_missing_credentials_are_an_error_that_names_both_ways(given, settings):
    for name, value in ({"ST2_API_KEY": ""} | given).items():
        setattr(settings, name, value)

    [message] = check_stackstorm()

    assert message.id == "remediation.E4"
    for name in ("ST2_API_KEY", "ST2_AUTH_URL", "ST2_USERNAME", "ST2_PASSWORD"):
        assert name in message.msg


def test_a_user_and_a_password_replace_a_key(settings):
    settings.ST2_API_KEY = ""
    settings.ST2_AUTH_URL = "https://st2.example.com/auth"
    settings.ST2_USERNAME, settings.ST2_PASSWORD = "user", "pass"

    assert check_stackstorm() == []


def test_callbacks_with_the_stream_are_a_warning(settings):
    settings.ST2_STREAM_URL = "https://st2.example.com/stream/v1"
    settings.ST2_NOTIFY = True

    [message] = check_stackstorm()

    assert (message.id, message.is_serious()) == ("remediation.W3", False)
    assert "ST2_NOTIFY" in message.msg
