"""Say what a person can do about a failure, from StackStorm's own words."""

import re

MAKE_A_KEY = (
    'Make a key with: st2 apikey create -k -m \'{"used_by": "poundcake"}\' '
    "and set it as ST2_API_KEY."
)
CHECK_LOGIN = (
    "Check ST2_USERNAME and ST2_PASSWORD, and that ST2_AUTH_URL belongs to the StackStorm "
    "of ST2_API_URL."
)
CHECK_API_URL = "Check ST2_API_URL: StackStorm's API is not at this address."
CHECK_AUTH_URL = "Check ST2_AUTH_URL: StackStorm's auth service is not at this address."
CHECK_STREAM_URL = (
    "Check ST2_STREAM_URL, such as https://st2.example.com/stream/v1, and that st2stream runs."
)
USE_HTTPS = "Write ST2_API_URL as the address it redirects to: it should start with https://."
TRUST_CERTIFICATE = "Set ST2_CA_BUNDLE to the file of the CA certificate that signed StackStorm's."
OTHER_NAME = (
    "The certificate is for another name: write ST2_API_URL with a name that it holds, or give"
    " StackStorm a certificate for this one."
)
EXPIRED = "Renew StackStorm's certificate, and check the clocks of both machines."

# StackStorm tells its refusals apart by their text alone: all of these but the last two are 400.
_REMEDIES = (
    (
        re.compile(r'^Action "(?P<pack>[^".]+)\.[^"]+" cannot be found\.'),
        "Install the pack: st2 pack install {pack}",
    ),
    (
        re.compile(r'^Action "[^".]*" cannot be found\.'),
        "Write st2_action_ref with its pack, as in core.local.",
    ),
    (
        re.compile(r"^'(?P<name>[^']+)' is a required property"),
        "The parameter '{name}' is missing: check the st2_parameters mapping of the action.",
    ),
    (
        re.compile(r"^The resource could not be found\."),
        CHECK_API_URL,
    ),
    (
        re.compile(r"Request Entity Too Large"),
        "The parameters are too large: StackStorm's nginx takes 1 MB, unless its "
        "client_max_body_size says otherwise.",
    ),
)


def remedy_for(message: str) -> str:
    """Return the remedy for a refusal of the API, or an empty text when none is known."""
    for pattern, remedy in _REMEDIES:
        found = pattern.search(message)
        if found:
            return remedy.format(**found.groupdict())
    return ""


def remedy_for_certificate(message: str) -> str:
    """Return the remedy for a TLS failure in OpenSSL's words, or '' for another failure."""
    if "CERTIFICATE_VERIFY_FAILED" not in message:
        return ""
    if "mismatch" in message:
        return OTHER_NAME
    if "expired" in message or "not yet valid" in message:
        return EXPIRED
    return TRUST_CERTIFICATE
