"""The advice for actions that StackStorm does not have can always work."""

import re

import pytest

from remediation import local_actions
from remediation.management.commands.seed_actions import STACKSTORM_ACTIONS
from remediation.stackstorm import missing_actions
from remediation.stackstorm.exchange_packs import EXCHANGE_PACKS
from st2_sandbox.catalog import Catalog
from tests.paths import ROOT

SEEDED = [ref for ref, _description, _mapping in STACKSTORM_ACTIONS.values()]
STOCK = ["core.local", "core.remote", "core.http", "linux.service", "linux.check_loadavg"]


@pytest.fixture(scope="module")
def packs() -> dict[str, list[str]]:
    """The actions of the packs that the sandbox has from StackStorm and its Exchange."""
    refs = Catalog(["core", "email", "linux", "slack"]).actions
    found: dict[str, list[str]] = {}
    for ref in refs:
        found.setdefault(ref.partition(".")[0], []).append(ref)
    return found


@pytest.mark.parametrize("ref", [*SEEDED, "aws.ec2_start", "nosuch.action", "core.nope"])
def test_only_packs_that_exist_are_to_be_installed(ref, packs):
    pack = ref.partition(".")[0]
    texts = [missing_actions.advice(ref), missing_actions.advice_without_pack(ref)]
    if pack in packs:
        texts.append(missing_actions.advice_with_pack(ref, packs[pack]))

    for text in texts:
        assert set(re.findall(r"st2 pack install (\w+)", text)) <= EXCHANGE_PACKS | {"https"}
        assert set(re.findall(r"local action (\w+)", text)) <= set(local_actions.names())


def test_each_seeded_action_is_stock_or_in_a_pack_or_replaced(packs):
    for ref in SEEDED:
        pack = ref.partition(".")[0]
        is_stock = ref in STOCK
        is_in_exchange = pack in EXCHANGE_PACKS and ref in packs[pack]

        assert [is_stock, is_in_exchange, ref in missing_actions.REPLACEMENTS].count(True) == 1, ref
        if is_stock:
            assert pack in missing_actions.STOCK_PACKS
            assert ref in packs[pack]


@pytest.mark.parametrize(("ref", "replacement"), missing_actions.REPLACEMENTS.items())
def test_a_replacement_exists(ref, replacement, packs):
    assert not any(ref in refs for refs in packs.values())
    names = re.findall(r"[a-z_]+\.[a-z_]+", replacement)
    for name in names:
        pack = name.partition(".")[0]
        assert name in packs.get(pack, []) or pack == "networking_utils"
    assert names or "local action" in replacement


@pytest.mark.parametrize(
    ("advice", "text"),
    [
        (missing_actions.advice_without_pack("linux.service"), "st2ctl reload --register-all"),
        (missing_actions.advice_without_pack("slack.post_message"), "st2 pack install slack"),
        (missing_actions.advice("slack.post_message"), "install the pack: st2 pack install slack"),
        (missing_actions.advice("acme.fix"), "the URL of its Git repository"),
        (missing_actions.advice_with_pack("acme.fixx", ["acme.fix"]), "It has acme.fix: correct"),
        (missing_actions.advice_with_pack("acme.x", []), "st2 action list --pack acme"),
    ],
)
def test_the_advice_depends_on_the_pack(advice, text):
    assert text in advice


def test_the_documented_table_is_this_advice():
    document = (ROOT / "docs" / "stackstorm.md").read_text()
    section = document.split("## The seeded actions")[1].split("\n## ")[0]

    for ref in SEEDED:
        [row] = re.findall(rf"^\| `{re.escape(ref)}` \| (.+) \|$", section, re.MULTILINE)
        plain = row.replace("`", "")
        if ref in missing_actions.REPLACEMENTS:
            assert plain == f"in no current pack; use {missing_actions.REPLACEMENTS[ref]}"
        else:
            assert plain == ("part of StackStorm" if ref in STOCK else "st2 pack install slack")
