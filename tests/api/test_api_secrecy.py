"""Canaries: neither the token, nor the signature of a link, nor a cell shows anywhere, at any log level."""

import asyncio
import io
import logging
import traceback

import httpx
import pytest
from rich.console import Console
from rich.traceback import Traceback

from cargo_source.api import AsyncCargoClient, CargoClient, Pacer
from cargo_source.errors import CargoError
from tests.api.conftest import TOKEN
from tests.api.fake_api import Out, script

SIGNATURE = "canary-signature"
CELL = "canary-cell"
LOCATION = {"location": f"https://store.invalid/x?sig={SIGNATURE}", "x-amz-canary-header": "1"}
QUOTING = {"errorMessage": f"cannot convert '{CELL}'", "reason": "unknown", CELL: 1}


@pytest.fixture
def logged():
    """All that is logged by anybody, down to DEBUG, formatted, as it comes."""
    lines: list[str] = []

    class Trap(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.name}: {self.format(record)} {record.args!r} {record.exc_info!r}")

    root, trap = logging.getLogger(), Trap()
    level = root.level
    root.addHandler(trap)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(level)
    root.removeHandler(trap)


def shown(error: BaseException) -> str:
    """All that tools show of an error: texts, attributes, causes, and the variables of the frames that are ours."""
    told = [str(error), repr(error), repr(vars(error)), repr(error.__cause__), repr(error.__context__)]
    told += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    screen = io.StringIO()
    trace = error.__traceback__
    while trace is not None and "cargo_source" not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    Console(file=screen, width=300).print(Traceback.from_exception(type(error), error, trace, show_locals=True))
    # The frames of this test and of its fixtures know the canaries, for they sent them.
    return "".join(text for text in told if "tests/api" not in text) + screen.getvalue()


ATTEMPTS = {
    "good": (Out(json={"rows": [CELL]}), lambda client, _to, _link: client.get("x")),
    "quoting": (Out(400, json=QUOTING), lambda client, _to, _link: client.post("x", {"name": CELL})),
    "server": (Out(500, json=QUOTING), lambda client, _to, _link: client.post("x", {"name": CELL}, repeatable=True)),
    "reset": (Out(fault="reset"), lambda client, _to, _link: client.post("x", {"name": CELL})),
    "broken": (Out(body=CELL.encode()), lambda client, _to, _link: client.get("x")),
    "limited": (Out(429, json=QUOTING), lambda client, _to, _link: client.get("x")),
    "redirect": (Out(302, headers=LOCATION), lambda client, _to, _link: client.get("x")),
    "link": (Out(body=CELL.encode()), lambda client, to, link: client.download(link, to / "x")),
    "expired": (Out(403, body=CELL.encode()), lambda client, to, link: client.download(link, to / "x")),
    "link reset": (Out(fault="reset"), lambda client, to, link: client.download(link, to / "x")),
    "link moved": (Out(302, headers=LOCATION), lambda client, to, link: client.download(link, to / "x")),
    "no disk": (Out(body=CELL.encode()), lambda client, to, link: client.download(link, to / "missing" / "x")),
}


@pytest.mark.parametrize("case", ATTEMPTS)
def test_no_canary_in_logs_errors_or_tracebacks(serve, connect, logged, tmp_path, case):
    """Whatever happens to a request, no log at DEBUG and nothing that can be seen of the error holds a canary."""
    out, attempt = ATTEMPTS[case]
    fake = serve(script(out))
    client = connect(fake)
    seen = ""
    try:
        seen = repr(attempt(client, tmp_path, f"{fake.url}/file?sig={SIGNATURE}"))
    except (CargoError, OSError) as error:
        seen = shown(error)
        assert "client.py" in seen
    everything = "\n".join(logged) + seen + repr(client.client) + repr(vars(client.client))
    for canary in (TOKEN, SIGNATURE, CELL, "x-amz-canary-header"):
        assert canary not in everything
    assert fake.seen


def test_each_request_is_logged_by_us(serve, connect, logged):
    """What the libraries do not log for us we log ourselves: method, path, status and size."""
    connect(serve(script(Out(json={"a": 1})))).get("storage/models/list", {"name": "canary"})
    assert [line for line in logged if line.startswith("cargo_source: GET storage/models/list: 200, 8 bytes")]


def test_other_peoples_requests_are_logged_as_before(serve, connect, logged):
    """Only our own requests are kept out of the libraries' logs: the trap of these tests does catch something."""
    fake = serve(script(Out(json={}, headers=LOCATION)))
    connect(fake).get("x")
    assert not [line for line in logged if line.startswith("http")]
    with httpx.Client() as plain:
        plain.get(f"{fake.url}/plain?sig={SIGNATURE}")
    assert [line for line in logged if line.startswith("httpx: ") and SIGNATURE in line]
    assert [line for line in logged if line.startswith("httpcore.http11: ") and "x-amz-canary-header" in line]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, asyncio.CancelledError, MemoryError])
def test_an_interruption_shows_no_canary(settings, stop):
    """Ctrl-C, a cancelled task or a full memory in the middle of a request carry no frame that holds the token."""

    def interrupt(request: httpx.Request) -> httpx.Response:
        header = request.headers["authorization"]
        assert header
        raise stop

    made = settings("https://api.example.com")
    with CargoClient(made, transport=httpx.MockTransport(interrupt)) as client, pytest.raises(stop) as caught:
        client.get("x")
    assert TOKEN not in shown(caught.value)

    async def ask() -> BaseException:
        async with AsyncCargoClient(made, transport=httpx.MockTransport(interrupt)) as client:
            try:
                await client.get("x")
            except stop as error:
                return error
        raise AssertionError

    if stop is not KeyboardInterrupt:
        assert TOKEN not in shown(asyncio.run(ask()))


def test_what_waits_in_line_shows_no_canary(settings):
    """The line of a workspace is kept by a digest of the token, and a client shows its address only."""
    from cargo_source.api import pacer

    client = CargoClient(settings("https://api.example.com"))
    assert TOKEN not in repr(dict(pacer._pacers))
    assert repr(client) == "CargoClient('https://api.example.com')"
    assert "***" in repr(client._auth)
    assert isinstance(client._means.pacer, Pacer)
    client.close()
