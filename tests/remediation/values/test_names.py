"""Names that look alike have one visible form."""

import pytest

from remediation.values.names import visible_form


@pytest.mark.parametrize(
    "name",
    [
        "SYSTEM",
        " system ",
        "sys tem",
        "sys\u00a0tem",
        "\uff53\uff59\uff53\uff54\uff45\uff4d",
        "sys\u200btem",
        "sy\u0301stem",
        "\u0455ystem",
        "\u0455\u0443\u0455t\u0435m",
        "s\u0443s\u0442\u0435\u043c",
        "\U0001d42c\U0001d432\U0001d42c\U0001d42d\U0001d41e\U0001d426",
        "system\u202e",
    ],
)
def test_look_alikes_have_the_form_of_the_plain_name(name):
    assert visible_form(name) == "system"


@pytest.mark.parametrize(
    "name", ["systems", "sys-tem", "syste", "\u043c\u0438\u0445\u0430\u0438\u043b", ""]
)
def test_other_names_differ(name):
    assert visible_form(name) != "system"
