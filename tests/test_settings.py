"""Where settings come from, which ones are refused, and that the token never shows."""

import copy
import dataclasses
import io
import pickle
import traceback

import pytest
from rich.console import Console
from rich.traceback import Traceback

from cargo_source.errors import BadSettings
from cargo_source.settings import DEFAULT_URL, Secret, Settings, resolve

TOKEN = "canary-token-4242"


def test_arguments_go_before_the_environment_and_that_before_the_fallback():
    """Each place is asked only when the one before has nothing."""
    environ = {"CARGO_API_TOKEN": "env", "CARGO_API_URL": "https://env.example"}
    fallback = {"api_token": "file", "api_url": "https://fallback.example", "in_flight": "7", "wait_budget": "9.5"}.get
    given = resolve("arg", "https://arg.example", environ=environ, fallback=fallback)
    assert (given.token.reveal(), given.url) == ("arg", "https://arg.example")
    from_env = resolve(environ=environ, fallback=fallback)
    assert (from_env.token.reveal(), from_env.url) == ("env", "https://env.example")
    last = resolve(environ={"CARGO_API_TOKEN": ""}, fallback=fallback)
    assert (last.token.reveal(), last.url) == ("file", "https://fallback.example")
    assert (last.in_flight, last.wait_budget) == (7, 9.5)


def test_defaults_are_those_of_the_documentation():
    """With a token alone, everything else has its default."""
    found = resolve(Secret("t"), environ={})
    assert found == Settings(Secret("t"))
    assert (found.url, found.in_flight, found.wait_budget) == (DEFAULT_URL, 4, 300.0)
    assert (found.read_timeout, found.connect_timeout) == (360.0, 10.0)


def test_a_file_may_hold_the_token(tmp_path):
    """CARGO_API_TOKEN_FILE names a file whose stripped content is the token; a token itself goes before it."""
    file = tmp_path / "token"
    file.write_text(f"  {TOKEN}\n")
    assert resolve(environ={"CARGO_API_TOKEN_FILE": str(file)}).token.reveal() == TOKEN
    assert resolve(environ={"CARGO_API_TOKEN_FILE": str(file), "CARGO_API_TOKEN": "t"}).token.reveal() == "t"
    assert resolve(environ={}, fallback={"api_token_file": str(file)}.get).token.reveal() == TOKEN
    other = {"api_token": "fallback"}.get
    assert resolve(environ={"CARGO_API_TOKEN_FILE": str(file)}, fallback=other).token.reveal() == TOKEN


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "binary"])
def test_a_token_file_that_cannot_be_used_is_told(tmp_path, kind):
    """The error names the setting and the file, and not what is in it."""
    file = tmp_path / "token"
    if kind == "folder":
        file.mkdir()
    elif kind != "missing":
        file.write_bytes(b"" if kind == "empty" else b"\xff\xfecanary")
    with pytest.raises(BadSettings) as caught:
        resolve(environ={"CARGO_API_TOKEN_FILE": str(file)})
    assert "CARGO_API_TOKEN_FILE" in str(caught.value)
    assert str(file) in str(caught.value)
    assert "canary" not in str(caught.value)


def test_no_token_says_where_to_put_one():
    """Without a token the error names both settings and where tokens are made."""
    with pytest.raises(BadSettings, match=r"CARGO_API_TOKEN, or CARGO_API_TOKEN_FILE.*Settings > API") as caught:
        resolve(environ={})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "end\n", "tab\t", "ünïcode", "nul\0", " ", ""])
def test_a_token_that_is_none_is_refused(token):
    """What cannot be a token is refused before it is sent, without being shown."""
    with pytest.raises(BadSettings) as caught:
        resolve(token, environ={})
    assert not token.strip() or token not in str(caught.value)
    if token:
        with pytest.raises(BadSettings, match="CARGO_API_TOKEN "):
            resolve(environ={"CARGO_API_TOKEN": token})


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://api.getcargo.io", "https://api.getcargo.io"),
        ("https://api.getcargo.io/", "https://api.getcargo.io"),
        ("https://api.getcargo.io/v1", "https://api.getcargo.io"),
        (" https://api.getcargo.io/v1/ ", "https://api.getcargo.io"),
        ("https://proxy.example/cargo/v1/", "https://proxy.example/cargo"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080/v1", "http://localhost:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
    ],
)
def test_the_url_is_the_root(url, root):
    """A slash or v1 at the end is tolerated; http is fine on this machine."""
    assert resolve("t", url, environ={}).url == root


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://api.getcargo.io", "https://"),
        ("http://127.0.0.1.evil.example", "https://"),
        ("http://localhost.evil.example", "https://"),
        ("http://10.0.0.1", "https://"),
        ("api.getcargo.io", "look like"),
        ("ftp://api.getcargo.io", "look like"),
        ("https://", "look like"),
        ("https://user:canary@api.getcargo.io", "bare root"),
        ("https://api.getcargo.io?token=canary", "bare root"),
        ("https://api.getcargo.io#canary", "bare root"),
        ("https://api.getcargo.io:port", "not a URL"),
        ("https://[broken", "not a URL"),
    ],
)
def test_an_address_that_would_leak_or_fail_is_refused(url, told):
    """The error names the setting; a token never goes out in clear, and what is secret in a URL is not shown."""
    with pytest.raises(BadSettings, match="CARGO_API_URL") as caught:
        resolve("t", environ={"CARGO_API_URL": url})
    assert told in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("CARGO_IN_FLIGHT", value) for value in ("0", "65", "-1", "many", "1.5", "²")]
    + [("CARGO_WAIT_BUDGET", value) for value in ("-1", "inf", "nan", "long")]
    + [("CARGO_TRANSPORT", value) for value in ("curl", "FAST", " ")],
)
def test_values_that_make_no_sense_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(BadSettings, match=name):
        resolve("t", environ={name: value})


def test_numbers_come_from_the_environment():
    """Requests in flight and the wait budget can be set."""
    found = resolve("t", environ={"CARGO_IN_FLIGHT": "16", "CARGO_WAIT_BUDGET": "0"})
    assert (found.in_flight, found.wait_budget) == (16, 0.0)


@pytest.mark.parametrize("name", ["auto", "httpx", "fast"])
def test_the_transport_comes_from_the_environment(name):
    """What carries the requests can be set."""
    assert resolve("t", environ={"CARGO_TRANSPORT": name}).transport == name


def test_a_secret_does_not_show_itself():
    """repr, str, format, copies and settings show stars, and pickling is refused."""
    secret = Secret(TOKEN)
    found = Settings(secret)
    shown = [repr(secret), str(secret), f"{secret:}", repr(found), repr(dataclasses.asdict(found)), repr([secret])]
    assert not any("canary" in text for text in shown)
    assert "***" in repr(found)
    assert copy.deepcopy(secret) is copy.copy(secret) is secret
    assert (secret == Secret(TOKEN), secret == Secret("x"), secret == TOKEN) == (True, False, False)
    assert len({secret, Secret(TOKEN)}) == 1
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(found)


@pytest.mark.parametrize(
    "call",
    [
        lambda: resolve(TOKEN, "ftp://x", environ={"OTHER": "x"}),
        lambda: resolve(environ={"CARGO_API_TOKEN": TOKEN, "CARGO_API_URL": "ftp://x"}),
        lambda: resolve(environ={"CARGO_API_TOKEN": f"{TOKEN} x"}),
        lambda: resolve(environ={"CARGO_API_TOKEN": TOKEN, "CARGO_IN_FLIGHT": "x"}),
    ],
)
def test_a_traceback_with_variables_does_not_show_the_token(call):
    """Tools that print the variables of every frame show no token, also not out of the environment."""
    with pytest.raises(BadSettings) as caught:
        call()
    error = caught.value
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    told = "".join(line for line in frames.format() if "settings.py" in line)
    assert "places = " in told
    assert "canary" not in told
    screen = io.StringIO()
    # The first frame is this test's, which knows the token.
    rich = Traceback.from_exception(type(error), error, error.__traceback__.tb_next.tb_next, show_locals=True)
    Console(file=screen, width=200).print(rich)
    assert "resolve" in screen.getvalue()
    assert "canary" not in screen.getvalue()
