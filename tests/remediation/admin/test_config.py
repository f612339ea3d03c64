"""Config values are plain JSON and never secret."""

import pytest

from remediation.models import ConfigValue
from tests.remediation.admin.forms import errors_of, page, send


def test_a_value_is_saved_as_json(operator):
    send(operator, page(ConfigValue, "add"), key="limits", value='{"hosts": 5}')

    assert ConfigValue.objects.get().value == {"hosts": 5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "Ops Channel"}, "lower-case"),
        ({"value": "#alerts"}, "This is not JSON"),
        ({"value": ""}, "required"),
    ],
)
def test_what_templates_could_not_read_is_refused(operator, changes, message):
    fields = {"key": "ops_channel", "value": '"#alerts"'} | changes

    response = send(operator, page(ConfigValue, "add"), **fields)

    assert message in errors_of(response)
    assert not ConfigValue.objects.exists()


def test_the_form_warns_of_secrets(operator):
    content = operator.get(page(ConfigValue, "add")).content.decode()

    assert "Never put a secret here" in content
    assert "CONFIG_KEY" in content
