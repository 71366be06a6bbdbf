"""Models that a client makes, changes and removes: what they are at once, what is refused, and what a sync sees."""

import gzip

import httpx
import pytest

from cargo_source.sandbox import Sandbox
from tests.sandbox.asking import NOBODY, ask, client, created, dataset, done, made, named, names, refused
from tests.small import small_box
from tests.target import Target, differences


@pytest.fixture(scope="module")
def box():
    """One sandbox of this module's tests; each test makes models of its own."""
    with Sandbox(seed=5, companies=20) as box:
        yield box


@pytest.fixture(scope="module")
def api(box):
    with client(box) as http:
        yield http


def listed(api, uuid):
    return next(row for row in done(api, "GET", "/storage/models/list")["models"] if row["uuid"] == uuid)


def test_a_native_model_is_there_at_once(box, api):
    """It is listed as it was described, has a table, takes rows, and is read by pages, by SQL and by exports."""
    folder = next(row for row in box.truth("folders") if row["kind"] == "model" and not row["deletedAt"])
    model = made(api, box, "partners", description="Who sells with us", folderUuid=folder["uuid"])
    uuid = model["uuid"]
    assert listed(api, uuid) == done(api, "GET", f"/storage/models/{uuid}")["model"] == model
    assert (model["kind"], model["connectorUuid"], model["idColumnSlug"]) == ("native", None, "id")
    assert (model["description"], model["folderUuid"]) == ("Who sells with us", folder["uuid"])
    assert [column["slug"] for column in model["columns"]] == ["id", "name", "score"]
    assert names(api, uuid) == ["_id", "_title", "_emitted_at", "id", "name", "score"]
    query = {"query": "SELECT name, score FROM default.partners ORDER BY name"}
    assert done(api, "POST", "/storage/query", query)["rows"] == []
    rows = created(api, uuid, {"name": "a", "score": 1.5}, {"name": "b"})
    assert done(api, "POST", "/storage/query", query)["rows"] == [
        {"name": "a", "score": 1.5},
        {"name": "b", "score": None},
    ]
    page = done(api, "POST", "/storage/records/list", {"modelUuid": uuid})["records"]
    assert page == sorted(rows, key=lambda row: row["_id"])
    (url,) = done(api, "POST", "/storage/query/download", query)["urls"]
    assert b"1.5" in gzip.decompress(httpx.get(url).content)
    everything = {"modelUuid": uuid, "filter": {"conjonction": "and", "groups": []}}
    assert done(api, "POST", "/segmentation/segments/fetch", everything)["count"] == 2
    assert listed(api, uuid)["lastEmittedAt"] == max(row["_emitted_at"] for row in rows)


def test_a_hook_takes_what_is_posted_to_it(box, api):
    """An empty config is enough: ids are made here, columns come with the rows, in a dataset that held nothing too."""
    http = dataset(box, "http")
    sent = {"name": "Leads", "datasetUuid": http["uuid"], "extractorSlug": "listenHook", "config": {}}
    before = box.world.tables["connectors"][http["connectorUuid"]]["modelsCount"]
    model = done(api, "POST", "/storage/models", sent | {"slug": "leads"})["model"]
    assert (model["kind"], model["connectorUuid"]) == ("connector", http["connectorUuid"])
    assert (model["idColumnSlug"], model["titleColumnSlug"]) == ("_ingest_id", "_emitted_at")
    assert names(api, model["uuid"]) == ["_id", "_title", "_emitted_at", "_ingest_id"]
    assert box.world.tables["connectors"][http["connectorUuid"]]["modelsCount"] == before + 1
    assert api.post(f"/models/{model['uuid']}/records/ingest", json=[{"who": "a"}, {"who": "b"}]).status_code == 200
    found = done(api, "POST", "/storage/query", {"query": "SELECT who FROM http.leads ORDER BY who"})["rows"]
    assert found == [{"who": "a"}, {"who": "b"}]
    assert [column["slug"] for column in listed(api, model["uuid"])["columns"]] == ["_ingest_id", "who"]


def test_a_hook_begins_with_a_connector_of_its_own(box, api):
    """A connector comes with its dataset, and the model in it is a target like any other; time passes over it."""
    limit = {"unit": "second", "max": 7, "strategy": "burst"}
    sent = {"name": "Own hook", "slug": "own_hook", "integrationSlug": "http", "rateLimit": limit}
    answer = done(api, "POST", "/connection/connectors", sent)
    connector, where = answer["connector"], answer["dataset"]
    assert sent.items() <= connector.items()
    assert (where["slug"], where["kind"], where["connectorUuid"]) == ("own_hook", "connector", connector["uuid"])
    assert done(api, "GET", f"/connection/connectors/{connector['uuid']}")["connector"] == connector
    assert done(api, "GET", f"/storage/datasets/{where['uuid']}")["dataset"] == where
    described = {"slug": "rows", "name": "Rows", "extractorSlug": "listenHook", "config": {}}
    model = done(api, "POST", "/storage/models", described | {"datasetUuid": where["uuid"]})["model"]["uuid"]
    assert api.post(f"/models/{model}/records/ingest", json={"who": "a"}).status_code == 200
    rows = {"modelUuid": model, "data": {"who": "b"}}
    assert refused(api, "POST", "/storage/records/create", rows) == "integrationNotCompatible"
    box.advance(days=2)
    assert done(api, "POST", "/storage/query", {"query": "SELECT who FROM own_hook.rows"})["rows"] == [{"who": "a"}]
    assert done(api, "GET", f"/connection/connectors/{connector['uuid']}")["connector"]["modelsCount"] == 1
    for slug in ("own_hook", "http", "default"):
        assert "taken" in refused(api, "POST", "/connection/connectors", sent | {"slug": slug})
    unknown = sent | {"slug": "other", "integrationSlug": "nobody"}
    assert refused(api, "POST", "/connection/connectors", unknown) == "integrationNotFound"


@pytest.mark.parametrize("row", [{"WHO": 1}, {"_id": "x"}, {"_TITLE": "x"}, {"": 1}, {"new": 1, "NEW": 2}])
def test_a_hook_refuses_names_that_its_table_cannot_have(box, api, row):
    """A warehouse does not tell capitals from small letters, and some columns are Cargo's own; nothing is stored."""
    model = next(uuid for uuid, each in box.world.tables["models"].items() if each["extractorSlug"] == "listenHook")
    api.post(f"/models/{model}/records/ingest", json={"who": "a"})
    before = box.truth_rows(model)
    answer = api.post(f"/models/{model}/records/ingest", json=row)
    assert (answer.status_code, answer.json()["errorMessage"][:14]) == (400, "Invalid column")
    assert box.truth_rows(model) == before


def test_a_model_that_is_fetched_has_a_table_once_it_was(box, api):
    """Until its first run there is no DDL and nothing to ask; its dataset may have held nothing so far."""
    sent = {
        "datasetUuid": dataset(box, "pipedrive")["uuid"],
        "extractorSlug": "fetchObject",
        "config": {"object": "deals"},
    }
    schedule = {"type": "cron", "cron": "0 */6 * * *"}
    model = done(api, "POST", "/storage/models", sent | {"slug": "deals", "name": "Deals", "schedule": schedule})[
        "model"
    ]
    assert schedule.items() <= model["schedule"].items()
    assert (model["config"], model["lastRun"]) == ({"object": "deals"}, None)
    assert refused(api, "GET", f"/storage/models/{model['uuid']}/ddl") == "failedToGetDdl"
    done(api, "POST", f"/storage/models/{model['uuid']}/refresh")
    assert names(api, model["uuid"]) == ["_id", "_title", "_emitted_at", "id"]
    assert listed(api, model["uuid"])["lastRun"]["status"] == "success"


def test_kinds_of_native_models_bring_their_columns(box, api):
    """Accounts, contacts and deals have columns and a title of their own, and take rows in them."""
    model = made(api, box, "gtm_opportunities", extractorSlug="defineDeal", config={})
    assert model["titleColumnSlug"] == "name"
    (row,) = created(api, model["uuid"], {"name": "Renewal", "amount": 5, "is_won": False})
    assert (row["_title"], row["amount"], row["is_won"]) == ("Renewal", 5, False)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"slug": "companies"}, "duplicateSlug"),
        ({"slug": "Companies"}, "duplicateSlug"),
        ({"slug": "accounts"}, "duplicateSlug"),
        ({"slug": "contacts"}, "duplicateSlug"),
        ({"slug": "not a slug"}, "Invalid slug"),
        ({"datasetUuid": NOBODY}, "datasetNotFound"),
        ({"dataset": "bigquery"}, "datasetNotFound"),
        ({"extractorSlug": "fetchObject"}, "modelNotCompatible"),
        ({"extractorSlug": "uploadFiles"}, "modelNotCompatible"),
        ({"dataset": "http", "extractorSlug": "fetchObject"}, "integrationNotCompatible"),
        ({"folderUuid": NOBODY}, "folderNotFound"),
        ({"folder": "play"}, "folderNotCompatible"),
        ({"schedule": {"type": "cron", "cron": "0 * * * *"}}, "scheduleNotCompatible"),
        ({"dataset": "http", "extractorSlug": "listenHook", "cron": "0 * * * *"}, "scheduleNotCompatible"),
        ({"dataset": "hubspot", "extractorSlug": "fetchObject", "cron": "* * * * *"}, "scheduleIntervalTooShort"),
        ({"dataset": "hubspot", "extractorSlug": "fetchObject", "cron": "1,58-59 0 * * *"}, "scheduleIntervalTooShort"),
        ({"dataset": "hubspot", "extractorSlug": "fetchObject", "cron": "now and then"}, "failedToSchedule"),
        ({"dataset": "hubspot", "extractorSlug": "fetchObject", "cron": "61 * * * *"}, "failedToSchedule"),
        ({"config": {"columns": "name"}}, "columns is not a list"),
        ({"config": {"columns": [{"type": "string"}]}}, "no slug"),
        ({"config": {"columns": [{"slug": "name", "type": "text"}]}}, "type"),
        ({"config": {"columns": [{"slug": "id", "type": "date"}]}}, "id"),
        ({"config": {"columns": [{"slug": "a", "type": "date"}, {"slug": "A", "type": "date"}]}}, "Duplicate column"),
    ],
)
def test_a_model_that_cannot_be_is_refused_with_the_reason(box, api, said, reason):
    """Slugs of the platform and of other models, extractors, folders, schedules and columns; nothing is left of it."""
    said = dict(said)
    sent = {"slug": "refused", "name": "x", "extractorSlug": "defineCustom", "config": {}}
    sent["datasetUuid"] = dataset(box, said.pop("dataset", "default"))["uuid"]
    if "folder" in said:
        kind = said.pop("folder")
        said["folderUuid"] = next(row["uuid"] for row in box.truth("folders") if row["kind"] == kind)
    if "cron" in said:
        said["schedule"] = {"type": "cron", "cron": said.pop("cron")}
    before = box.truth("models")
    assert reason in refused(api, "POST", "/storage/models", sent | said)
    assert box.truth("models") == before


def test_what_is_said_of_a_model_changes(box, api):
    """Each key that is sent is what it says from then on; null takes away; the rest stays."""
    model = made(api, box, "changing", description="before")
    path = f"/storage/models/{model['uuid']}"
    sent = {"name": "After", "position": {"x": 1.5, "y": -2}, "unification": {"source": "integration"}}
    after = done(api, "PUT", path, sent)["model"]
    assert after == model | sent | {"updatedAt": after["updatedAt"]}
    assert after["updatedAt"] > model["updatedAt"]
    nulls = dict.fromkeys(("description", "unification", "folderUuid", "schedule"))
    assert nulls.items() <= done(api, "PUT", path, nulls)["model"].items()
    assert refused(api, "PUT", path, {"folderUuid": NOBODY}) == "folderNotFound"
    assert refused(api, "PUT", path, {"schedule": {"type": "dbt", "jobId": "1"}}) == "scheduleNotCompatible"
    assert refused(api, "PUT", f"/storage/models/{NOBODY}", {"name": "x"}) == "modelNotFound"


def test_the_columns_of_a_config_are_those_that_take_rows(box, api):
    """The old list and one more adds a writable column; one that is left out is gone; a type that changes recasts."""
    model = made(api, box, "widening")
    path = f"/storage/models/{model['uuid']}"
    (row,) = created(api, model["uuid"], {"name": "12", "score": 1})
    whole = [*model["config"]["columns"], {"slug": "stage", "type": "string", "label": "Stage"}]
    after = done(api, "PUT", path, {"config": {"columns": whole}})["model"]
    assert after["columns"][-1] == {**whole[-1], "kind": "original", "originalSlug": "stage"}
    (more,) = created(api, model["uuid"], {"name": "b", "stage": "won"})
    assert more["stage"] == "won"
    done(api, "PUT", path, {"config": {"columns": [{"slug": "name", "type": "number"}]}})
    assert names(api, model["uuid"]) == ["_id", "_title", "_emitted_at", "id", "name"]
    found = {each["_id"]: each["name"] for each in box.truth_rows(model["uuid"])}
    assert found == {row["id"]: 12, more["id"]: None}
    twins = [{"slug": name, "type": "string"} for name in ("b", "B")]
    assert "Duplicate" in refused(api, "PUT", path, {"config": {"columns": twins}})


def test_a_config_must_leave_a_model_its_title(box, api):
    """A model that was there keeps its id, its title and its time; the complete old list is taken as it is."""
    uuid = named(box, "default.scorecards")
    path, config = f"/storage/models/{uuid}", listed(api, uuid)["config"]
    assert done(api, "PUT", path, {"config": config})["model"]["config"] == config
    path = f"/storage/models/{named(box, 'default.targets')}"
    assert "title" in refused(api, "PUT", path, {"config": {"columns": []}})


def test_a_removed_model_stays_with_the_time_of_it(box, api):
    """It takes no rows and no changes any more, its relationships are gone, and its slug stays taken."""
    model = made(api, box, "leaving")
    path, where = f"/storage/models/{model['uuid']}", {"datasetUuid": model["datasetUuid"], "slug": "leaving"}
    created(api, model["uuid"], {"name": "a"})
    done(api, "DELETE", path)
    assert listed(api, model["uuid"])["deletedAt"] == listed(api, model["uuid"])["updatedAt"] > model["createdAt"]
    for method, body in (("DELETE", None), ("PUT", {"name": "x"})):
        assert refused(api, method, path, body) == "modelNotFound"
    assert refused(api, "POST", "/storage/records/create", {"modelUuid": model["uuid"], "data": {}}) == "modelNotFound"
    assert done(api, "GET", "/storage/models/existsBySlug", **where) == {"exists": True}
    assert refused(api, "POST", "/storage/models", where | {"name": "x", "extractorSlug": "defineCustom", "config": {}})


def test_what_rests_on_a_model_keeps_it(box, api):
    """Plays and segments have to go first, also those that only mention it; relationships go with it."""
    assert refused(api, "DELETE", f"/storage/models/{named(box, 'default.companies')}") == "hasWorkflows"
    reasons = {}
    for edge in box.truth("relationships"):
        for uuid in (edge["fromModelUuid"], edge["toModelUuid"]):
            if uuid not in reasons:
                reasons[uuid] = (ask(api, "DELETE", f"/storage/models/{uuid}")[1] or {}).get("reason")
    assert set(reasons.values()) >= {"hasWorkflows", "hasSegments", None}
    gone = {uuid for uuid, reason in reasons.items() if reason is None}
    ends = {edge[end] for edge in box.truth("relationships") for end in ("fromModelUuid", "toModelUuid")}
    assert not gone & ends


def test_a_sync_loads_what_was_made_changed_and_removed(tmp_path):
    """The workspace lives on with it, and everything that the sandbox holds lands, before and after."""
    target = Target(tmp_path)
    with (
        small_box(6) as box,
        httpx.Client(base_url=f"{box.url}/v1", headers={"authorization": f"Bearer {box.token}"}, timeout=20) as api,
    ):
        target.sync(box)
        model = made(api, box, "partners")["uuid"]
        empty = made(api, box, "empty")["uuid"]
        created(api, model, {"name": "a", "score": 2**40 + 0.5}, {"name": None})
        column = {"slug": "rank", "type": "number", "label": "Rank", "kind": "custom"}
        for uuid in (model, named(box, "default.deals")):
            done(api, "POST", "/storage/columns", {"modelUuid": uuid, "column": column})
        done(api, "DELETE", f"/storage/models/{made(api, box, 'short_lived')['uuid']}")
        target.sync(box)
        assert differences(target, box) == []
        assert target.query("SELECT count(*) FROM cargo.default__partners") == [(2,)]
        done(api, "DELETE", f"/storage/models/{empty}")
        created(api, model, {"name": "b"})
        box.advance(days=1)
        target.sync(box)
        assert differences(target, box) == []


def test_a_model_may_be_made_though_the_answer_is_lost(box, api):
    """Whoever asks again is told that the slug is taken, and finds the model in the list."""
    box.faults.add(path="storage/models", kind="lost_answer", count=1)
    with pytest.raises(httpx.NetworkError):
        made(api, box, "lost")
    where = {"datasetUuid": dataset(box, "default")["uuid"], "slug": "lost"}
    again = where | {"name": "Lost", "extractorSlug": "defineCustom", "config": {}}
    assert refused(api, "POST", "/storage/models", again) == "duplicateSlug"
    assert [row["slug"] for row in done(api, "GET", "/storage/models/list")["models"]].count("lost") == 1
