"""What is sent, and what comes back when all goes well."""

import json
from datetime import UTC, datetime
from typing import Literal

import msgspec
import pytest

from cargo_source import __version__
from cargo_source.api.asking import encode_query
from cargo_source.errors import UnexpectedShape
from tests.api.fake_api import Out, script

OK = Out(json={"models": [{"uuid": "1"}]})


def test_a_request_carries_the_token_and_who_we_are(serve, connect):
    """Every request names the token, the connector and its version, and speaks of JSON only where it sends some."""
    fake = serve(script(OK))
    client = connect(fake)
    client.get("storage/models/list")
    client.post("storage/records/list", {"limit": 1})
    headers = fake.seen[0].headers
    assert headers["authorization"] == "Bearer canary-token-4242"
    assert headers["x-cargo-origin"] == "cargo-source"
    assert headers["x-cargo-origin-version"] == __version__
    assert headers["user-agent"] == f"cargo-source/{__version__}"
    assert "content-type" not in headers
    assert fake.seen[1].headers["content-type"] == "application/json"


def test_paths_are_below_v1_and_bodies_drop_nulls(serve, connect):
    """A path is relative to the root's v1, and None at the top of a body is not sent."""
    fake = serve(script(OK))
    connect(fake).post("/orchestration/runs/list", {"limit": 5, "createdAfter": None, "filter": {"kept": None}})
    assert fake.seen[0].path == "/v1/orchestration/runs/list"
    assert json.loads(fake.seen[0].body) == {"limit": 5, "filter": {"kept": None}}


@pytest.mark.parametrize("method", ["put", "delete", "post"])
def test_writes_use_their_method(serve, connect, method):
    """put, delete and post send their own method, with or without a body."""
    fake = serve(script(Out(204, body=b"")))
    client = connect(fake)
    assert getattr(client, method)("storage/records/remove").content == b""
    getattr(client, method)("storage/records/remove", {"id": "1"})
    assert [(seen.method, seen.body) for seen in fake.seen] == [(method.upper(), b""), (method.upper(), b'{"id":"1"}')]


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"a": True, "b": False, "c": None}, "a=true&b=false"),
        ({"statuses": ["error", "success"]}, "statuses%5B%5D=error&statuses%5B%5D=success"),
        ({"a": {"b": 1, "c": ["x", "y"]}}, "a%5Bb%5D=1&a%5Bc%5D%5B0%5D=x&a%5Bc%5D%5B1%5D=y"),
        ({"createdAfter": "2026-01-01T00:00:00.000Z", "n": 1.5}, "createdAfter=2026-01-01T00:00:00.000Z&n=1.5"),
        ({"name": "a b&c"}, "name=a+b%26c"),
        ({}, ""),
    ],
)
def test_query_parameters_are_written_as_the_api_reads_them(params, query):
    """Booleans, lists, objects, times and blanks are serialised like the vendor's own client does."""
    assert encode_query(params) == query


def test_query_parameters_arrive(serve, connect):
    """What is given as params is what the server sees as query."""
    fake = serve(script(OK))
    connect(fake).get("ai/chats/list", {"messageStatuses": ["error"], "limit": 100, "name": None})
    assert fake.seen[0].query == "messageStatuses%5B%5D=error&limit=100"


def test_a_reply_tells_its_time_and_request(serve, connect):
    """The server's own time is aware and in UTC; the request id comes from the usual header."""
    headers = {"date": "Tue, 24 Nov 2026 10:00:00 GMT", "x-request-id": "req-7"}
    reply = connect(serve(script(Out(json={"a": 1}, headers=headers)))).get("x")
    assert reply.server_time == datetime(2026, 11, 24, 10, tzinfo=UTC)
    assert (reply.request_id, reply.status, reply.json()) == ("req-7", 200, {"a": 1})
    assert reply.json() is reply.json()


def test_a_reply_without_a_date_has_no_time(serve, connect):
    """Without a Date header there is no server time, rather than the machine's."""
    client = connect(serve(script(OK, Out(json=1, headers={"date": "soon"}))))
    assert client.get("x").server_time is None
    assert client.get("x").server_time is None


def test_take_gives_what_is_under_a_key(serve, connect):
    """take() opens the envelope."""
    assert connect(serve(script(OK))).get("storage/models/list").take("models") == [{"uuid": "1"}]


@pytest.mark.parametrize(
    ("answer", "told"),
    [({"rows": ["secret-cell"], "odd key!": 1}, "has no 'models'; its keys are: …, rows"), (["secret-cell"], "no")],
)
def test_a_missing_envelope_names_the_keys_and_no_values(serve, connect, answer, told):
    """A missing envelope is an unexpected shape that names request and keys, and no value."""
    reply = connect(serve(script(Out(json=answer)))).get("storage/models/list")
    with pytest.raises(UnexpectedShape) as caught:
        reply.take("models")
    assert told in str(caught.value)
    assert "GET storage/models/list" in str(caught.value)
    assert "secret-cell" not in str(caught.value)


def test_json_of_an_empty_answer_is_an_unexpected_shape(serve, connect):
    """An operation that answers nothing has no JSON to give."""
    reply = connect(serve(script(Out(204, body=b"")))).delete("x")
    with pytest.raises(UnexpectedShape, match="the answer is empty"):
        reply.json()


def test_half_a_character_does_not_spoil_an_answer(serve, connect):
    """A lone surrogate, which JavaScript writes when it cuts a text, is replaced instead of refused."""
    body = b'{"title":"cut \\ud83d","pair":"\\ud83d\\ude00","n":123456789012345678901234567890}'
    reply = connect(serve(script(Out(body=body)))).get("x")
    assert reply.json() == {"title": "cut \ufffd", "pair": "\U0001f600", "n": 123456789012345678901234567890}


def test_connections_are_reused(serve, connect):
    """Requests one after another use one connection."""
    ports = set()
    fake = serve(script(OK))
    original = fake.answer

    def answer(handler):
        ports.add(handler.client_address)
        original(handler)

    fake.answer = answer
    client = connect(fake)
    for _ in range(5):
        client.get("x")
    assert len(ports) == 1


def test_a_decoder_of_the_callers_reads_the_body(serve, connect):
    """Raw bytes are read once, as what the caller wants, with integers and nested values as they are."""

    class Page(msgspec.Struct):
        rows: list[msgspec.Raw]

    reply = connect(serve(script(Out(body=b'{"rows": [{"a": 9007199254740993}], "count": 1}')))).get("x")
    assert [bytes(row) for row in reply.decode(msgspec.json.Decoder(Page)).rows] == [b'{"a": 9007199254740993}']


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"rows": [{"kind": "canary"}]}', r"another shape than expected at \$.rows\[0\].kind"),
        (b'{"canary": 1}', "another shape than expected"),
        (b"", "the answer is empty"),
    ],
)
def test_a_body_that_a_decoder_cannot_read_is_told_without_values(serve, connect, body, told):
    """The error names the place and the path, and quotes nothing."""

    class Row(msgspec.Struct):
        kind: Literal["company"]

    class Page(msgspec.Struct):
        rows: list[Row]

    reply = connect(serve(script(Out(body=body)))).post("x")
    with pytest.raises(UnexpectedShape, match=told) as caught:
        reply.decode(msgspec.json.Decoder(Page))
    assert "canary" not in str(caught.value)
    assert caught.value.path == "x"


def test_cookies_are_not_kept(serve, connect):
    """A cookie that a host sets is not sent to it or to anybody again."""
    fake = serve(script(Out(json=1, headers={"set-cookie": "session=1; Path=/"})))
    client = connect(fake)
    client.get("x")
    client.get("x")
    assert "cookie" not in fake.seen[1].headers


def test_a_proxy_does_not_see_what_goes_to_this_machine(serve, connect, monkeypatch):
    """http:// to loopback goes past a proxy of the environment, which would see the token in clear."""
    proxy = serve(script(OK))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    fake = serve(script(OK))
    connect(fake).get("x")
    assert (len(fake.seen), len(proxy.seen)) == (1, 0)


def test_stats_count_by_group_and_in_scopes(serve, connect):
    """Requests, retries, refusals and bytes are counted in all, by group of paths, and inside of a scope only."""
    uuid = "3f2b8a52-9a3c-4a6e-8f5e-0b1d2c3e4f50"
    fake = serve(script(OK, Out(429, json={}), OK))
    client = connect(fake)
    client.get("storage/models/list")
    with client.stats.scope() as outer, client.stats.scope() as inner:
        client.get(f"storage/models/{uuid}")
    client.get("storage/models/list")
    total, groups = client.stats.snapshot()
    size = len(OK.content)
    assert (total.requests, total.retries, total.rate_limited, total.bytes) == (4, 1, 1, 3 * size + 2)
    assert (inner.requests, inner.retries, inner.rate_limited, inner.bytes) == (2, 1, 1, size + 2)
    assert outer.requests == 2
    assert {name: counts.requests for name, counts in groups.items()} == {
        "storage/models/list": 2,
        "storage/models/{id}": 2,
    }


def test_a_transport_may_be_put_in_the_place_of_the_network(connect, settings):
    """A client takes an httpx transport of the caller's."""
    import httpx

    from cargo_source.api import CargoClient

    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json={"a": 1}))
    with CargoClient(settings("https://api.example.com"), transport=transport) as client:
        assert client.get("x").json() == {"a": 1}
