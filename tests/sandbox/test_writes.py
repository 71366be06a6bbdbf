"""Rows that a client writes: what the models take, what they refuse, and what the workspace tells of it afterwards."""

import time

import httpx
import pytest

from cargo_source.sandbox import Sandbox
from tests.sandbox.asking import NOBODY, SCHEMA, client, named

COMPANY = {
    "name": 'Zoë\'s "Bar", Köln\n日本',
    "domain": "zoe.example",
    "description": None,
    "employeesCount": 2**53 + 1,
    "annualRevenue": 0.1,
    "isCustomer": True,
    "address": {"city": "Köln", "geo": {"lat": 1.5}, "none": None},
    "technologies": ["dbt", "x'y"],
    "embedding": [0.25, -1.0],
    "signal": [1, {"two": "2"}],
}


@pytest.fixture(scope="module")
def shared():
    """One sandbox of this module's tests; each test writes rows of its own."""
    with Sandbox(seed=5, companies=20) as box:
        yield box


@pytest.fixture
def box(shared):
    """The same with all switches as they were."""
    yield shared
    writing = shared.world.writing
    writing.left, writing.clears, writing.keeps_dates, writing.delay = None, False, False, 0.0
    writing.refused.clear()
    writing.settle(at_once=True)
    shared.faults.clear()


@pytest.fixture
def api(box):
    with client(box) as http:
        yield http


@pytest.fixture
def companies(box):
    return named(box, "default.companies")


def created(api, model, *rows):
    """Create rows in one call and give the stored ones."""
    sent = {"modelUuid": model, "records": [{"data": row} for row in rows]}
    answer = api.post("/storage/records/createBulk", json=sent)
    assert answer.status_code == 200, answer.text
    SCHEMA["/storage/records/createBulk"]["post"].validate_response(answer)
    return answer.json()["records"]


def updated(api, model, **by_id):
    sent = {"modelUuid": model, "records": [{"id": key, "data": row} for key, row in by_id.items()]}
    answer = api.put("/storage/records/updateBulk", json=sent)
    assert answer.status_code == 200, answer.text
    SCHEMA["/storage/records/updateBulk"]["put"].validate_response(answer)
    return answer.json()["records"]


def removed(api, model, *ids):
    answer = api.request("DELETE", "/storage/records/removeBulk", json={"modelUuid": model, "ids": list(ids)})
    assert (answer.status_code, answer.content) == (204, b"")


def stored(box, model):
    return {row["_id"]: row for row in box.truth_rows(model)}


def test_a_row_is_stored_as_it_was_sent_under_an_id_that_the_server_makes(box, api, companies):
    """Each type keeps its value, nulls too; what was not named is null, and the row's title and time follow."""
    before = box.world.now
    (row,) = created(api, companies, COMPANY)
    assert row == stored(box, companies)[row["id"]]
    assert {name: row[name] for name in COMPANY} == COMPANY
    assert row["_id"] == row["id"]
    assert row["_title"] == COMPANY["name"]
    assert row["_emitted_at"] > before.isoformat()
    assert {row[name] for name in ("industry", "computed__fitScore", "custom__tier")} == {None}
    assert box.world.tables["models"][companies]["lastEmittedAt"] == row["_emitted_at"]


def test_the_answer_to_many_is_in_an_order_of_its_own(box, api, companies):
    """What was created is told by a column of its own, not by its place."""
    names = [f"company {n}" for n in range(50)]
    found = [row["name"] for row in created(api, companies, *({"name": name} for name in names))]
    assert sorted(found) == sorted(names)
    assert found != names
    assert {"company 0", "company 49"} <= {row["name"] for row in stored(box, companies).values()}


def test_ids_that_are_numbers_are_made_too(box, api):
    """A custom model may have named a column of numbers as its id."""
    model = named(box, "default.targets")
    rows = created(api, model, {"label": "one"}, {"label": "two"})
    assert len({row["externalId"] for row in rows}) == 2
    assert all(row["_id"] == str(row["externalId"]) for row in rows)
    assert {row["_id"] for row in rows} <= stored(box, model).keys()


def test_an_update_changes_what_it_names(box, api, companies):
    """A null clears; an id that nobody has is passed over; of two updates of one row the later one stays."""
    (row,) = created(api, companies, COMPANY)
    (found,) = updated(api, companies, **{row["id"]: {"name": "Other", "domain": None}, "nobody": {"name": "x"}})
    assert found == stored(box, companies)[row["id"]]
    changed = {"name": "Other", "_title": "Other", "domain": None, "_emitted_at": found["_emitted_at"]}
    assert found == row | changed
    assert found["_emitted_at"] > row["_emitted_at"]
    twice = [{"id": row["id"], "data": {"name": name}} for name in ("first", "second")]
    api.put("/storage/records/updateBulk", json={"modelUuid": companies, "records": twice})
    assert stored(box, companies)[row["id"]]["name"] == "second"


def test_the_id_wins_over_what_the_row_says(box, api, companies):
    """The id is written into the payload, so a row cannot be given another one."""
    (row,) = created(api, companies, {"name": "a"})
    (found,) = updated(api, companies, **{row["id"]: {"id": "other", "name": "b"}})
    assert (found["id"], found["_id"], found["name"]) == (row["id"], row["id"], "b")
    assert "other" not in stored(box, companies)


def test_an_update_may_clear_what_it_does_not_name(box, api, companies):
    """Which of the two it does is not documented, so it can be had both ways."""
    (row,) = created(api, companies, COMPANY)
    box.world.writing.clears = True
    (found,) = updated(api, companies, **{row["id"]: {"name": "Other"}})
    assert found["name"] == "Other"
    assert {found[name] for name in COMPANY if name != "name"} == {None}


def test_native_models_may_lose_dates(box, api, companies):
    """A date comes back as an empty object then, and the cell is null; otherwise it stays."""
    sent = {"name": "dated", "foundedAt": "2026-01-31T23:59:59.123+02:00"}
    (row,) = created(api, companies, sent)
    assert row["foundedAt"] == {}
    assert stored(box, companies)[row["id"]]["foundedAt"] is None
    box.world.writing.keeps_dates = True
    (row,) = created(api, companies, sent)
    assert row["foundedAt"] == stored(box, companies)[row["id"]]["foundedAt"] == "2026-01-31T21:59:59.123Z"


def test_removed_rows_are_gone(box, api, companies):
    """Nothing is answered; an id that nobody has is passed over, so a removal may be repeated."""
    rows = created(api, companies, {"name": "a"}, {"name": "b"})
    ids = [row["id"] for row in rows]
    for _ in range(2):
        removed(api, companies, *ids, "nobody")
    assert not stored(box, companies).keys() & set(ids)
    assert [each.kind for each in box.world.writing.journal if each.id in ids] == ["create"] * 2 + ["remove"] * 2


def test_single_calls_do_the_same(box, api, companies):
    """One row at a time: a row that is not there is not updated."""
    sent = {"modelUuid": companies, "data": {"name": "single"}}
    answer = api.post("/storage/records/create", json=sent)
    SCHEMA["/storage/records/create"]["post"].validate_response(answer)
    row = answer.json()["record"]
    whose = {"modelUuid": companies, "id": row["id"]}
    answer = api.put("/storage/records/update", json={**whose, "data": {"name": "changed"}})
    SCHEMA["/storage/records/update"]["put"].validate_response(answer)
    assert answer.json()["record"]["name"] == "changed"
    assert api.request("DELETE", "/storage/records/remove", json=whose).status_code == 204
    answer = api.put("/storage/records/update", json={**whose, "data": {}})
    assert (answer.status_code, answer.json()) == (404, {"reason": "recordNotFound"})
    assert row["id"] not in stored(box, companies)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ({"id": "mine"}, "id"),
        ({"nobody": 1}, "Unknown column: nobody"),
        ({"tier": "A"}, "Unknown column: tier"),
        ({"custom__tier": "A"}, "Unknown column: custom__tier"),
        ({"fitScore": 1.0}, "Unknown column: fitScore"),
        ({"name": 1}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"employeesCount": 1.5}, "employeesCount"),
        ({"employeesCount": 2**63}, "employeesCount"),
        ({"employeesCount": True}, "employeesCount"),
        ({"annualRevenue": "1"}, "annualRevenue"),
        ({"isCustomer": "true"}, "isCustomer"),
        ({"foundedAt": "yesterday"}, "foundedAt"),
        ({"address": []}, "address"),
        ({"technologies": {}}, "technologies"),
        ({"embedding": ["a"]}, "embedding"),
        ({"domain": "refused.example"}, "domain"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_with_all_that_came_with_it(box, api, companies, row, word):
    """The refusal names the column and not the row, and nothing of the call is stored."""
    box.world.writing.refused["domain"] = {"refused.example"}
    before = stored(box, companies)
    sent = [{"data": {"name": "fine"}}, {"data": row}]
    answer = api.post("/storage/records/createBulk", json={"modelUuid": companies, "records": sent})
    SCHEMA["/storage/records/createBulk"]["post"].validate_response(answer)
    assert answer.status_code == 400
    assert word in answer.json()["errorMessage"]
    assert stored(box, companies) == before


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (("http", "website_forms"), "integrationNotCompatible"),
        (("stripe", "invoices"), "incompatibleWithRecordAction"),
        (None, "modelNotFound"),
    ],
)
def test_models_that_take_no_rows_say_why(box, api, model, reason):
    """Branching is on the reason, which is documented; the status is not."""
    uuid = named(box, ".".join(model)) if model else NOBODY
    answer = api.post("/storage/records/create", json={"modelUuid": uuid, "data": {}})
    SCHEMA["/storage/records/create"]["post"].validate_response(answer)
    assert answer.json() == {"reason": reason}


def test_connectors_models_may_take_rows_with_ids_of_their_own(box, api):
    """A CRM's model passes rows on, and their ids are the CRM's."""
    model = named(box, "hubspot.companies")
    key = box.world.spec_of(model).id
    kind = next(column for column in box.world.spec_of(model).cols if column.slug == key).type
    (row,) = created(api, model, {key: 77 if kind == "number" else "77"})
    assert row["_id"] == "77"


def test_without_credits_nothing_is_stored(box, api, companies):
    """Rows that are stored cost; a call that costs too much is refused whole."""
    box.world.writing.left = 3
    created(api, companies, {"name": "a"}, {"name": "b"})
    before = stored(box, companies)
    sent = {"modelUuid": companies, "records": [{"data": {}}, {"data": {}}]}
    answer = api.post("/storage/records/createBulk", json=sent)
    assert answer.json() == {"reason": "notEnoughCredits"}
    assert stored(box, companies) == before
    created(api, companies, {"name": "c"})


def test_no_more_than_a_thousand_rows_a_call(api, companies):
    """The bound of updates and removals is documented, and taken for creations too."""
    sent = {"modelUuid": companies, "ids": ["x"] * 1001}
    assert api.request("DELETE", "/storage/records/removeBulk", json=sent).status_code == 400


def test_what_was_written_is_synced_like_any_other_row(box, api, companies):
    """Pages, SQL and the count of inserted rows know of it; the world still moves afterwards."""
    (row,) = created(api, companies, COMPANY)
    query = f"SELECT domain FROM default.companies WHERE _id = '{row['id']}'"
    assert api.post("/storage/query", json={"query": query}).json()["rows"] == [{"domain": "zoe.example"}]
    found = api.get("/storage/records/get", params={"modelUuid": companies, "id": row["id"]}).json()
    assert found["record"] == row
    box.advance(days=1)
    assert stored(box, companies)


def plays_of(box, model):
    """The plays that run on a model's records, by the uuid of each."""
    found = [play for play in box.truth("plays") if play["modelUuid"] == model]
    alive = [play for play in found if play["isEnabled"] and not play["deletedAt"]]
    return {play["uuid"]: play for play in alive if box.world.plans[play["workflowUuid"]].ready}


@pytest.fixture
def calm(box):
    """The sandbox with all effects of what other tests wrote behind it."""
    box.world.writing.react()
    return box


def test_writes_move_segments_and_start_plays(calm, api, companies):
    """Rows that enter a play's segment run through it, each once, by the kinds of changes that the play wants."""
    before = {change["uuid"] for change in calm.truth("changes")}
    rows = created(api, companies, *({"name": f"c{n}", "stage": "customer"} for n in range(3)), {"stage": "lead"})
    ids = {row["id"] for row in rows if row["stage"] == "customer"}
    started = calm.world.writing.react()
    runs = {run["uuid"]: run for run in calm.truth("runs")}
    plays = plays_of(calm, companies)
    wanted = {uuid for uuid, play in plays.items() if "added" in play["changeKinds"]}
    assert {(each.play, each.record) for each in started} == {(play, key) for play in wanted for key in ids}
    assert {each.kind for each in started} == {"added"}
    for each in started:
        assert runs[each.run]["recordId"] == each.record
        assert runs[each.run]["workflowUuid"] == plays[each.play]["workflowUuid"]
    changes = [each for each in calm.truth("changes") if each["uuid"] not in before]
    counted = {change["segmentUuid"]: change["addedRecordsCount"] for change in changes}
    assert {counted[plays[play]["segmentUuid"]] for play in wanted} == {3}
    assert calm.world.writing.react() == []


def test_only_tracked_columns_make_an_update(calm, api, companies):
    """Another name is none to a segment that tracks the stage; and a play that runs once starts no second run."""
    (row,) = created(api, companies, {"name": "tracked", "stage": "customer"})
    calm.world.writing.react()
    segments = {play["segmentUuid"] for play in plays_of(calm, companies).values()}
    for cells, count in (({"name": "renamed"}, 0), ({"stage": "qualified"}, 1)):
        updated(api, companies, **{row["id"]: cells})
        assert calm.world.writing.react() == []
        newest = {each["uuid"]: each["lastChange"] for each in calm.truth("segments") if each["uuid"] in segments}
        assert {change["updatedRecordsCount"] for change in newest.values()} == {count}


def test_a_play_that_runs_once_does_not_run_again(calm, api, companies):
    """A record that leaves a segment and comes back runs again only where the play's rule lets it."""
    rules = {uuid: play["runCreationRule"] for uuid, play in plays_of(calm, companies).items()}
    (row,) = created(api, companies, {"name": "comes back", "stage": "customer"})
    first = {each.play for each in calm.world.writing.react()}
    updated(api, companies, **{row["id"]: {"stage": "lead"}})
    calm.world.writing.react()
    updated(api, companies, **{row["id"]: {"stage": "customer"}})
    again = {each.play for each in calm.world.writing.react() if each.kind == "added"}
    assert again == {play for play in first if rules[play] != "once"}


def test_time_that_passes_lets_writes_show_their_effects(calm, api, companies):
    """Without being asked to react, the workspace does so as soon as time moves on."""
    created(api, companies, {"stage": "qualified"})
    before = len(calm.world.writing.started)
    calm.advance(minutes=1)
    assert len(calm.world.writing.started) > before


def test_what_was_written_may_show_later(box, api, companies):
    """Pages, single rows and SQL give what was there before, and say that something is under way; the truth has it."""
    (old,) = created(api, companies, {"name": "old"})
    emitted = box.world.tables["models"][companies]["lastEmittedAt"]
    box.world.writing.delay = 60
    (new,) = created(api, companies, {"name": "new"})
    (found,) = updated(api, companies, **{old["id"]: {"name": "older"}, "nobody": {}})
    removed(api, companies, new["id"])
    (last,) = created(api, companies, {"name": "last"})
    assert found["name"] == "older"
    query = {"query": "SELECT name FROM default.companies WHERE name IN ('old', 'older', 'new', 'last')"}
    page = {"modelUuid": companies, "limit": 100}
    asked = {
        "pages": lambda: api.post("/storage/records/list", json=page).json(),
        "sql": lambda: api.post("/storage/query", json=query).json(),
        "one": lambda: api.get("/storage/records/get", params={"modelUuid": companies, "id": old["id"]}).json(),
        "export": lambda: api.post("/storage/query/download", json=query).json(),
    }
    assert {name: ask()["isRefreshing"] for name, ask in asked.items()} == dict.fromkeys(asked, True)
    assert asked["one"]()["record"] == old
    assert asked["sql"]()["rows"] == [{"name": "old"}]
    assert box.world.tables["models"][companies]["lastEmittedAt"] == emitted
    rows = stored(box, companies)
    assert rows[old["id"]]["name"] == "older"
    assert last["id"] in rows
    assert new["id"] not in rows
    box.world.writing.settle(at_once=True)
    assert {name: ask()["isRefreshing"] for name, ask in asked.items()} == dict.fromkeys(asked, False)
    assert {row["name"] for row in asked["sql"]()["rows"]} == {"older", "last"}
    assert box.world.tables["models"][companies]["lastEmittedAt"] == last["_emitted_at"]
    assert stored(box, companies) == rows


def test_it_shows_when_its_time_has_come(box, api, companies):
    """The delay is real time, and what is written meanwhile shows with what was first."""
    box.world.writing.delay = 0.3
    (row,) = created(api, companies, {"name": "soon"})
    params = {"modelUuid": companies, "id": row["id"]}
    seen = [api.get("/storage/records/get", params=params).status_code]
    until = time.monotonic() + 10
    while seen[-1] == 404 and time.monotonic() < until:
        time.sleep(0.05)
        seen.append(api.get("/storage/records/get", params=params).status_code)
    assert (seen[0], seen[-1]) == (404, 200)


def test_a_write_may_be_done_though_its_answer_is_lost(box, api, companies):
    """The connection is reset after the row was stored, or the answer comes too late for whoever waits for it."""
    box.faults.add(path="storage/records/create", kind="lost_answer", count=1)
    sent = {"modelUuid": companies, "data": {"name": "lost answer"}}
    with pytest.raises(httpx.NetworkError):
        api.post("/storage/records/create", json=sent)
    box.faults.add(path="storage/records/create", kind="late_answer", count=1, seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        api.post("/storage/records/create", json=sent, timeout=0.2)
    assert [row["name"] for row in stored(box, companies).values()].count("lost answer") == 2


def test_half_of_a_call_may_be_done(box, api, companies):
    """Whether a call is done whole or not at all is not documented."""
    box.faults.add(path="storage/records/*Bulk", kind="half_done", status=502, count=2)
    sent = {"modelUuid": companies, "records": [{"data": {"name": f"half {n}"}} for n in range(4)]}
    assert api.post("/storage/records/createBulk", json=sent).status_code == 502
    kept = [row["_id"] for row in stored(box, companies).values() if (row["name"] or "").startswith("half")]
    assert len(kept) == 2
    sent = {"modelUuid": companies, "ids": kept}
    assert api.request("DELETE", "/storage/records/removeBulk", json=sent).status_code == 502
    assert len(stored(box, companies).keys() & set(kept)) == 1


def test_a_call_may_be_too_large(box, api, companies):
    """A bound that nobody has told shows as 413, and nothing is stored."""
    box.faults.add(path="storage/records/*Bulk", kind="too_large", rows=2, count=1)
    before = stored(box, companies)
    sent = {"modelUuid": companies, "records": [{"data": {}}] * 3}
    assert api.post("/storage/records/createBulk", json=sent).status_code == 413
    assert stored(box, companies) == before
    created(api, companies, {}, {})


def test_a_hook_appends_what_is_posted_to_it(box, api):
    """One object or many, under ids that the server makes; keys that nobody declared become columns of text."""
    model = named(box, "http.product_signups")
    before = stored(box, model)
    posted = [{"workspace": "a", "seats": 3, "seen": {"at": [1]}}, {"workspace": None, "seats": "many", "plan": 5}]
    for body in (posted, {"workspace": "one"}):
        answer = api.post(f"/models/{model}/records/ingest", json=body)
        SCHEMA["/models/{uuid}/records/ingest"]["post"].validate_response(answer)
        assert answer.json() == {"message": "OK"}
    new = [row for key, row in stored(box, model).items() if key not in before]
    found = sorted((row["workspace"] or "", row["seats"], row["plan"], row["seen"]) for row in new)
    assert found == [("", None, "5", None), ("a", 3, None, '{"at": [1]}'), ("one", None, None, None)]
    assert all(row["_id"] == row["_ingest_id"] for row in new)
    assert {row["seen"] for row in stored(box, model).values()} == {None, '{"at": [1]}'}


@pytest.mark.parametrize(
    ("model", "body", "word"),
    [
        (("http", "website_forms"), {"_ingest_id": "mine"}, "_ingest_id"),
        (("segment", "tracks"), {"event": "x"}, "ingest"),
        (("default", "companies"), {"name": "x"}, "ingest"),
        (("http", "website_forms"), [], "too_small"),
        (("http", "website_forms"), [{}] * 101, "too_big"),
        (("http", "website_forms"), [[]], "object"),
    ],
)
def test_a_hook_refuses_what_is_not_for_it(box, api, model, body, word):
    """Ids that somebody else makes, models that are filled otherwise, and more rows than a call takes."""
    uuid = named(box, ".".join(model))
    before = stored(box, uuid)
    answer = api.post(f"/models/{uuid}/records/ingest", json=body)
    assert answer.status_code == 400
    assert word in answer.json()["errorMessage"]
    assert stored(box, uuid) == before


def test_a_hook_keeps_nothing_of_who_only_asks_whether_it_is_there(box, api):
    """A row that looks like a handshake is swallowed."""
    model = named(box, "http.website_forms")
    before = stored(box, model)
    body = {"type": "url_verification", "challenge": "x"}
    assert api.post(f"/models/{model}/records/ingest", json=body).status_code == 200
    assert stored(box, model) == before


def test_any_token_may_post_to_a_hook(box):
    """It comes bare behind Basic, or in the query; none, or one that is no token, is refused."""
    model = named(box, "http.website_forms")
    token = box.token_without("storage", "segmentation")
    url = f"{box.url}/v1/models/{model}/records/ingest"
    ways = [
        ({}, {"authorization": f"Basic {token}"}, 200),
        ({"token": token}, {}, 200),
        ({}, {"authorization": f"Bearer {token}"}, 200),
        ({}, {}, 401),
        ({"token": "other"}, {}, 401),
        ({}, {"authorization": "Basic other"}, 401),
    ]
    for params, headers, status in ways:
        assert httpx.post(url, params=params, headers=headers, json={"form": "demo"}).status_code == status
    assert httpx.get(f"{box.url}/v1/storage/models/list", params={"token": token}).status_code == 401
