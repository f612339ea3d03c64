"""TLS on real sockets: errors of the handshake and of the response are distinguished."""

import os
import shutil
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from remediation.stackstorm import StackStormUnavailable
from remediation.stackstorm.error_hints import hint_for_certificate
from tests.remediation.stackstorm.recordings import make_client
from tests.remediation.stackstorm.test_network import (
    Behavior,
    failure,
    ok,
    request_of,
    server,
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is missing: no certificate to test TLS with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    options = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [openssl, "req", *options.split(), *names.split(), "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


def over_tls(certificate: tuple[Path, Path], behave: Behavior) -> Behavior:
    """Return a behavior that makes the TLS handshake first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def serve_tls(connection: socket.socket) -> None:
        try:
            behave(context.wrap_socket(connection, server_side=True))
        except ssl.SSLError:
            return  # the client closed the connection, as it does not trust the certificate

    return serve_tls


def test_a_certificate_signed_by_the_ca_bundle_is_trusted(certificate: tuple[Path, Path]) -> None:
    def send_version(connection: socket.socket) -> None:
        with connection:
            request_of(connection)
            connection.sendall(ok(b'{"version": "3.8.1"}'))

    with server(over_tls(certificate, send_version)) as netloc:
        client = make_client(api_url=f"https://{netloc}", verify=str(certificate[0]))
        version = client.version()
        client.close()

    assert version == "3.8.1"


def test_an_untrusted_certificate_stops_the_request(
    certificate: tuple[Path, Path],
) -> None:
    with server(over_tls(certificate, lambda _connection: None)) as netloc:
        error = failure(f"https://{netloc}")

    assert error.may_have_been_sent is False
    assert error.hint.startswith("Set ST2_CA_BUNDLE to the CA certificate")


def test_a_trusted_certificate_for_another_name_has_its_own_hint(
    certificate: tuple[Path, Path],
) -> None:
    with server(over_tls(certificate, lambda _connection: None)) as netloc:
        port = netloc.rpartition(":")[2]
        error = failure(f"https://localhost:{port}", verify=str(certificate[0]))

    assert error.may_have_been_sent is False
    assert "certificate is not valid for 'localhost'" in error.message
    assert error.hint.startswith(
        "The certificate is for another host name: use a name of the certificate"
    )
    assert "ST2_CA_BUNDLE" not in error.hint


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("certificate has expired", "Renew StackStorm's certificate"),
        ("certificate is not yet valid", "check the clocks"),
        (
            "IP netloc mismatch, certificate is not valid for '10.0.0.1'",
            "is for another host name",
        ),
        ("unable to get local issuer certificate", "Set ST2_CA_BUNDLE"),
        ("self-signed certificate in certificate chain", "Set ST2_CA_BUNDLE"),
    ],
)
def test_each_certificate_error_has_its_hint(reason: str, hint: str) -> None:
    message = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason} (_ssl.c:1006)"

    assert hint in hint_for_certificate(message)


def test_a_tls_error_in_the_response_is_ambiguous(certificate: tuple[Path, Path]) -> None:
    def break_the_encryption(connection: socket.socket) -> None:
        request_of(connection)
        plain = connection.detach()
        os.write(plain, b"this is not TLS")
        # Wait until the client closes: closing with unread bytes could discard the response.
        with suppress(OSError):
            os.read(plain, 1 << 16)
        os.close(plain)

    with server(over_tls(certificate, break_the_encryption)) as netloc:
        error: StackStormUnavailable = failure(f"https://{netloc}", verify=str(certificate[0]))

    assert error.may_have_been_sent is True
    assert "SSL" in error.message
