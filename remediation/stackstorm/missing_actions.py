"""What to do about an action that StackStorm does not have.

This is the only place with this advice. It names ``st2 pack install`` only for packs that exist,
and it knows what replaced the actions that no current pack has.
"""

import difflib
from collections.abc import Sequence

from remediation.stackstorm.exchange_packs import EXCHANGE_PACKS

# Packs that StackStorm installs itself; st2/contrib in its repository.
STOCK_PACKS = frozenset({"chatops", "core", "default", "linux", "packs"})
# Refs that no current pack has -> what to use instead.
REPLACEMENTS = {
    "email.send": "email.send_email (st2 pack install email)",
    "linux.check_diskspace": "core.remote with a cmd such as df -P /",
    "network.ping": (
        "the local action ping, or networking_utils.ping (st2 pack install networking_utils)"
    ),
    "network.port_check": "the local action tcp_check",
}
CLOSE_RATIO = 0.5  # similarity of two action names, as difflib computes it
CLOSE_MAX = 3  # similar actions named in a message


def replacement_advice(ref: str) -> str:
    """Return what to use in place of an action that no current pack has; '' for other actions."""
    replacement = REPLACEMENTS.get(ref)
    return f"No current pack has {ref}: use {replacement}." if replacement else ""


def advice(ref: str) -> str:
    """Return what to do about a missing action if it is not known whether its pack is installed."""
    pack = ref.partition(".")[0]
    if found := replacement_advice(ref):
        return found
    if pack in STOCK_PACKS:
        return (
            f"Correct st2_action_ref: the pack {pack}, which is a part of StackStorm, has no {ref}."
        )
    return f"Correct st2_action_ref, or install the pack: {_install_advice(pack)}"


def advice_without_pack(ref: str) -> str:
    """Return what to do if the pack of the action is not installed."""
    pack = ref.partition(".")[0]
    problem = f"StackStorm does not know {ref}."
    if found := replacement_advice(ref):
        return f"{problem} {found}"
    if pack in STOCK_PACKS:
        return (
            f"{problem} The pack {pack} is a part of StackStorm: register it with"
            " st2ctl reload --register-all"
        )
    if pack in EXCHANGE_PACKS:
        return f"{problem} Install its pack: st2 pack install {pack}"
    return f"{problem} Correct st2_action_ref, or install the pack: {_install_advice(pack)}"


def advice_with_pack(ref: str, refs: Sequence[str]) -> str:
    """Return what to do if the pack is installed, but has only the actions ``refs``."""
    pack, _, name = ref.partition(".")
    problem = f"StackStorm has the pack {pack}, but no action {ref} in it."
    if found := replacement_advice(ref):
        return f"{problem} {found}"
    names = [other.partition(".")[2] for other in refs]
    if close := difflib.get_close_matches(name, names, n=CLOSE_MAX, cutoff=CLOSE_RATIO):
        similar = ", ".join(f"{pack}.{other}" for other in close)
        return f"{problem} It has {similar}: correct st2_action_ref."
    return f"{problem} Correct st2_action_ref; st2 action list --pack {pack} lists its actions."


def _install_advice(pack: str) -> str:
    if pack in EXCHANGE_PACKS:
        return f"st2 pack install {pack}"
    return (
        f"StackStorm Exchange has no pack {pack}, so use the URL of its Git repository,"
        " st2 pack install https://..."
    )
