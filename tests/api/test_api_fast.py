"""The line over libcurl: what httpx would do too, and what is its own."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from importlib.util import find_spec

import pytest

from cargo_source.api import CargoClient
from cargo_source.api import wire as wire_module
from cargo_source.api.line import HttpxLine
from cargo_source.errors import BadSettings, NetworkFailed
from tests.api.conftest import FAST, TOKEN
from tests.api.fake_api import FakeApi, Out, script
from tests.api.test_api_secrecy import shown

needs_curl = pytest.mark.skipif(find_spec("pycurl") is None, reason="pycurl is not installed")
BOTH = pytest.mark.parametrize("line", ["httpx", FAST])
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Wire:
    """A server of bare connections: ``seen`` has the requests of each, and a connection is cut at its n-th request."""

    def __init__(self, cut_at: int = 0) -> None:
        self.cut_at, self.seen = cut_at, []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            self.seen.append([])
            threading.Thread(target=self._serve, args=(connection, self.seen[-1]), daemon=True).start()

    def _serve(self, connection: socket.socket, seen: list[bytes]) -> None:
        with connection:
            while request := connection.recv(65536):
                seen.append(request)
                if len(seen) == self.cut_at:
                    return
                connection.sendall(ANSWER)

    def close(self) -> None:
        # Who waits for a connection is only woken by this.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def wire():
    """Servers of bare connections, closed when the test ends."""
    made = []

    def make(cut_at: int = 0) -> Wire:
        made.append(Wire(cut_at))
        return made[-1]

    yield make
    for server in made:
        server.close()


@BOTH
def test_connections_are_kept_across_threads(wire, settings, line):
    """Threads that ask one after another use one connection."""
    server = wire()
    with CargoClient(settings(server.url, transport=line)) as client:
        for _ in range(3):
            worker = threading.Thread(target=client.get, args=("x",))
            worker.start()
            worker.join()
    assert [len(seen) for seen in server.seen] == [3]


@BOTH
def test_a_write_goes_out_once_on_a_kept_connection_that_dies(wire, settings, line):
    """The server may have done what it did not answer, so neither we nor the library below send it again."""
    server = wire(cut_at=2)
    with CargoClient(settings(server.url, transport=line)) as client:
        client.post("first")
        with pytest.raises(NetworkFailed, match="may have done it already"):
            client.post("second", {"a": 1})
    assert sum(b"second" in request for seen in server.seen for request in seen) == 1


@BOTH
def test_ctrl_c_ends_a_request_that_waits(serve, settings, line):
    """Who presses Ctrl-C does not wait for the answer, and sees no token."""
    fake = serve(script(Out(json={}, wait=4)))
    with CargoClient(settings(fake, transport=line)) as client:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        started = time.monotonic()
        timer.start()
        with pytest.raises(KeyboardInterrupt) as caught:
            client.get("x")
    assert time.monotonic() - started < 3
    assert TOKEN not in shown(caught.value)


@needs_curl
def test_a_forked_process_opens_connections_of_its_own(wire, settings, monkeypatch):
    """Two processes on one connection would read each other's answers."""
    server = wire()
    with CargoClient(settings(server.url, transport="fast")) as client:
        client.get("x")
        monkeypatch.setattr("cargo_source.api.curl.os.getpid", lambda: -1)
        client.get("x")
        client.get("x")
    assert [len(seen) for seen in server.seen] == [1, 2]


def test_a_host_without_tls_is_told(serve, connect):
    """https to a port that speaks plain HTTP is no riddle, and is not tried again."""
    fake = serve(script(Out(json={})))
    with pytest.raises(NetworkFailed, match="it does not speak TLS") as caught:
        connect(fake.url.replace("http:", "https:")).get("x")
    assert caught.value.attempts == 1


@pytest.fixture
def tls(tmp_path):
    """A server on this machine with a certificate of its own, and where the certificate is."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    fake = FakeApi(script(Out(json={})))
    fake._server.socket = context.wrap_socket(fake._server.socket, server_side=True)
    fake._server.handle_error = lambda *_args: None
    yield fake.url.replace("http://127.0.0.1", "https://localhost"), certificate
    fake.close()


@BOTH
@pytest.mark.parametrize(
    ("trust", "host", "told"),
    [(True, "localhost", ""), (False, "localhost", "self-signed certificate"), (True, "127.0.0.1", "not trusted")],
)
def test_certificates_are_trusted_as_the_environment_says(settings, tls, monkeypatch, line, trust, host, told):
    """SSL_CERT_FILE names who is trusted; a stranger and a certificate of another host are not."""
    url, certificate = tls
    wire_module.trusted.cache_clear()
    if trust:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with CargoClient(settings(url.replace("localhost", host), transport=line)) as client:
        if told:
            with pytest.raises(NetworkFailed, match=told) as caught:
                client.get("x")
            assert caught.value.attempts == 1
        else:
            assert client.get("x").status == 200
    wire_module.trusted.cache_clear()


@BOTH
def test_what_the_disk_refuses_is_raised_and_not_printed(serve, settings, tmp_path, capfd, line):
    """A full or missing disk is the caller's to know, once."""
    fake = serve(script(Out(body=b"canary")))
    with CargoClient(settings(fake, transport=line)) as client, pytest.raises(FileNotFoundError):
        client.download(f"{fake.url}/x", tmp_path / "missing" / "x")
    assert capfd.readouterr() == ("", "")


def test_a_packed_answer_is_unpacked(serve, connect):
    """The API may send gzip; what counts as received is the text."""
    import gzip

    fake = serve(script(Out(body=gzip.compress(b'{"a": 1}'), headers={"content-encoding": "gzip"})))
    assert connect(fake).get("x").take("a") == 1
    assert "gzip" in fake.seen[0].headers["accept-encoding"]


def test_what_unpacks_to_too_much_is_refused(serve, connect, monkeypatch):
    """A small answer may be packed of a huge one: reading ends at the limit."""
    import gzip

    monkeypatch.setattr("cargo_source.api.sinks.LARGEST_BODY", 1_000_000)
    fake = serve(script(Out(body=gzip.compress(b" " * 50_000_000), headers={"content-encoding": "gzip"})))
    with pytest.raises(NetworkFailed, match="larger than is allowed"):
        connect(fake).get("x")


@needs_curl
def test_fast_is_taken_where_it_is_installed(settings):
    """auto takes libcurl where it is there; httpx can be asked for, and so can a transport of the caller's."""
    from cargo_source.api.curl import CurlLine

    kinds = {}
    for wanted in ("auto", "fast", "httpx"):
        with CargoClient(settings("https://api.example.com", transport=wanted)) as client:
            kinds[wanted] = type(client._line)
    assert kinds == {"auto": CurlLine, "fast": CurlLine, "httpx": HttpxLine}


def test_fast_that_is_not_installed_is_told(settings, monkeypatch):
    """auto goes without it; who asks for it is told what to install."""
    monkeypatch.setattr("cargo_source.api.line.find_spec", lambda _name: None)
    with CargoClient(settings("https://api.example.com")) as client:
        assert isinstance(client._line, HttpxLine)
    with pytest.raises(BadSettings, match=r"pip install \"cargo-source\[fast\]\""):
        CargoClient(settings("https://api.example.com", transport="fast"))
