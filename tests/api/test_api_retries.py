"""When a request is sent again, after how long, and when it is not."""

import ssl

import httpx
import pytest

from cargo_source.api import CargoClient
from cargo_source.errors import (
    AuthError,
    NetworkFailed,
    RequestRefused,
    ServerFailed,
    UnexpectedShape,
    UnknownHost,
    WaitBudgetSpent,
    WrongHost,
)
from tests.api.fake_api import Out, script

OK = Out(json={"models": []})
HTML = Out(body=b"\n<!DOCTYPE html><html><body>sign in</body></html>")
BROKEN = Out(body=b'{"models": [')
RESET = Out(fault="reset")
CUT = Out(json={"models": list(range(1000))}, fault="cut")
DATE = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    "fault",
    [Out(500), Out(502, body=b"<html>bad gateway</html>"), Out(503), Out(504), Out(408), RESET, CUT, BROKEN, HTML],
    ids=["500", "502", "503", "504", "408", "reset", "cut", "broken", "html"],
)
@pytest.mark.parametrize("send", ["get", "repeatable post"])
def test_what_is_safe_to_repeat_is_repeated(serve, connect, time, fault, send):
    """A read survives each kind of passing trouble, also when it comes twice, and waits longer each time."""
    fake = serve(script(fault, fault, OK))
    client = connect(fake)
    reply = client.get("x") if send == "get" else client.post("x", {"limit": 1}, repeatable=True)
    assert reply.take("models") == []
    assert len(fake.seen) == 3
    assert time.slept == [1.0, 2.0]


@pytest.mark.parametrize(
    "fault", [Out(500), Out(503), RESET, CUT, BROKEN, HTML], ids=["500", "503", "reset", "cut", "broken", "html"]
)
def test_what_is_not_safe_to_repeat_is_sent_once(serve, connect, time, fault):
    """A write whose outcome is unknown is never repeated."""
    fake = serve(script(fault, OK))
    with pytest.raises((ServerFailed, NetworkFailed, UnexpectedShape)):
        connect(fake).post("storage/records/create", {"data": {}})
    assert len(fake.seen) == 1
    assert time.slept == []


def test_a_broken_write_says_that_it_may_have_been_done(serve, connect):
    """The error of a write that was cut off says why it was not sent again."""
    with pytest.raises(NetworkFailed, match="Cargo may have done it already"):
        connect(serve(script(RESET))).post("storage/records/create", {})


def test_a_refused_write_is_repeated(serve, connect):
    """A 429 was refused before anything was done, so that any request may follow it."""
    fake = serve(script(Out(429), OK))
    connect(fake).post("storage/records/create", {"data": {}})
    assert len(fake.seen) == 2


def test_a_write_that_was_never_sent_is_repeated(connect, time):
    """Where no connection came about nothing was sent, so that a write is tried again, and then given up."""
    with pytest.raises(NetworkFailed, match=r"no connection: Connection refused \(127.0.0.1:1\)") as caught:
        connect("http://127.0.0.1:1").post("storage/records/create", {})
    assert caught.value.attempts == 6
    assert time.slept == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_an_unknown_host_is_told_soon(connect, time):
    """A name that nobody knows names the setting, after two more tries."""
    with pytest.raises(UnknownHost, match=r"no such host \(cargo.invalid\).*CARGO_API_URL"):
        connect("https://cargo.invalid").get("x")
    assert len(time.slept) == 2


def test_a_wrong_token_is_never_retried(serve, connect):
    """A static token does not get better by asking again."""
    fake = serve(script(Out(401, json={"errorMessage": "unauthorized"}), OK))
    with pytest.raises(AuthError, match="CARGO_API_TOKEN"):
        connect(fake).get("x")
    assert len(fake.seen) == 1


@pytest.mark.parametrize("status", [400, 402, 413, 422])
def test_a_refusal_is_not_repeated(serve, connect, status):
    """What was wrong with a request stays wrong."""
    fake = serve(script(Out(status), OK))
    with pytest.raises(RequestRefused):
        connect(fake).get("x")
    assert len(fake.seen) == 1


@pytest.mark.parametrize(("fault", "error"), [(HTML, WrongHost), (BROKEN, UnexpectedShape)], ids=["html", "broken"])
def test_unreadable_answers_are_given_up_after_three(serve, connect, fault, error):
    """A host that keeps answering something else than JSON is told so, and a web page points to the setting."""
    fake = serve(script(fault))
    with pytest.raises(error) as caught:
        connect(fake).get("x")
    assert len(fake.seen) == 3
    assert ("CARGO_API_URL" in str(caught.value)) == (error is WrongHost)


def test_escapes_do_not_make_a_broken_answer_whole(serve, connect):
    """An answer that is cut in the middle is not mended, whatever characters are in it."""
    with pytest.raises(UnexpectedShape, match="not JSON"):
        connect(serve(script(Out(body=b'{"a": "\\ud83d", "b": [')))).get("x")


def test_an_answer_too_deep_to_read_is_told(serve, connect):
    """Nobody nests five thousand lists; one who does gets an error of ours."""
    with pytest.raises(UnexpectedShape, match="not JSON"):
        connect(serve(script(Out(body=b"[" * 5000 + b"]" * 5000)))).get("x")


@pytest.mark.parametrize(("status", "attempts"), [(500, 5), (503, 9)])
def test_a_server_that_keeps_failing_is_given_up(serve, connect, status, attempts):
    """There is a limit to how often a failing server is asked, and the error says how often it was."""
    fake = serve(script(Out(status)))
    with pytest.raises(ServerFailed) as caught:
        connect(fake).get("x")
    assert len(fake.seen) == caught.value.attempts == attempts
    assert f"attempts {attempts}" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", 7.0),
        ("2.5", 2.5),
        ("Tue, 24 Nov 2026 10:00:09 GMT", 9.0),
        ("0", 1.0),
        ("-3", 1.0),
        ("soon", 1.0),
        ("nan", 1.0),
        ("inf", 1.0),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 1.0),
        ("", 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_whole(serve, connect, time, header, wait, status):
    """Seconds and dates are waited for whole, a date by the server's own clock; nonsense and 0 fall back to backoff."""
    fake = serve(script(Out(status, headers={"retry-after": header, "date": DATE}), OK))
    connect(fake).get("x")
    assert sum(time.slept) == pytest.approx(wait)


def test_a_date_without_a_clock_to_hold_it_against_is_not_used(serve, connect, time):
    """Without a Date header a Retry-After date says nothing: the machine's clock may be a year off."""
    connect(serve(script(Out(503, headers={"retry-after": "Tue, 24 Nov 2099 10:00:00 GMT"}), OK))).get("x")
    assert time.slept == [1.0]


def test_retry_after_zero_does_not_burn_the_attempts(serve, connect, time):
    """A server that says "after 0 seconds" again and again is asked more and more slowly."""
    zero = Out(429, headers={"retry-after": "0"})
    connect(serve(script(zero, zero, zero, zero, OK))).get("x")
    assert sum(time.slept) == pytest.approx(1 + 2 + 4 + 8)


def test_backoff_grows_up_to_a_minute(serve, connect, time):
    """The window of the wait doubles from one second and stops at a minute."""
    fake = serve(script(*[Out(429)] * 9, OK))
    connect(fake, wait_budget=1000).get("x")
    assert sum(time.slept) == pytest.approx(1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 60)


def test_the_backoff_is_drawn_from_its_window(serve, settings, time):
    """Full jitter: chance decides where in the window the wait ends."""
    fake = serve(script(Out(500), Out(500), OK))
    with CargoClient(settings(fake), sleep=time.sleep, clock=time.clock, random=lambda: 0.25) as client:
        client.get("x")
    assert time.slept == [0.25, 0.5]


@pytest.mark.parametrize(
    ("fault", "reason"), [(Out(429), "because of the rate limit"), (Out(503), "a server that is not available")]
)
def test_the_wait_budget_ends_the_waiting(serve, connect, time, fault, reason):
    """Past its budget a request gives up, saying how long it waited, for what, and which setting allows more."""
    fake = serve(script(fault))
    with pytest.raises(WaitBudgetSpent) as caught:
        connect(fake, wait_budget=10).get("storage/models/list")
    assert sum(time.slept) == pytest.approx(7)
    assert f"waited 7 s {'' if 'because' in reason else 'because of '}{reason}" in str(caught.value)
    assert "would have to wait 8 s more, but a request may wait 10 s in all" in str(caught.value)
    assert "CARGO_WAIT_BUDGET" in str(caught.value)
    assert (caught.value.path, caught.value.status) == ("storage/models/list", fault.status)
    assert caught.value.attempts == 4


def test_a_wait_longer_than_the_budget_is_not_begun(serve, connect, time):
    """A server that asks for an hour is not waited for, and who comes next does not ask it in vain."""
    fake = serve(script(Out(429, headers={"retry-after": "3600"}), OK))
    client = connect(fake)
    for _ in range(2):
        with pytest.raises(WaitBudgetSpent, match="3600 s more"):
            client.get("x")
    assert len(fake.seen) == 1
    assert time.slept == []


def test_a_silent_server_is_asked_once_more(serve, connect):
    """A read timeout is long, so that it is not waited for many times."""
    fake = serve(script(Out(json={}, wait=2.5)))
    with pytest.raises(NetworkFailed, match="no answer within the timeout") as caught:
        connect(fake, read_timeout=0.1).get("x")
    assert caught.value.attempts == 2


def test_a_write_without_an_answer_is_not_repeated(serve, connect):
    """An export that timed out may still be running."""
    fake = serve(script(Out(json={}, wait=2.5)))
    with pytest.raises(NetworkFailed, match="may have done it already"):
        connect(fake, read_timeout=0.1).post("storage/query/download", {"query": "SELECT 1"})
    assert len(fake.seen) == 1


def raising(error: Exception, cause: Exception | None = None) -> httpx.MockTransport:
    """A network that fails in one way."""

    def fail(request: httpx.Request) -> httpx.Response:
        error.__cause__ = cause
        raise error

    return httpx.MockTransport(fail)


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("error", "cause", "told", "attempts"),
    [
        (httpx.ConnectError("x"), certificate_error(), "not trusted: self-signed certificate", 1),
        (httpx.LocalProtocolError("Illegal header value b'Bearer canary'"), None, "cannot be sent", 1),
        (httpx.ConnectTimeout("x"), None, "no connection: ConnectTimeout", 6),
        (httpx.ProxyError("x"), None, "no connection: ProxyError", 6),
        (httpx.DecodingError("x"), None, "broke before the whole answer was here: DecodingError", 6),
        (httpx.ReadError("x"), OSError(104, "x"), "was here: Connection reset by peer", 6),
        (httpx.ReadError("x"), ExceptionGroup("all", [OSError(113, "x")]), "was here: No route to host", 6),
        (httpx.ReadError("x"), OSError(99999, "x"), "was here: ReadError", 6),
    ],
)
def test_each_failure_of_the_network_is_told_in_our_words(settings, time, error, cause, told, attempts):
    """Every failure says what it was and where, never in the words of the library, and is repeated where it helps."""
    client = CargoClient(
        settings("https://api.example.com"), sleep=time.sleep, clock=time.clock, transport=raising(error, cause)
    )
    with client, pytest.raises(NetworkFailed) as caught:
        client.get("x")
    assert told in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.attempts == attempts
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_what_is_no_failure_of_the_network_is_passed_on(settings):
    """A bug in a transport is not dressed up as a network failure, and loses the frames that hold the token."""
    with CargoClient(settings("https://api.example.com"), transport=raising(ZeroDivisionError())) as client:
        with pytest.raises(ZeroDivisionError) as caught:
            client.get("x")
        frames = [entry.path.name for entry in caught.traceback]
    assert "test_api_retries.py" in frames[0]
    assert all(name in {"test_api_retries.py", "client.py", "surface.py"} for name in map(str, frames))
