"""The workspace at its start: dense, consistent, and as big as was asked for."""

import re
from collections import Counter, defaultdict

import pytest

from cargo_source.sandbox.entities import ENTITIES, TABLES
from cargo_source.sandbox.truth import truth
from tests.sandbox.workspaces import model_named, settled, settled_rows

TYPES = {"string", "number", "object", "array", "date", "boolean", "vector", "any"}
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def world():
    return settled()


@pytest.fixture(scope="module")
def tables(world):
    return world.tables


def by(rows, field):
    """Group rows by a field."""
    groups = defaultdict(list)
    for row in rows:
        groups[row[field]].append(row)
    return groups


SINGLE = {"workspaces", "subscriptions"}
"""Entities of which a workspace has one."""


@pytest.mark.parametrize("entity", sorted(ENTITIES.keys() - SINGLE))
def test_every_entity_is_dense(world, entity):
    """No entity has fewer than twenty rows."""
    assert len(truth(world, entity)) >= 20


@pytest.mark.parametrize("entity", ENTITIES)
def test_rows_are_told_apart_by_their_key(world, entity):
    """Each row has a key of its own, and a table keeps it under that key."""
    described = ENTITIES[entity]
    keys = [described.key_of(row) for row in truth(world, entity)]
    assert len(set(keys)) == len(keys)
    if entity in TABLES:
        assert keys == list(world.tables[entity])


def test_uuids_are_of_version_four(world):
    """The inputs of the API take no others."""
    for entity, described in ENTITIES.items():
        for row in truth(world, entity) if described.key == ("uuid",) else ():
            assert UUID4.fullmatch(row["uuid"]), entity


def test_what_pages_has_three_pages_of_a_hundred(tables):
    """Runs per workflow, messages per chat, changes per segment, releases, chats, spans and traces fill pages."""
    runs = Counter(run["workflowUuid"] for run in tables["runs"].values())
    messages = Counter(message["chatUuid"] for message in tables["messages"].values())
    changes = Counter(change["segmentUuid"] for change in tables["changes"].values())
    assert sum(count > 250 for count in runs.values()) >= 3
    assert max(messages.values()) > 250
    assert max(changes.values()) > 250
    assert len(tables["agent_releases"]) > 250
    assert len(tables["spans"]) > 1500
    assert min(len(tables["traces"]), len(tables["chats"])) > 350
    for entity in ("workflow_releases", "batches", "orchestration_records", "storage_runs"):
        assert len(tables[entity]) > 200, entity


def test_rows_have_exactly_the_physical_columns(world):
    """A row's keys are the table's columns in order: meta first, additional columns under their prefix."""
    for uuid, rows in settled_rows().items():
        names = [column.name for column in world.columns_of(uuid)]
        stored = world.db.execute(f"DESCRIBE {world.warehouse.table(world.spec_of(uuid))}").fetchall()
        assert [row[0] for row in stored] == names
        for row in rows.values():
            assert list(row) == names


def test_the_ddl_names_every_column(world):
    """The DDL is BigQuery's, with each column once."""
    for uuid in world.tables["models"]:
        ddl = world.ddl(uuid)
        assert ddl.startswith("CREATE TABLE `")
        for column in world.columns_of(uuid):
            assert ddl.count(f"  `{column.name}` ") == 1


def test_companies_scale_and_are_unique(world):
    """There are as many companies as asked for, each with a name and a domain of its own."""
    rows = settled_rows()[model_named(world, "default.companies")["uuid"]].values()
    assert len(rows) == world.companies
    assert len({row["name"] for row in rows}) == len({row["domain"] for row in rows}) == len(rows)
    contacts = settled_rows()[model_named(world, "default.contacts")["uuid"]].values()
    assert len(contacts) == 2 * world.companies
    assert {row["companyId"] for row in contacts} - {None} <= {row["id"] for row in rows}


def test_every_column_type_and_kind_occurs(world):
    """All column types, kinds and prefixes are there, integers past 2^53 among them."""
    columns = [column for uuid in world.tables["models"] for column in world.columns_of(uuid)]
    assert {column.type for column in columns} == TYPES
    assert {column.kind for column in columns} == {"meta", "original", "custom", "computed", "metric", "lookup"}
    for column in columns:
        prefixed = column.kind not in {"meta", "original"}
        assert column.name == (f"{column.kind}__{column.slug}" if prefixed else column.slug)
    rows = settled_rows()[model_named(world, "default.companies")["uuid"]].values()
    assert min(row["sequence"] for row in rows) > 2**53


@pytest.mark.parametrize("seed", [7, 8])
def test_nullable_columns_are_null_and_not_null(seed):
    """Each column that may be null is so in some row and not in another."""
    world = settled(seed)
    for uuid, rows in settled_rows(seed).items():
        for col in world.spec_of(uuid).cols if rows else ():
            cells = [row[col.name] is None for row in rows.values()]
            assert not all(cells)
            assert not col.nulls or any(cells), (world.spec_of(uuid).key, col.slug)


def test_awkward_models_are_there(world):
    """An empty model, one without `_emitted_at`, a webhook model, and slugs and columns that meet in snake_case."""
    empty = model_named(world, "default.accountPlans")["uuid"]
    usage = model_named(world, "snowflake.usage_daily")["uuid"]
    hook = model_named(world, "http.website_forms")
    cards = {column.slug for column in world.columns_of(model_named(world, "default.scorecards")["uuid"])}
    slugs = {(m["datasetUuid"], m["slug"]) for m in world.tables["models"].values()}
    assert settled_rows()[empty] == {}
    assert "_emitted_at" not in {column.name for column in world.columns_of(usage)}
    assert (hook["idColumnSlug"], hook["titleColumnSlug"]) == ("_ingest_id", "_emitted_at")
    assert {"companyName", "company_name", "company-name"} <= cards
    default = model_named(world, "default.companies")["datasetUuid"]
    assert {(default, "webVisits"), (default, "web_visits"), (default, "runs")} <= slugs


def test_ids_titles_and_emissions_agree(world):
    """`_id` is the id column's text, `_title` the title column's, and lastEmittedAt the newest `_emitted_at`."""
    for uuid, rows in settled_rows().items():
        model = world.tables["models"][uuid]
        for row in rows.values():
            assert row["_id"] == str(row[model["idColumnSlug"]])
            title = row[model["titleColumnSlug"]]
            assert row["_title"] == (None if title is None else str(title))
        if rows and world.spec_of(uuid).emits:
            assert model["lastEmittedAt"] == max(row["_emitted_at"] for row in rows.values())
            assert model["lastEmittedAt"] <= f"{world.now:%Y-%m-%dT%H:%M:%S}.000Z"


def test_spans_are_the_started_executions(tables):
    """Every execution that started has its span with the same status, credits and times, and no span is alone."""
    expected = {}
    for run in tables["runs"].values():
        for index, execution in enumerate(run["executions"]):
            if execution["startedAt"]:
                expected[f"{run['uuid']}:{index}"] = (run, execution)
    assert expected.keys() == tables["spans"].keys()
    for key, (run, execution) in expected.items():
        span = tables["spans"][key]
        assert span["traceUuid"] == run["traceUuid"]
        assert span["nodeUuid"] == execution["nodeUuid"]
        assert span["executionStatus"] == execution["status"]
        assert span["executionCreditsUsedCount"] == execution["creditsUsedCount"]
        assert span["executionFinishedAt"] == execution["finishedAt"]


def test_traces_sum_up_their_spans(tables):
    """Counts, credits, times and status of a trace follow from its spans."""
    spans = by(tables["spans"].values(), "traceUuid")
    assert spans.keys() == tables["traces"].keys()
    for uuid, trace in tables["traces"].items():
        own = spans[uuid]
        statuses = Counter(span["executionStatus"] for span in own)
        assert trace["spansCount"] == len(own)
        assert trace["failedSpansCount"] == statuses["error"]
        assert trace["pendingSpansCount"] == statuses["pending"]
        assert trace["succeededSpansCount"] == statuses["success"]
        assert trace["creditsUsedCount"] == sum(span["executionCreditsUsedCount"] for span in own)
        assert trace["startedAt"] == min(span["executionStartedAt"] for span in own)
        assert trace["updatedAt"] == max(span["executionUpdatedAt"] for span in own)
        assert (trace["finishedAt"] is None) == (trace["status"] == "pending") == (statuses["pending"] > 0)
        assert (trace["status"] in {"error", "degraded"}) == (statuses["error"] > 0 and not statuses["pending"])


def test_a_trace_has_one_root(tables):
    """A trace grows from a run without parents, or from the chat that names it."""
    for uuid, trace in tables["traces"].items():
        if trace["chatUuid"]:
            assert trace["rootRunUuid"] is None
            chat = tables["chats"][trace["chatUuid"]]
            assert (chat["traceUuid"], chat["agentUuid"]) == (uuid, trace["agentUuid"])
        else:
            root = tables["runs"][trace["rootRunUuid"]]
            assert (root["traceUuid"], root["parentUuid"], root["parentChatUuid"]) == (uuid, None, None)
            assert (root["recordId"], root["workflowUuid"]) == (trace["rootRecordId"], trace["workflowUuid"])


def test_runs_refer_to_what_exists(tables):
    """Workflow, release, parent run, agent, chat and message of a run are there, and share its trace."""
    for run in tables["runs"].values():
        workflow = tables["workflows"][run["workflowUuid"]]
        assert (run["releaseUuid"] is None) != (run["nodes"] is None)
        assert run["releaseUuid"] in {None, workflow["deployedRelease"]["uuid"]}
        if run["parentUuid"]:
            assert tables["runs"][run["parentUuid"]]["traceUuid"] == run["traceUuid"]
        assert (run["parentAgentUuid"] is None) == (run["parentChatUuid"] is None) == (run["parentMessageUuid"] is None)
        if run["parentMessageUuid"]:
            message = tables["messages"][run["parentMessageUuid"]]
            chat = tables["chats"][run["parentChatUuid"]]
            assert message["type"] == "assistant"
            assert (message["chatUuid"], chat["agentUuid"]) == (chat["uuid"], run["parentAgentUuid"])
            assert chat["traceUuid"] == run["traceUuid"]


def test_nodes_lead_to_the_runs_and_messages_they_started(tables):
    """A tool node names its child run, an agent node the answer it got, a group node the batch of its children."""
    kinds = Counter()
    for run in tables["runs"].values():
        for execution in run["executions"]:
            if execution["nodeRunUuid"]:
                kinds["tool"] += 1
                assert tables["runs"][execution["nodeRunUuid"]]["parentNodeUuid"] == execution["nodeUuid"]
            if execution["nodeMessageUuid"]:
                kinds["agent"] += 1
                message = tables["messages"][execution["nodeMessageUuid"]]
                trigger = tables["chats"][message["chatUuid"]]["trigger"]
                assert trigger == {
                    "type": "workflow",
                    "uuid": run["workflowUuid"],
                    "nodeUuid": execution["nodeUuid"],
                    "runUuid": run["uuid"],
                }
            if execution["nodeBatchUuid"]:
                kinds["group"] += 1
                children = [r for r in tables["runs"].values() if r["parentBatchUuid"] == execution["nodeBatchUuid"]]
                assert {child["parentUuid"] for child in children} == {run["uuid"]}
    assert min(kinds["tool"], kinds["agent"], kinds["group"]) >= 5


def test_chats_add_up_and_show_their_last_message(tables):
    """A chat's credits are the sum over its messages, and lastMessage is the last of them."""
    messages = by(tables["messages"].values(), "chatUuid")
    assert messages.keys() <= tables["chats"].keys()
    for uuid, chat in tables["chats"].items():
        own = messages.get(uuid, [])
        used = sum(message["usage"]["creditsUsedCount"] for message in own if message["usage"])
        assert chat["creditsUsedCount"] == used
        assert (chat["lastMessage"] is None) == (not own)
        if own:
            last = max(own, key=lambda message: message["createdAt"])
            assert chat["lastMessage"] == {key: last[key] for key in chat["lastMessage"]}
            assert chat["updatedAt"] >= last["updatedAt"]
        assert chat["traceUuid"] is None or chat["traceUuid"] in tables["traces"]
        assert chat["agentUuid"] is None or chat["agentUuid"] in tables["agents"]


def test_changes_count_their_rows(world, tables):
    """A change's counters equal its rows by kind, and a segment shows its newest change."""
    for uuid, change in tables["changes"].items():
        rows = world.change_rows[uuid]
        kinds = Counter(row["_kind"] for row in rows)
        for kind in ("added", "updated", "removed", "unchanged"):
            assert change[f"{kind}RecordsCount"] == kinds[kind]
        assert change["totalRecordsCount"] == len(rows) == len({row["_id"] for row in rows})
        assert all(list(row)[:4] == ["_kind", "_id", "_title", "_time"] for row in rows)
        tracked = tables["segments"][change["segmentUuid"]]["trackingColumnSlugs"]
        assert tracked or not kinds["updated"]
    changes = by(tables["changes"].values(), "segmentUuid")
    for uuid, segment in tables["segments"].items():
        newest = max(changes[uuid], key=lambda change: change["createdAt"]) if uuid in changes else None
        shown = segment["lastChange"]
        assert shown == (newest and {key: newest[key] for key in shown})
        assert segment["syncedAt"] == (newest and newest["createdAt"])
        assert segment["recordsCount"] == (newest["totalRecordsCount"] - newest["removedRecordsCount"] if newest else 0)


def test_a_segments_changes_follow_each_other(world, tables):
    """Who was added and not removed is who is in the segment now: no change is missing."""
    changes = by(tables["changes"].values(), "segmentUuid")
    for uuid, own in changes.items():
        inside = set()
        for change in sorted(own, key=lambda each: each["createdAt"]):
            kinds = {row["_id"]: row["_kind"] for row in world.change_rows[change["uuid"]]}
            added = {key for key, kind in kinds.items() if kind == "added"}
            removed = {key for key, kind in kinds.items() if kind == "removed"}
            assert not added & inside
            assert removed <= inside
            inside = (inside | added) - removed
            assert inside == kinds.keys() - removed
        assert len(inside) == tables["segments"][uuid]["recordsCount"]


def test_plays_models_and_segments_agree(tables):
    """A play's segment was made by it, on its model; models count their plays and segments."""
    for play in tables["plays"].values():
        segment = tables["segments"][play["segmentUuid"]]
        assert (segment["name"], segment["fromPlay"]) == ("GENERATED_PLAY_SEGMENT", True)
        assert segment["modelUuid"] == play["modelUuid"]
        assert tables["workflows"][play["workflowUuid"]]["playUuid"] == play["uuid"]
    for tool in tables["tools"].values():
        assert tables["workflows"][tool["workflowUuid"]]["toolUuid"] == tool["uuid"]
    for uuid, model in tables["models"].items():
        for name in ("plays", "segments"):
            alive = [row for row in tables[name].values() if row["modelUuid"] == uuid and not row["deletedAt"]]
            assert model[f"{name}Count"] == len(alive)


def test_relationships_and_formulas_refer_to_columns(tables):
    """Both ends of a relationship exist, as do the models and columns that metrics and lookups use."""

    def slugs(uuid):
        model = tables["models"][uuid]
        own = {column["slug"] for column in model["columns"]}
        return own | {f"{column['kind']}__{column['slug']}" for column in model["additionalColumns"]}

    for edge in tables["relationships"].values():
        for side in ("from", "to"):
            assert edge[f"{side}ColumnSlug"] in slugs(edge[f"{side}ModelUuid"])
            assert tables["models"][edge[f"{side}ModelUuid"]]["datasetUuid"] == edge[f"{side}DatasetUuid"]
    for model in tables["models"].values():
        for column in model["additionalColumns"]:
            if column["kind"] == "metric":
                edge = tables["relationships"][column["relationshipUuid"]]
                assert edge["fromModelUuid"] == model["uuid"]
                assert column["aggregation"]["columnSlug"] in slugs(edge["toModelUuid"])
            if column["kind"] == "lookup":
                assert column["extractColumnSlug"] in slugs(column["join"]["toModelUuid"])
                assert column["join"]["fromColumnSlug"] in slugs(model["uuid"])


def test_one_release_is_deployed_per_agent(tables):
    """An agent shows its deployed release field by field; the agent that was never deployed shows none."""
    releases = by(tables["agent_releases"].values(), "agentUuid")
    for uuid, agent in tables["agents"].items():
        deployed = [release for release in releases[uuid] if release["status"] == "deployed"]
        shown = agent["deployedRelease"]
        assert len(deployed) == (shown is not None)
        if shown:
            assert shown == {key: deployed[0][key] for key in shown}
        for release in releases[uuid]:
            assert release["parentUuid"] is None or tables["agent_releases"][release["parentUuid"]]["agentUuid"] == uuid


def test_times_are_in_order_and_past(world, tables):
    """Nothing was updated before it was made, or after now; milliseconds and Z everywhere."""
    now = f"{world.now:%Y-%m-%dT%H:%M:%S}.000Z"
    moment = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
    for entity in TABLES:
        for row in tables[entity].values():
            times = {key: value for key, value in row.items() if key.endswith("At") and value}
            for key, value in times.items():
                assert moment.fullmatch(value), (entity, key, value)
                assert value <= now, (entity, key, value)
            if {"createdAt", "updatedAt"} <= times.keys():
                assert times["createdAt"] <= times["updatedAt"], entity
