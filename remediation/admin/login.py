"""The protection of the login by django-axes: the functions that its settings name."""

from __future__ import annotations

import datetime
import ipaddress
import math
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac

from remediation import clock
from remediation.values.clients import client_address

UNKNOWN_PREFIX = "unknown "
IPV6_PREFIX_LENGTH = 64  # one customer's network, whose addresses one client can use in turn


def known_name(name: str) -> str:
    """Return the name of the user who logs in with a name; '' if there is none."""
    stored = User.objects.filter(username=name).values_list("username", flat=True).first()
    return stored or ""


def counted_name(_request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """Return the user's name, or a keyed digest of an unknown name, which may be a password."""
    name = str((credentials or {}).get("username") or "")
    digest = salted_hmac("remediation.login", name, algorithm="sha256").hexdigest()[:32]
    return known_name(name) or f"{UNKNOWN_PREFIX}{digest}"


def counted_client(request: HttpRequest) -> str | None:
    """Return the client's address, the network of an IPv6 address, or None if it is unknown."""
    try:
        address = ipaddress.ip_address(client_address(request).partition("%")[0])
    except ValueError:
        return None
    if address.version == 4:
        return str(address)
    if mapped := address.ipv4_mapped:
        return str(mapped)
    network = ipaddress.ip_network((address, IPV6_PREFIX_LENGTH), strict=False)
    return str(network.network_address)


def locked_response(
    request: HttpRequest, _response: HttpResponse, credentials: dict[str, Any] | None
) -> HttpResponse:
    """Return 429 with a page that says when the user can try again."""
    seconds = _remaining_seconds(request, credentials)
    context = {
        "title": "Login locked",
        "minutes": math.ceil(seconds / 60),
        "failures": settings.AXES_FAILURE_LIMIT,
        "site_header": "PoundCake",
    }
    response = render(request, "admin/remediation/login_locked.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response


def _remaining_seconds(request: HttpRequest, credentials: dict[str, Any] | None) -> int:
    attempts = AccessAttempt.objects.filter(
        username=counted_name(request, credentials), ip_address=counted_client(request)
    )
    latest = attempts.order_by("-attempt_time").values_list("attempt_time", flat=True).first()
    lockout: datetime.timedelta = settings.AXES_COOLOFF_TIME
    end = (latest or clock.now()) + lockout
    return max(1, math.ceil((end - clock.now()).total_seconds()))
