"""The client's address behind proxies."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from audit.models import ApiCall
from poundcake.proxies import FORWARDED_HEADERS, ProxyMiddleware
from tests import factories


@pytest.fixture(autouse=True)
def _proxies(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "fd00::/8"]


def seen(sender: str, **headers: str) -> HttpRequest:
    """Return the request as the view sees it."""
    requests: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    ProxyMiddleware(view)(RequestFactory(REMOTE_ADDR=sender).get("/", headers=headers))
    return requests[0]


@pytest.mark.parametrize(
    ("sender", "forwarded_for", "client"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "<script>", "10.0.0.1"),
        # An IPv6 address may have a zone of any length.
        ("10.0.0.1", "fe80::1%" + "x" * 10_000, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("fd00::1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("::1", "203.0.113.7", "::1"),
        ("", "203.0.113.7", ""),
    ],
)
def test_the_client_is_the_right_most_address_that_no_trusted_proxy_has(
    sender, forwarded_for, client
):
    request = seen(sender, X_Forwarded_For=forwarded_for)

    assert request.META["REMOTE_ADDR"] == client


def test_https_is_believed_from_a_trusted_proxy_only(settings):
    assert seen("10.0.0.1", X_Forwarded_Proto="https").is_secure()
    assert not seen("192.0.2.1", X_Forwarded_Proto="https").is_secure()


def test_headers_of_other_senders_are_removed():
    headers = {name.removeprefix("HTTP_"): "forged" for name in FORWARDED_HEADERS}

    request = seen("192.0.2.1", **headers)

    assert not set(FORWARDED_HEADERS) & set(request.META)


@pytest.mark.django_db
def test_the_record_of_a_call_has_the_client():
    client: Client = factories.make_client("webhook")

    client.post(
        "/api/v1/webhook",
        factories.notification_body(),
        "application/json",
        headers={"X-Forwarded-For": "203.0.113.7"},
        REMOTE_ADDR="10.1.2.3",
    )

    assert ApiCall.objects.get().client_host == "203.0.113.7"
