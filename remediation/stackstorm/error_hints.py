"""Hints for operators that the errors of the StackStorm client carry."""

import re

from remediation.stackstorm import missing_actions

CREATE_KEY = (
    'Create a key with: st2 apikey create -k -m \'{"used_by": "poundcake"}\' '
    "and set it as ST2_API_KEY."
)
CHECK_LOGIN = (
    "Check ST2_USERNAME and ST2_PASSWORD, and that ST2_AUTH_URL belongs to the StackStorm "
    "of ST2_API_URL."
)
CHECK_API_URL = "Check ST2_API_URL: StackStorm's API is not at this URL."
CHECK_AUTH_URL = "Check ST2_AUTH_URL: StackStorm's auth service is not at this URL."
CHECK_STREAM_URL = (
    "Check ST2_STREAM_URL, such as https://st2.example.com/stream/v1, and that st2stream runs."
)
USE_HTTPS = "Set ST2_API_URL to the URL that it redirects to, which should start with https://."
TRUST_CERTIFICATE = "Set ST2_CA_BUNDLE to the CA certificate that signed StackStorm's certificate."
CHECK_HOST_NAME = (
    "The certificate is for another host name: use a name of the certificate in ST2_API_URL, or"
    " install a certificate for this name."
)
RENEW_CERTIFICATE = "Renew StackStorm's certificate, and check the clocks of both machines."

# Refusals can only be distinguished by their text: all but the last two are 400.
_MISSING_ACTION = re.compile(r'^Action "(?P<ref>[^".]+\.[^"]+)" cannot be found\.')
_HINTS = (
    (
        re.compile(r'^Action "[^".]*" cannot be found\.'),
        "Include the pack in st2_action_ref, as in core.local.",
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
        "The parameters are too large: StackStorm's nginx accepts 1 MB, unless its "
        "client_max_body_size is larger.",
    ),
)


def hint_for(message: str) -> str:
    """Return the hint for a refusal of the API, or ''."""
    if missing := _MISSING_ACTION.search(message):
        return missing_actions.advice(missing["ref"])
    for pattern, hint in _HINTS:
        found = pattern.search(message)
        if found:
            return hint.format(**found.groupdict())
    return ""


def hint_for_certificate(message: str) -> str:
    """Return the hint for OpenSSL's error text, or '' for another failure."""
    if "CERTIFICATE_VERIFY_FAILED" not in message:
        return ""
    if "mismatch" in message:
        return CHECK_HOST_NAME
    if "expired" in message or "not yet valid" in message:
        return RENEW_CERTIFICATE
    return TRUST_CERTIFICATE
