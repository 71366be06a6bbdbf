import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from cargo_source.sandbox import FaultError, Sandbox
from cargo_source.sandbox.faults import Faults, read_faults
from tests.sandbox.conftest import client

EPOCH = "1970-01-01T00:00:00Z"


def chats(own, **query):
    return own.api.get("/ai/chats/list", params=query)


def test_429_comes_without_a_wait_and_with_one_in_seconds_or_as_a_date(faulty):
    """Retry-After is absent, a number, or a date in the sandbox's own time."""
    for more in ({}, {"retry_after": "seconds", "seconds": 7}, {"retry_after": "date", "seconds": 90}):
        faulty.box.faults.add(path="ai/chats/list", kind="429", count=1, **more)
        answer = chats(faulty)
        assert answer.status_code == 429
        waits = answer.headers.get("retry-after")
        if not more:
            assert waits is None
        elif more["retry_after"] == "seconds":
            assert waits == "7"
        else:
            date = parsedate_to_datetime(answer.headers["date"])
            assert (parsedate_to_datetime(waits) - date).total_seconds() == 90
        assert chats(faulty).status_code == 200


def test_server_errors_and_gateways_speak_html(faulty):
    """5xx bodies are HTML; a captive page is HTML with 200; 403 is as for a missing permission."""
    faulty.box.faults.add(path="ai/*", kind="5xx", status=502, count=1)
    answer = chats(faulty)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (502, "text/html")
    faulty.box.faults.add(path="ai/*", kind="html_200", count=1)
    answer = chats(faulty)
    assert (answer.status_code, answer.text[:6]) == (200, "<html>")
    faulty.box.faults.add(path="ai/*", kind="forbidden", count=1)
    answer = chats(faulty)
    assert (answer.status_code, answer.json()) == (403, {"errorMessage": "forbidden"})


def test_slow_answers_wait_and_hold_nobody_else_up(faulty):
    """The answer comes late; other requests are answered meanwhile."""
    import threading

    faulty.box.faults.add(path="ai/chats/list", kind="slow", seconds=0.6, count=1)
    slow = []
    begun = time.monotonic()
    thread = threading.Thread(target=lambda: slow.append((chats(faulty).status_code, time.monotonic() - begun)))
    thread.start()
    while not faulty.box.faults.described()[0]["fired"]:
        time.sleep(0.005)
    with client(faulty.box) as other:
        assert other.get("/ai/agents/list").status_code == 200
    assert time.monotonic() - begun < 0.5
    thread.join()
    assert slow[0][0] == 200
    assert slow[0][1] >= 0.6


def test_connections_break_before_and_within_the_answer(faulty):
    """reset loses the connection before the answer, cut within the promised body; the next request is served."""
    faulty.box.faults.add(path="ai/chats/list", kind="reset", count=1)
    with pytest.raises(httpx.ReadError):
        chats(faulty)
    assert chats(faulty).status_code == 200
    faulty.box.faults.add(path="ai/chats/list", kind="cut", count=1)
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        chats(faulty)
    assert chats(faulty).status_code == 200
    statuses = [(entry.status, entry.faults) for entry in faulty.box.journal.entries()]
    assert statuses == [(None, ["reset"]), (200, []), (200, ["cut"]), (200, [])]
    assert faulty.box.journal.faults() == 2


def test_a_body_can_be_cut_so_that_its_length_agrees(faulty):
    """invalid_json is a whole answer that does not parse."""
    faulty.box.faults.add(path="ai/chats/list", kind="invalid_json", count=1)
    answer = chats(faulty)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"JSON|Expecting|Unterminated|delimiter|value"):
        answer.json()


def test_pages_repeat_reorder_and_come_short(faulty):
    """The page before, the same rows in another order, fewer rows than asked."""

    def page(offset):
        return [chat["uuid"] for chat in chats(faulty, offset=offset, limit=20).json()["chats"]]

    first, second = page(0), page(20)
    faulty.box.faults.add(path="ai/chats/list", kind="repeat_page", count=1)
    assert page(20) == first
    faulty.box.faults.add(path="ai/chats/list", kind="reorder_page", count=1)
    shuffled = page(20)
    assert shuffled != second
    assert sorted(shuffled) == sorted(second)
    faulty.box.faults.add(path="ai/chats/list", kind="short_page", count=1)
    assert page(20) == second[:10]
    faulty.box.faults.add(path="ai/chats/list", kind="short_page", rows=3, count=1)
    assert page(20) == second[:3]
    assert faulty.box.journal.rows_by_path()["ai/chats/list"] == 20 * 4 + 10 + 3


def test_pages_of_rows_are_spoilt_too(faulty):
    """The same faults on records/list, whose rows are kept encoded, and on segments/fetch with its own offset."""
    model = next(m["uuid"] for m in faulty.box.truth("models") if m["slug"] == "tickets")
    rows = faulty.box.truth_rows(model)
    faulty.box.faults.add(path="storage/records/list", kind="repeat_page", count=1)
    sent = {"modelUuid": model, "offset": 100}
    assert faulty.api.post("/storage/records/list", json=sent).json()["records"] == rows[:100]
    faulty.box.faults.add(path="segmentation/segments/fetch", kind="repeat_page", count=1)
    sent = {"modelUuid": model, "filter": {}, "fetchingOffset": 50, "fetchingLimit": 50}
    assert faulty.api.post("/segmentation/segments/fetch", json=sent).json()["records"] == rows[:50]


def test_rows_are_written_between_two_pages(faulty):
    """write_between touches the model that is being read; where none is read, the workspace lives on."""
    model = next(m["uuid"] for m in faulty.box.truth("models") if m["slug"] == "tickets")
    before = faulty.box.truth_rows(model)
    faulty.box.faults.add(path="storage/records/list", kind="write_between", after=1, count=1, rows=4)
    for offset in (0, 100):
        faulty.api.post("/storage/records/list", json={"modelUuid": model, "offset": offset})
    after = faulty.box.truth_rows(model)
    assert len(after) == len(before) + 4
    assert sum(row in before for row in after) == len(before) - 4
    faulty.box.faults.add(path="storage/query", kind="write_between", count=1, rows=2)
    sent = {"query": "SELECT count(*) AS n FROM zendesk.tickets"}
    assert faulty.api.post("/storage/query", json=sent).json()["rows"] == [{"n": len(after) + 2}]
    now = faulty.box.world.now
    faulty.box.faults.add(path="ai/chats/list", kind="write_between", count=1, minutes=45)
    chats(faulty)
    assert (faulty.box.world.now - now).total_seconds() == 45 * 60


def test_flags_fields_and_enums_can_be_unheard_of(faulty):
    """isRefreshing turns true; objects get an unknown field; enums an unknown value."""
    model = faulty.box.truth("models")[0]["uuid"]
    faulty.box.faults.add(path="storage/records/list", kind="refreshing", count=1)
    assert faulty.api.post("/storage/records/list", json={"modelUuid": model}).json()["isRefreshing"] is True
    faulty.box.faults.add(path="ai/releases/list", kind="extra_fields", count=1)
    assert all("unheardOf" in row for row in faulty.api.get("/ai/releases/list").json()["releases"])
    faulty.box.faults.add(path="ai/releases/list", kind="unknown_enum", count=1)
    assert {row["status"] for row in faulty.api.get("/ai/releases/list").json()["releases"]} == {"unheardOf"}
    assert "unheardOf" not in faulty.api.get("/ai/releases/list").text


def test_links_expire_on_demand(faulty):
    """Links are given expired, or expire when fetched; either way once."""
    sent = {"query": "SELECT 1 AS a"}
    faulty.box.faults.add(path="storage/query/download", kind="expired_link", count=1)
    (link,) = faulty.api.post("/storage/query/download", json=sent).json()["urls"]
    assert (httpx.get(link).status_code, "expired" in httpx.get(link).text) == (403, True)
    (link,) = faulty.api.post("/storage/query/download", json=sent).json()["urls"]
    faulty.box.faults.add(path="exports/*", kind="expired_link", count=1)
    assert [httpx.get(link).status_code for _ in range(2)] == [403, 200]
    faulty.box.faults.add(path="exports/*", kind="cut", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(link)


def test_faults_choose_their_requests(faulty):
    """By glob or regular expression, by method, after some, every so many, and no more than count."""
    faults = faulty.box.faults
    only_gets = faults.add({"path": "/ai/*", "kind": "5xx", "method": "get", "after": 1, "every": 2, "count": 2})
    statuses = [chats(faulty).status_code for _ in range(8)]
    assert statuses == [200, 200, 503, 200, 503, 200, 200, 200]
    assert (only_gets.seen, only_gets.fired) == (8, 2)
    faults.clear()
    faults.add(path="^ai/(agents|releases)/list$", kind="5xx")
    answers = [faulty.api.get(f"/ai/{each}/list").status_code for each in ("agents", "releases", "chats")]
    assert answers == [503, 503, 200]
    faults.clear()
    faults.add(path="*", method="POST", kind="5xx")
    assert chats(faulty).status_code == 200
    assert faulty.api.post("/storage/query", json={"query": "SELECT 1 AS a"}).status_code == 503


def test_chance_is_seeded():
    """The same seed and requests meet the same faults; about as many as the probability says."""

    def met(seed):
        faults = Faults(seed, [{"path": "*", "kind": "5xx", "probability": 0.3}])
        return [bool(faults.fire("GET", "ai/agents/list")) for _ in range(200)]

    assert met(5) == met(5) != met(6)
    assert 40 <= sum(met(5)) <= 80


def test_faults_can_be_given_at_the_start():
    """As a list of dicts, like those of a faults file."""
    with Sandbox(seed=5, companies=1, faults=[{"path": "ai/*", "kind": "5xx"}]) as box, client(box) as api:
        assert api.get("/ai/agents/list").status_code == 503


@pytest.mark.parametrize(
    "fault",
    [
        {"path": "*"},
        {"kind": "5xx"},
        {"path": "*", "kind": "teapot"},
        {"path": "*", "kind": "5xx", "often": 3},
        {"path": "*", "kind": "429", "retry_after": 5},
        {"path": "*", "kind": "5xx", "every": 0},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(faulty, fault):
    """An unknown kind or setting would otherwise never happen, and nobody would notice."""
    with pytest.raises(FaultError):
        faulty.box.faults.add(fault)


@pytest.mark.parametrize("content", ["{", '{"path": "*"}', "[1]"])
def test_a_faults_file_holds_a_list_of_objects(tmp_path, content):
    """What is no such file is refused with its name."""
    path = tmp_path / "faults.json"
    path.write_text(content)
    with pytest.raises(FaultError, match=r"faults\.json"):
        read_faults(path)
