"""http_request, against an HTTP server on loopback."""

import gzip
import json
import socket
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from remediation import local_actions
from remediation.local_actions import InvalidParameters, LocalActionFailed
from remediation.local_actions._policy import EVERY_NETWORK, RESPONSE_BYTES

pytestmark = pytest.mark.usefixtures("allow_loopback")

LOOPBACK = [*EVERY_NETWORK, "127.0.0.0/8"]
CERTIFICATE = Path(__file__).with_name("self-signed.pem")


class Handler(BaseHTTPRequestHandler):
    """Records requests; the path selects the response."""

    server: "Server"
    protocol_version = "HTTP/1.1"

    def respond(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        getattr(self, self.path.strip("/").split("?")[0])()

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ok(self):
        self.send(200, "grün".encode(), X_Thing="1", Set_Cookie="session=s3cret")

    def created(self):
        self.send(201)

    def broken(self):
        self.send(503, b"out of order")

    def moved(self):
        self.send(302, Location="file:///etc/passwd")

    def long(self):
        self.send(200, b"x" * (RESPONSE_BYTES + 1))

    def bomb(self):
        self.send(200, gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip")

    def not_gzip(self):
        self.send(200, b"plain", Content_Encoding="gzip")

    def drip(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server.may_end.wait(0.02):
            self.wfile.write(b".")
        self.close_connection = True

    def silence(self):
        self.server.may_end.wait()
        self.close_connection = True

    def hang_up(self):
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    """Records requests, and can end handlers that hang."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.server_names: list[str | None] = []
        self.may_end = Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request, client_address):
        """Ignore errors: some tests stop reading a response."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


@pytest.fixture
def server():
    with Server() as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.may_end.set()
        server.shutdown()


@pytest.fixture
def tls_server(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _socket, name, _context: server.server_names.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


@pytest.fixture
def names_on_loopback(monkeypatch):
    """Let every name have the address 127.0.0.1."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *rest, **options):
        return resolve("127.0.0.1" if host.endswith((".example", "localhost")) else host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def call(server, path, **parameters):
    return local_actions.run("http_request", {"url": server.url(path)} | parameters)


def test_the_response_is_the_result(server):
    result = call(server, "/ok?a=b")

    assert server.requests[0][:2] == ("GET", "/ok?a=b")
    assert (result["status"], result["body"], result["is_body_cut"]) == (200, "grün", False)
    assert (result["address"], result["headers"]["Content-Length"]) == ("127.0.0.1", "5")


def test_method_headers_and_text_are_sent(server):
    call(server, "/created", method="PUT", headers={"X-Api-Key": "k"}, body="häuser")

    method, _, headers, body = server.requests[0]
    assert (method, headers["X-Api-Key"], body) == ("PUT", "k", "häuser".encode())


def test_a_json_body_is_sent(server):
    call(server, "/created", method="POST", json={"alert": ["{{ x }}"]})

    _, _, headers, body = server.requests[0]
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"alert": ["{{ x }}"]}


def test_credentials_in_netrc_are_not_sent(server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login root password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))

    call(server, "/ok")

    assert "Authorization" not in server.requests[0][2]


@pytest.mark.parametrize(
    ("path", "expect_status"), [("/ok", None), ("/created", None), ("/ok", 200), ("/broken", "503")]
)
def test_the_expected_status_is_success(server, path, expect_status):
    result = call(server, path, expect_status=expect_status)

    assert result["status"] in (200, 201, 503)


@pytest.mark.parametrize(
    ("path", "expect_status", "status", "message"),
    [
        ("/broken", None, 503, "The response has status 503, not a status from 200 to 299"),
        ("/ok", 204, 200, "The response has status 200, not status 204"),
        ("/moved", None, 302, "redirects are not followed: use the URL of its Location header"),
    ],
)
def test_any_other_status_is_a_failure_with_the_response(
    server, path, expect_status, status, message
):
    with pytest.raises(LocalActionFailed, match=message) as failed:
        call(server, path, expect_status=expect_status)

    assert failed.value.result["status"] == status


def test_a_redirect_is_not_followed(server):
    result = call(server, "/moved", expect_status=302)

    assert result["headers"]["Location"] == "file:///etc/passwd"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("path", "character"), [("/long", "x"), ("/bomb", "\0")])
def test_a_long_body_is_cut(server, path, character):
    result = call(server, path)

    assert result["body"] == character * RESPONSE_BYTES
    assert result["is_body_cut"] is True


def test_a_setting_says_how_much_of_a_body_is_kept(server, set_policy):
    set_policy(networks=LOOPBACK, response_bytes=2)
    two = call(server, "/ok")
    set_policy(networks=LOOPBACK, response_bytes=0)
    none = call(server, "/ok")

    assert (two["body"], two["is_body_cut"]) == ("gr", True)
    assert (none["body"], none["is_body_cut"]) == ("", True)


def test_a_setting_says_which_headers_are_kept(server, set_policy):
    set_policy(networks=LOOPBACK, response_headers=["X-THING"])

    assert call(server, "/ok")["headers"] == {"X-Thing": "1"}


def test_a_cookie_of_the_response_is_masked_even_if_all_headers_are_kept(server, set_policy):
    set_policy(networks=LOOPBACK, response_headers=["*"])

    headers = call(server, "/ok")["headers"]

    assert (headers["X-Thing"], headers["Set-Cookie"]) == ("1", "********")


def test_a_proxy_of_the_environment_is_not_used(server, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")

        result = call(server, "/ok")

        assert result["status"] == 200
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize("path", ["/drip", "/silence"])
def test_a_response_that_does_not_end_times_out(server, path):
    with pytest.raises(LocalActionFailed, match=r"did not respond within 0\.2 s"):
        call(server, path, timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("path", "reason"), [("/hang_up", "Remote end closed"), ("/not_gzip", "error")]
)
def test_an_invalid_response_is_a_failure_with_the_reason(server, path, reason):
    with pytest.raises(
        LocalActionFailed, match=rf"The request to http://127\.0\.0\.1:\d+ failed: .*{reason}"
    ):
        call(server, path)


def test_a_refused_connection_is_a_failure_without_secrets_of_the_url():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(LocalActionFailed, match="Connection refused") as failed:
        local_actions.run("http_request", {"url": f"http://127.0.0.1:{port}/hook?token=s3cret"})

    assert "s3cret" not in str(failed.value)


def test_an_untrusted_certificate_is_refused(tls_server):
    url = tls_server.url("/ok").replace("http:", "https:")

    with pytest.raises(LocalActionFailed, match="certificate verify failed"):
        local_actions.run("http_request", {"url": url})

    assert tls_server.requests == []


@pytest.mark.usefixtures("names_on_loopback")
def test_the_connection_to_an_address_keeps_the_name_in_tls_and_http(tls_server, set_policy):
    set_policy(networks=LOOPBACK, ca_bundle=str(CERTIFICATE))
    port = tls_server.server_port

    result = local_actions.run("http_request", {"url": f"https://LocalHost:{port}/ok"})

    assert (result["status"], result["address"]) == (200, "127.0.0.1")
    assert tls_server.server_names == ["localhost"]
    assert tls_server.requests[0][2]["Host"] == f"localhost:{port}"


@pytest.mark.usefixtures("names_on_loopback")
def test_a_certificate_for_the_address_but_not_for_the_name_is_refused(tls_server, set_policy):
    set_policy(networks=LOOPBACK, ca_bundle=str(CERTIFICATE))

    with pytest.raises(LocalActionFailed, match="Hostname mismatch"):
        local_actions.run("http_request", {"url": f"https://a.example:{tls_server.server_port}/ok"})

    assert tls_server.requests == []


def test_a_certificate_for_an_address_is_accepted(tls_server, set_policy):
    set_policy(networks=LOOPBACK, ca_bundle=str(CERTIFICATE))
    url = tls_server.url("/ok").replace("http:", "https:")

    assert local_actions.run("http_request", {"url": url})["status"] == 200


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/",
        "example.com",
        "http://",
        "http:///path",
        "http://exa mple.com/",
        "http://example.com/\r\nX-Forged: 1",
        "http://example.com:port/",
        "http://example.com:65536/",
        "http://user:password@example.com/",
        "http://token@example.com/",
        "http://[::1",
        "http://[v1.example]/",
        "http://[fe80::1%25eth0]/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com%2f@127.0.0.1/",
        "http://127.0.0.%31/",
        "http://.../",
        17,
    ],
)
def test_an_invalid_url_is_refused(url):
    with pytest.raises(InvalidParameters, match=r"'url' must be .* without user:password@"):
        local_actions.run("http_request", {"url": url})


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1\r\nX-Forged: 1"},
        {"X-A": "1\n"},
        {"X-A": " 1"},
        {"X-A": "\0"},
        {"X-A": "€"},
        {"X-A": 1},
        {"X A": "1"},
        {"X-A\r\nX-Forged": "1"},
        {"": "1"},
        ["X-A"],
    ],
)
def test_an_invalid_header_is_refused(headers):
    with pytest.raises(InvalidParameters, match=r"'headers' must be .* without line breaks"):
        local_actions.run("http_request", {"url": "http://127.0.0.1/", "headers": headers})


def test_body_and_json_together_are_refused():
    with pytest.raises(InvalidParameters, match="'json' cannot be given together with body"):
        local_actions.run("http_request", {"url": "http://127.0.0.1/", "body": "", "json": {}})
