"""Rows that are gone in Cargo: marked, removed or left, by reads that prove it alone, and back when they return."""

import shutil
from datetime import timedelta

import pytest
from dlt.common import logger

from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, IncompleteRead
from cargo_source.pull import deletes, patience, resources, sweeps
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.pipeline_destination import PipelineDestination
from cargo_source.sandbox.identity import Stream
from tests.proxy import proxied
from tests.small import small_box
from tests.target import differences, model_differences

MODEL, TABLE = "default.companies", "default__companies"
ROWS = {"only": ["models", "datasets"], "models": [MODEL]}
LANES = pytest.mark.parametrize("lane", ["export", "pages"])


@pytest.fixture
def box():
    with small_box(61, companies=40) as own:
        yield own


def spec_of(box, name=MODEL):
    return box.world.warehouse.specs[name]


def model_of(box, name=MODEL):
    slugs = {dataset["uuid"]: dataset["slug"] for dataset in box.truth("datasets")}
    return next(m for m in box.truth("models") if f"{slugs[m['datasetUuid']]}.{m['slug']}" == name)


def remove(box, count=3, name=MODEL):
    """Take rows out of a model; nothing else of it moves."""
    ids = box.world.warehouse.draw_ids(spec_of(box, name), count, "gone")
    box.world.warehouse.remove(spec_of(box, name), ids)
    box.world.revision += 1
    return ids


def bring_back(box, ids):
    """Put rows back as they were, with the time at which they were written once."""
    store, spec = box.world.warehouse, spec_of(box)
    listed = ", ".join(f"'{key}'" for key in ids)
    store.db.execute(f"INSERT INTO {store.table(spec)} FROM {store._attic(spec)} WHERE _id IN ({listed})")
    box.world.revision += 1


def without_sql(box):
    box.faults.add({"path": "storage/query*", "kind": "forbidden", "count": None})


def cells(row):
    return {name: cell for name, cell in row.items() if name not in {"_cargo_run_id", "_cargo_deleted_at"}}


def landed(target, table=TABLE, key="_id"):
    return {row[key]: row for row in target.rows(table)}


@LANES
@pytest.mark.parametrize("mode", ["soft", "hard", "ignore"])
def test_rows_of_a_model_that_are_gone(target, box, lane, mode):
    """Marked with all their values, removed, or left as they are, whichever way rows come."""
    if lane == "pages":
        without_sql(box)
    target.sync(box, **ROWS, deletes=mode)
    before = landed(target)
    gone = remove(box)
    if lane == "pages":
        # Without SQL a model is read again when something of it moves.
        box.touch(model_of(box)["uuid"], 1)
    report = target.sync(box, **ROWS, deletes=mode)
    after = landed(target)
    marked = {key for key, row in after.items() if row["_cargo_deleted_at"] is not None}
    assert marked == (set(gone) if mode == "soft" else set())
    assert set(gone) & after.keys() == (set() if mode == "hard" else set(gone))
    assert all(cells(after[key]) == cells(before[key]) for key in set(gone) & after.keys())
    if mode != "ignore":
        assert model_differences(target, box, model_of(box)) == []
        assert "3 gone" in next(outcome.note for outcome in report.outcomes if outcome.table == TABLE)
    box.world.tick(2 * 3_600_000)
    if lane == "pages":
        # What lies in the lookback comes once more.
        target.sync(box, **ROWS, deletes=mode)
    assert target.sync(box, **ROWS, deletes=mode).rows == 0


@LANES
def test_a_row_that_returns_is_no_longer_marked(target, box, lane):
    """Also one that comes back as it was, with the time at which it was written long ago."""
    target.sync(box, **ROWS)
    gone = remove(box)
    if lane == "pages":
        without_sql(box)
        box.touch(model_of(box)["uuid"], 1)
    target.sync(box, **ROWS)
    bring_back(box, gone[:2])
    if lane == "pages":
        box.touch(model_of(box)["uuid"], 1)
    target.sync(box, **ROWS)
    assert model_differences(target, box, model_of(box)) == []
    marked = {key for key, row in landed(target).items() if row["_cargo_deleted_at"] is not None}
    assert marked == {gone[2]}


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_a_load_that_comes_twice_marks_each_row_once(target, box, mode, monkeypatch):
    """Staging that a kill has filled twice, tombstones included, gives the tables that one filled once gives."""
    target.sync(box, **ROWS, deletes=mode)
    plain = resources._files

    def twice(spooled, table, **options):
        yield from plain(spooled, table, **options)
        for chunk in spooled.chunks:
            again = chunk.path.with_suffix(".again.parquet")
            shutil.copy(chunk.path, again)
            yield resources._file(resources.Chunk(again, chunk.rows), table)

    monkeypatch.setattr(resources, "_files", twice)
    gone = remove(box)
    box.touch(model_of(box)["uuid"], 2)
    target.sync(box, **ROWS, deletes=mode)
    assert len(target.rows(TABLE)) == len(landed(target))
    assert model_differences(target, box, model_of(box)) == []
    marked = {key for key, row in landed(target).items() if row["_cargo_deleted_at"]}
    assert marked == (set(gone) if mode == "soft" else set())


def test_many_rows_that_are_gone_are_read_back_past_the_rest(target, box, monkeypatch):
    """Where there are too many to name, the table is read as a whole; the marks are the same."""
    monkeypatch.setattr(deletes, "FEW", 1)
    monkeypatch.setattr(sweeps, "FEW", 1)
    target.sync(box, **ROWS)
    before, gone = landed(target), remove(box, 5)
    box.touch(model_of(box)["uuid"], 4)
    target.sync(box, **ROWS)
    assert model_differences(target, box, model_of(box)) == []
    after = landed(target)
    assert all(cells(after[key]) == cells(before[key]) for key in gone)


def test_a_quiet_sync_asks_one_question_more_and_moves_no_row(target, box):
    """However many models there are, one request counts them all; where a count differs, that model alone is swept."""
    everything = {"only": ["models", "datasets"], "models": [model["uuid"] for model in box.truth("models")]}
    target.sync(box, **everything)
    box.world.tick(2 * 3_600_000)
    target.sync(box, **everything)
    with proxied(box) as seen:
        report = target.sync(seen, **everything)
        asked = [path for _, path, _ in seen.asked]
    assert report.rows == 0
    assert asked.count("storage/query") == 1
    assert not [path for path in asked if path == "storage/query/download" or path.endswith("/ddl")]
    remove(box)
    with proxied(box) as seen:
        report = target.sync(seen, **everything)
        asked = [path for _, path, _ in seen.asked]
    assert {outcome.table for outcome in report.outcomes if outcome.rows} == {TABLE}
    assert asked.count("storage/query/download") <= 2


def test_a_model_that_cannot_be_counted_does_not_hide_the_others(target, box):
    """Where the one question is refused, each model is asked for by itself, and the one at fault is left alone."""
    two = {"only": ["models", "datasets"], "models": [MODEL, "default.contacts"]}
    target.sync(box, **two)
    gone = remove(box)

    def refused(_method, path, params):
        bad = path == "storage/query" and "contacts" in params["query"]
        return (400, {"reason": "unknown", "errorMessage": "no such column"}) if bad else None

    with proxied(box, before=refused) as odd:
        target.sync(odd, **two)
        first = len([path for _, path, _ in odd.asked if path == "storage/query"])
        odd.asked.clear()
        target.sync(odd, **two)
        assert len([path for _, path, _ in odd.asked if path == "storage/query"]) < first
    assert {key for key, row in landed(target).items() if row["_cargo_deleted_at"]} == set(gone)


def test_without_sql_records_that_left_a_segment_are_the_hint(target, box):
    """The model is read again though nothing says that its rows moved."""
    without_sql(box)
    forms = {"only": ["models", "datasets"], "models": ["http.website_forms"]}
    target.sync(box, **forms)
    segment = next(s for s in box.truth("segments") if s["name"] == "Five newest forms")
    box.world.tick(60_000)
    target.sync(box, **forms)
    members = [row["_id"] for row in box.world.change_rows[last_change(box, segment)] if row["_kind"] != "removed"]
    box.world.warehouse.remove(spec_of(box, "http.website_forms"), members[:1])
    box.world.tick(60_000)
    box.world.changes.evaluate({segment["uuid"]: box.world.moment}, Stream(61, "test"))
    box.world.revision += 1
    target.sync(box, **forms)
    assert model_differences(target, box, model_of(box, "http.website_forms")) == []


def last_change(box, segment):
    found = [change for change in box.truth("changes") if change["segmentUuid"] == segment["uuid"]]
    return max(found, key=lambda change: change["createdAt"])["uuid"]


def test_computed_columns_are_read_again_after_a_while(target, box):
    """A cell that changed without a sign of it comes with the periodic full read, however quiet the model is."""
    target.sync(box, **ROWS)
    spec = spec_of(box)
    box.world.db.execute(f"UPDATE {box.world.warehouse.table(spec)} SET industry = 'recomputed'")
    box.world.revision += 1
    box.world.tick(6 * 86_400_000)
    target.sync(box, **ROWS)
    assert "recomputed" not in {row["industry"] for row in target.rows(TABLE)}
    target.sync(box, **ROWS, full_refresh_every=timedelta(days=5))
    assert model_differences(target, box, model_of(box)) == []


def test_nothing_is_gone_while_the_workspace_is_refreshing(target, box, monkeypatch):
    """What is still being written proves nothing; the next sync looks again."""
    monkeypatch.setattr(patience, "PATIENCE", 0.5)
    target.sync(box, **ROWS)
    gone = remove(box)
    box.faults.add({"path": "storage/query/download", "kind": "refreshing", "count": None})
    target.sync(box, **ROWS)
    assert not [row for row in target.rows(TABLE) if row["_cargo_deleted_at"]]
    box.faults.clear()
    target.sync(box, **ROWS)
    assert {key for key, row in landed(target).items() if row["_cargo_deleted_at"]} == set(gone)


@LANES
def test_a_model_that_is_empty_all_at_once_stops_the_sync(target, box, lane):
    """Both numbers are told, the exit is 3 and the rows stay, until somebody says that it is so."""
    if lane == "pages":
        without_sql(box)
    target.sync(box, **ROWS)
    store, spec = box.world.warehouse, spec_of(box)
    store.db.execute(f"DELETE FROM {store.table(spec)}")
    box.world.tables["models"][model_of(box)["uuid"]]["lastEmittedAt"] = box.world.now.isoformat()
    box.world.revision += 1
    before = target.rows(TABLE)
    with pytest.raises(IncompleteRead, match="no row where 40 are known") as caught:
        target.sync(box, **ROWS)
    assert (caught.value.exit_code, caught.value.expected, caught.value.got) == (3, 40, 0)
    assert target.rows(TABLE) == before
    target.sync(box, **ROWS, allow_empty=True)
    assert model_differences(target, box, model_of(box)) == []


@pytest.mark.parametrize("mode", ["soft", "hard", "ignore"])
def test_the_rows_of_a_model_that_is_gone(target, box, mode):
    """Its table is not asked for any more, and its rows are what rows are that are gone."""
    models = {"only": ["models", "datasets"], "models": [MODEL, "hubspot.deals"]}
    target.sync(box, **models, deletes=mode)
    before = len(target.rows("hubspot__deals"))
    box.reshape.remove_model("hubspot.deals")
    target.sync(box, **ROWS, deletes=mode)
    rows = target.rows("hubspot__deals")
    assert len(rows) == (0 if mode == "hard" else before)
    assert all((row["_cargo_deleted_at"] is not None) == (mode == "soft") for row in rows)
    assert differences(target, box, skip=set(ENTITIES) - {"datasets"}) == [] or mode == "ignore"


# Lists ---------------------------------------------------------------------------------------------------------------

LISTED = ["tools", "agents", "memories", "votes", "chats", "messages", "agent_runs", "runs"]
REST = set(ENTITIES) - set(LISTED)


@pytest.mark.parametrize("mode", ["soft", "hard", "ignore"])
def test_what_a_whole_list_lacks_is_gone_until_it_is_back(target, box, mode):
    """With its last values; and nothing is marked any more when it comes back, though nothing of it changed."""
    target.sync(box, only=["tools"], deletes=mode)
    before = landed(target, "tools", "uuid")
    uuid, tool = box.world.tables["tools"].popitem()
    box.world.revision += 1
    target.sync(box, only=["tools"], deletes=mode)
    after = landed(target, "tools", "uuid")
    assert (uuid in after) == (mode != "hard")
    if mode != "hard":
        assert (after[uuid]["_cargo_deleted_at"] is not None) == (mode == "soft")
        assert cells(after[uuid]) == cells(before[uuid])
    box.world.tables["tools"][uuid] = tool
    box.world.revision += 1
    target.sync(box, only=["tools"], deletes=mode)
    assert differences(target, box, skip=set(ENTITIES) - {"tools"}) == []


def test_a_list_that_is_short_once_deletes_nothing(target, box):
    """What one look lacks and the next one shows is there; what was cut comes with the next sync."""
    target.sync(box, only=["tools"])
    box.faults.add({"path": "orchestration/tools/list", "kind": "short_page", "count": 1})
    target.sync(box, only=["tools"])
    assert box.journal.faults() == 1
    assert differences(target, box, skip=set(ENTITIES) - {"tools"}) == []
    target.sync(box, only=["tools"])
    assert differences(target, box, skip=set(ENTITIES) - {"tools"}) == []


def test_a_list_that_is_empty_all_at_once_stops_the_sync(target, box):
    """Also where it is empty at the second word; nothing of it is touched."""
    target.sync(box, only=["tools"])
    with proxied(box, before=lambda _m, path, _p: (200, {"tools": []}) if path.endswith("tools/list") else None) as odd:
        with pytest.raises(IncompleteRead, match="tools: Cargo gives no row"):
            target.sync(odd, only=["tools"])
        assert differences(target, box, skip=set(ENTITIES) - {"tools"}) == []
        target.sync(odd, only=["tools"], allow_empty=True)
    assert all(row["_cargo_deleted_at"] for row in target.rows("tools"))


def test_children_that_their_parents_list_lacks_are_gone(target, box):
    """Votes, memories and messages, of parents that were read; what is gone takes along what hangs on it."""
    target.sync(box, only=LISTED)
    tables = box.world.tables
    # What becomes of the newest, which its chat names, is tested with outcomes.
    newest = {chat["lastMessage"]["uuid"] for chat in tables["chats"].values() if chat["lastMessage"]}
    older = [row for row in tables["messages"].values() if row["uuid"] not in newest]
    message = next(row for row in older if row["type"] == "assistant")
    del tables["messages"][message["uuid"]]
    del tables["votes"][next(key for key, vote in tables["votes"].items() if vote["messageUuid"] != message["uuid"])]
    for scope in ("user", "agent"):
        del tables["memories"][next(key for key, row in tables["memories"].items() if row["scope"] == scope)]
    agent = next(row["agentUuid"] for row in tables["memories"].values() if row["scope"] == "agent")
    del tables["agents"][agent]
    for key in [key for key, row in tables["memories"].items() if row.get("agentUuid") == agent]:
        del tables["memories"][key]
    box.world.tick(21 * 3_600_000)
    tables["chats"][message["chatUuid"]]["updatedAt"] = box.world.now.isoformat()
    box.world.revision += 1
    with proxied(box) as seen:
        target.sync(seen, only=LISTED)
        again = [params for _, path, params in seen.asked if path == "ai/messages/list"]
    assert differences(target, box, skip=REST | {"records"}) == []
    # What was made out of it went with it.
    assert landed(target, "agent_runs", "message_uuid")[message["uuid"]]["_cargo_deleted_at"]
    assert all(
        any(row["_cargo_deleted_at"] for row in target.rows(table)) for table in ("messages", "votes", "memories")
    )
    # The list of the chat that lacks a message was read twice.
    begun = [params for params in again if params["offset"] == "0"]
    assert len([params for params in begun if params["chatUuid"] == message["chatUuid"]]) == 2


# Modes ---------------------------------------------------------------------------------------------------------------


def test_modes_may_change_between_syncs(target, box):
    """Soft to hard removes what was marked; ignore to soft marks what was left; hard to soft marks from then on."""
    both = {"only": ["models", "datasets", "tools"], "models": [MODEL]}
    target.sync(box, **both, deletes="ignore")
    left = remove(box, 2)
    tool = box.world.tables["tools"].popitem()[0]
    target.sync(box, **both, deletes="ignore")
    target.sync(box, **both, deletes="soft")
    assert {key for key, row in landed(target).items() if row["_cargo_deleted_at"]} == set(left)
    assert landed(target, "tools", "uuid")[tool]["_cargo_deleted_at"]
    target.sync(box, **both, deletes="hard")
    assert not set(left) & landed(target).keys()
    assert tool not in landed(target, "tools", "uuid")
    more = remove(box, 1)
    target.sync(box, **both, deletes="soft")
    assert {key for key, row in landed(target).items() if row["_cargo_deleted_at"]} == set(more)
    assert model_differences(target, box, model_of(box)) == []


def test_a_destination_that_cannot_be_asked_is_refused(target, box, monkeypatch):
    """What is there has to be known before anything can be said to be gone; ignore asks nothing."""
    monkeypatch.setattr(PipelineDestination, "readable", False)
    with pytest.raises(BadSettings, match="deletes='ignore'"):
        target.sync(box, only=["tools"])
    target.sync(box, only=["tools"], deletes="ignore")
    assert differences(target, box, skip=set(ENTITIES) - {"tools"}) == []


@pytest.mark.parametrize(
    "options", [{"deletes": "sof"}, {"full_refresh_every": 0}, {"full_refresh_every": float("nan")}], ids=str
)
def test_options_that_make_no_sense_are_told(target, box, options):
    """Before anything is read."""
    with pytest.raises(BadSettings, match=next(iter(options))):
        target.sync(box, only=["tools"], **options)


def test_hard_deletes_begin_without_warnings(target, box, monkeypatch):
    """A first sync writes new tables, from which nothing is to be removed; later ones remove."""
    told = []
    monkeypatch.setattr(logger, "warning", lambda *words: told.append(words), raising=False)
    target.sync(box, only=["agents", "runs", "executions"], models=["default.companies"], deletes="hard")
    assert told == []
    target.sync(box, only=["agents", "runs", "executions"], deletes="hard")
    schema = duckdb_pipeline(target.database, "cargo", target.folder / "state").schemas["cargo"]
    # Of a table that nothing was written to since, nothing had to be removed either.
    assert schema.tables["runs"]["columns"]["_cargo_deleted_at"]["hard_delete"] is True
