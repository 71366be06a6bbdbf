"""Downloads by signed links: without the token, streamed, told apart, and only from where it is safe."""

import stat
from types import SimpleNamespace

import pytest

from cargo_source.api import Download
from cargo_source.api.links import Fetch, fetch_of, kind_of, next_hop
from cargo_source.api.sinks import FileSink
from cargo_source.errors import (
    LinkExpired,
    NetworkFailed,
    RequestRefused,
    ServerFailed,
    UnexpectedShape,
    UnknownHost,
    WaitBudgetSpent,
)
from cargo_source.settings import Secret
from tests.api.fake_api import Out, script

PARQUET = b"PAR1" + b"0123456789" * 50_000 + b"PAR1"
SIGNATURE = "X-Signature=canary-signature"


def link(fake) -> str:
    return f"{fake.url}/exports/1?{SIGNATURE}"


def test_a_file_is_downloaded_without_the_token(serve, connect, tmp_path):
    """The store gets the signed link and no Authorization header, nor anything else about us but the user agent."""
    fake = serve(script(Out(body=PARQUET)))
    client = connect(fake)
    found = client.download(link(fake), tmp_path / "x.parquet")
    assert found == Download(tmp_path / "x.parquet", len(PARQUET), "parquet")
    assert (tmp_path / "x.parquet").read_bytes() == PARQUET
    headers = fake.seen[0].headers
    assert "authorization" not in headers
    assert not any(name.startswith("x-cargo") for name in headers)
    assert headers["accept-encoding"] == "identity"
    assert fake.seen[0].query == SIGNATURE
    total, _groups = client.stats.snapshot()
    assert (total.requests, total.downloads, total.bytes) == (0, 1, len(PARQUET))


def test_a_file_is_readable_by_its_owner_only(serve, connect, tmp_path):
    """Rows on disk are nobody else's business, and nothing but the file is left behind."""
    fake = serve(script(Out(body=b"a,b\n")))
    connect(fake).download(Secret(link(fake)), tmp_path / "x.csv")
    assert stat.S_IMODE((tmp_path / "x.csv").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_chunks_are_written_as_they_come(tmp_path):
    """After each chunk the sink holds a few bytes, and the file on disk the rest."""
    sink = FileSink(Fetch(Secret("x"), "h", tmp_path / "x", 10**9))
    with sink:
        for _ in range(5):
            sink.take(b"x" * 1_000_000)
            assert len(sink._head) + len(sink._tail) <= 260
        assert (tmp_path / "x.part").stat().st_size > 4_000_000
        assert sink.finish() == Download(tmp_path / "x", 5_000_000, "csv")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PAR1....", "parquet"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"id,name\n1,x", "csv"),
        (b"\xef\xbb\xbfid,name", "csv"),
        (b'  [{"a":1}]', "json"),
        (b'{"a":1}', "json"),
        (b"<!doctype HTML>", "html"),
        (b"\n<html lang=en>", "html"),
        (b"", "empty"),
        (b" \n", "empty"),
    ],
)
def test_files_are_told_apart_by_their_first_bytes(head, kind):
    """Neither name nor content type is believed."""
    assert kind_of(head) == kind


def test_an_empty_file_is_a_file(serve, connect, tmp_path):
    """An export without rows may be an empty file."""
    fake = serve(script(Out(body=b"")))
    assert connect(fake).download(link(fake), tmp_path / "x").kind == "empty"
    assert (tmp_path / "x").read_bytes() == b""


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_link_that_is_used_up_asks_for_a_new_one(serve, connect, tmp_path, status):
    """An expired link is an error of its own, at once, and leaves no file."""
    fake = serve(script(Out(status, body=b"<Error>canary</Error>")))
    with pytest.raises(LinkExpired, match=r"link on 127.0.0.1.*ask for the export again") as caught:
        connect(fake).download(link(fake), tmp_path / "x")
    assert "canary" not in str(caught.value)
    assert len(fake.seen) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "fault",
    [Out(503), Out(429), Out(body=PARQUET, fault="cut"), Out(body=PARQUET[:-4]), Out(fault="reset")],
    ids=["503", "429", "cut", "no end", "reset"],
)
def test_a_download_is_repeated_from_the_start(serve, connect, time, tmp_path, fault):
    """What fails in passing, also in the middle of the file, is fetched again as a whole."""
    fake = serve(script(fault, Out(body=PARQUET)))
    assert connect(fake).download(link(fake), tmp_path / "x").bytes == len(PARQUET)
    assert (tmp_path / "x").read_bytes() == PARQUET
    assert time.slept == [1.0]


@pytest.mark.parametrize(
    ("out", "error"),
    [(Out(503), ServerFailed), (Out(fault="reset"), NetworkFailed), (Out(418), RequestRefused)],
    ids=["503", "reset", "418"],
)
def test_a_download_that_cannot_be_had_is_given_up(serve, connect, tmp_path, out, error):
    """A store that keeps failing is told by what it did, and nothing is left on disk."""
    fake = serve(script(out))
    with pytest.raises(error, match=r"link on 127\.0\.0\.1"):
        connect(fake, wait_budget=10_000).download(link(fake), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_the_wait_budget_holds_for_links_too(serve, connect, tmp_path):
    """A store that asks for more patience than is allowed is not waited for."""
    fake = serve(script(Out(503, headers={"retry-after": "500"})))
    with pytest.raises(WaitBudgetSpent):
        connect(fake).download(link(fake), tmp_path / "x")


def test_a_file_that_does_not_end_is_stopped(serve, connect, tmp_path):
    """Nobody fills the disk through a link."""
    fake = serve(script(Out(body=PARQUET)))
    with pytest.raises(UnexpectedShape, match="larger than is allowed"):
        connect(fake).download(link(fake), tmp_path / "x", limit_bytes=100_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        "http://example.com/x?canary",
        "ftp://example.com/x?canary",
        "file:///etc/passwd?canary",
        "https://user:canary@example.com/x",
        "https://[broken/x?canary",
        "no-link-canary",
        "",
    ],
)
def test_only_https_or_this_machine_is_followed(connect, tmp_path, bad):
    """A link to anywhere else is refused before anything is sent, and not shown."""
    with pytest.raises(UnexpectedShape, match="not followed") as caught:
        connect("https://api.example.com").download(bad, tmp_path / "x")
    assert "canary" not in str(caught.value)


def test_a_link_may_redirect(serve, connect, tmp_path):
    """A store may point on, relatively or to another host of this machine, and no hop gets the token."""
    store = serve(script(Out(body=b"a,b\n")))
    fake = serve(
        script(Out(307, headers={"location": "/moved?x=1"}), Out(302, headers={"location": f"{store.url}/y?z=1"}))
    )
    assert connect(fake).download(link(fake), tmp_path / "x").kind == "csv"
    assert [seen.path for seen in fake.seen] == ["/exports/1", "/moved"]
    assert (store.seen[0].path, store.seen[0].query) == ("/y", "z=1")
    assert not any("authorization" in seen.headers for seen in [*fake.seen, *store.seen])


@pytest.mark.parametrize("location", ["http://example.com/?canary", "ftp://127.0.0.1/", "http://[broken", "file:///x"])
def test_a_link_may_not_redirect_to_anything_else(serve, connect, tmp_path, location):
    """The rules for links hold for where they redirect to."""
    fake = serve(script(Out(302, headers={"location": location})))
    with pytest.raises(UnexpectedShape, match="not followed") as caught:
        connect(fake).download(link(fake), tmp_path / "x")
    assert "canary" not in str(caught.value)


def test_https_may_be_redirected_to():
    """A redirect to another https host is fine."""
    start = fetch_of(Secret("https://a.example/x"), None, 1)
    answer = SimpleNamespace(headers={"location": "https://b.example/y?s=1"})
    assert next_hop(start, answer).host == "b.example"


def test_redirects_end(serve, connect, tmp_path):
    """Links that redirect in a circle are given up."""
    fake = serve(script(Out(302, headers={"location": "/again"})))
    with pytest.raises(UnexpectedShape, match="redirects without end"):
        connect(fake).download(link(fake), tmp_path / "x")
    assert len(fake.seen) == 6


def test_an_unknown_store_is_told(connect, tmp_path):
    """A link to a host that nobody knows says so."""
    with pytest.raises(NetworkFailed, match=r"link on store.invalid: there is no such host"):
        connect("https://api.example.com").download("https://store.invalid/x", tmp_path / "x")
    assert issubclass(UnknownHost, NetworkFailed)


def test_a_disk_that_refuses_is_told(serve, connect, tmp_path):
    """A folder that is not there is the disk's own error, without the frames that hold the link."""
    fake = serve(script(Out(body=b"a,b\n")))
    with pytest.raises(FileNotFoundError) as caught:
        connect(fake).download(link(fake), tmp_path / "missing" / "x")
    assert all("httpx" not in str(entry.path) for entry in caught.traceback)
