"""The workspace around its data: who refers to whom, which secrets there are, and how it moves with time."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from cargo_source.sandbox.truth import truth
from cargo_source.sandbox.world import World
from tests.sandbox.workspaces import lived, settled

OFFICE = ("users", "folders", "connectors", "libraries", "files", "mcp_servers", "memories")
SOFT = ("folders", "connectors", "libraries", "files", "mcp_servers")
TARGETS = {
    "userUuid": "users",
    "rootUserUuid": "users",
    "connectorUuid": "connectors",
    "nodeConnectorUuid": "connectors",
    "folderUuid": "folders",
    "libraryUuid": "libraries",
    "fileUuid": "files",
    "agentUuid": "agents",
    "toolUuid": "tools",
    "modelUuid": "models",
    "chatUuid": "chats",
    "messageUuid": "messages",
    "defaultRoleUuid": "roles",
}
"""Fields that name something, wherever they are, and the table that has to hold it."""
FOLDER_KINDS = {
    "tools": "tool",
    "plays": "play",
    "agents": "agent",
    "files": "file",
    "libraries": "file",
    "mcp_servers": "mcpServer",
    "models": "model",
}


@pytest.fixture(params=["start", "later"])
def world(request):
    return settled() if request.param == "start" else lived().world


@pytest.fixture(params=[0, 1], ids=["first day", "second day"])
def day(request):
    return lived().days[request.param]


def named(value, seen=None):
    """Every pair of a field and what it names, at any depth; an object that is in many rows is walked once."""
    seen = set() if seen is None else seen
    if isinstance(value, dict | list):
        if id(value) in seen:
            return
        seen.add(id(value))
    if isinstance(value, dict):
        for field, inner in value.items():
            if field in TARGETS and inner is not None:
                yield field, inner
            yield from named(inner, seen)
    if isinstance(value, list):
        for inner in value:
            yield from named(inner, seen)


def test_whatever_is_named_exists(world):
    """Users, connectors, folders, libraries, files, agents, tools, models, chats and messages are in their tables."""
    pairs = set(named([world.workspace, world.tables]))
    assert {field for field, _ in pairs} >= TARGETS.keys()
    for field, key in pairs:
        assert key in world.tables[TARGETS[field]], (field, key)


def test_folders_hold_things_of_their_kind(world):
    """A folder is in one of its own kind, and so is everything else that names a folder."""
    folders = world.tables["folders"]
    for folder in folders.values():
        assert folder["parentUuid"] is None or folders[folder["parentUuid"]]["kind"] == folder["kind"]
    for entity, kind in FOLDER_KINDS.items():
        for row in world.tables[entity].values():
            assert row["folderUuid"] is None or folders[row["folderUuid"]]["kind"] == kind, entity
    held = {
        folders[row["folderUuid"]]["uuid"]
        for e in FOLDER_KINDS
        for row in world.tables[e].values()
        if row["folderUuid"]
    }
    assert not [uuid for uuid in held if folders[uuid]["deletedAt"]]


def test_members_have_roles_of_the_list(world):
    """A member's role is the role of that uuid, field by field, or none."""
    for user in world.tables["users"].values():
        assert user["role"] is None or user["role"] == world.tables["roles"][user["role"]["uuid"]]
    assert world.workspace["defaultRoleUuid"] in world.tables["roles"]
    assert next(iter(world.tables["users"].values())) == world.user


def test_extractors_and_actions_are_in_the_manifests(world):
    """A model's and a library's extractor, and every action that is named, is one of its integration."""
    extractors = {(row["integrationSlug"], row["extractorSlug"]) for row in truth(world, "extractors")}
    actions = {(row["integrationSlug"], row["actionSlug"]) for row in truth(world, "actions")}
    connectors = world.tables["connectors"]
    assert {connector["integrationSlug"] for connector in connectors.values()} <= world.tables["integrations"].keys()
    for entity in ("models", "libraries"):
        for row in world.tables[entity].values():
            connector = row["connectorUuid"]
            assert (row["kind"] == "native") == (connector is None)
            integration = connectors[connector]["integrationSlug"] if connector else "native"
            assert (integration, row["extractorSlug"]) in extractors
    spans = world.tables["spans"].values()
    called = {(s["nodeIntegrationSlug"] or "native", s["nodeActionSlug"]) for s in spans if s["nodeActionSlug"]}
    assert len(called) > 10
    assert called <= actions
    for span in spans:
        if span["nodeConnectorUuid"]:
            assert connectors[span["nodeConnectorUuid"]]["integrationSlug"] == span["nodeIntegrationSlug"]


def test_connectors_count_their_uses(world):
    """modelsCount, playsCount and toolsCount count what is not deleted and names the connector."""
    tables = world.tables
    for uuid, connector in tables["connectors"].items():
        models = [m for m in tables["models"].values() if m["connectorUuid"] == uuid and not m["deletedAt"]]
        assert connector["modelsCount"] == len(models)
        for name in ("plays", "tools"):
            alive = [row for row in tables[name].values() if not row["deletedAt"]]
            using = [row for row in alive if uuid in json.dumps(tables["workflows"][row["workflowUuid"]]["nodes"])]
            assert connector[f"{name}Count"] == len(using)
    for name in ("models", "plays", "tools"):
        assert any(connector[f"{name}Count"] > 1 for connector in tables["connectors"].values())


def test_files_agree_with_their_library(world):
    """Kind and connector of a file are those of its library; what was synced has an id there and no user here."""
    for file in world.tables["files"].values():
        library = world.tables["libraries"][file["libraryUuid"]]
        assert (file["kind"], file["connectorUuid"]) == (library["kind"], library["connectorUuid"])
        assert file["createdAt"] >= library["createdAt"]
        assert (file["externalId"] is None) == (file["connectorUuid"] is None) == (file["userUuid"] is not None)


def test_votes_are_on_answers_that_were_there(world):
    """A vote names an answer of its chat, and was cast after the answer was finished."""
    for vote in world.tables["votes"].values():
        message = world.tables["messages"][vote["messageUuid"]]
        assert (message["chatUuid"], message["type"], message["status"]) == (vote["chatUuid"], "assistant", "success")
        assert message["finishedAt"] < vote["updatedAt"] <= f"{world.now:%Y-%m-%dT%H:%M:%S}.999Z"


def test_a_memory_belongs_to_a_user_or_an_agent(world):
    """The scope says which of the two uuids is there, and that of the workspace goes with an agent's."""
    owners = {"user": {"userUuid"}, "agent": {"agentUuid", "workspaceUuid"}}
    for memory in world.tables["memories"].values():
        assert memory.keys() & {"userUuid", "agentUuid", "workspaceUuid"} == owners[memory["scope"]]


def secrets_in(value):
    return re.findall(r"sandbox-secret-\d+", json.dumps(value))


def test_secrets_and_personal_data_are_easy_to_recognise(world):
    """Configs, web extensions, invoice links, memories and query texts hold made-up values, each a different one."""
    tables = world.tables
    configs = [connector["config"] for connector in tables["connectors"].values() if not connector["useCredits"]]
    assert all(len(secrets_in(config)) == 2 for config in configs)
    assert {c["config"] for c in tables["connectors"].values() if c["useCredits"]} == {None}
    libraries = [library["config"] for library in tables["libraries"].values()]
    extensions = [user["webExtensionData"] for user in tables["users"].values() if user["webExtensionData"]]
    links = [invoice["url"] for invoice in tables["invoices"].values()]
    for holders in (libraries, extensions, links):
        assert len(holders) >= 10
        assert all(len(secrets_in(each)) == 1 for each in holders)
    assert '"type": "encryption"' in json.dumps(libraries)
    found = [secret for each in (configs, libraries, extensions, links) for secret in secrets_in(each)]
    assert len(set(found)) == len(found)
    assert all("sandbox-personal-" in memory["content"] for memory in tables["memories"].values())
    assert any("sandbox-personal-" in log["query"] for log in tables["warehouse_queries"].values())


def test_secrets_are_nowhere_else(world):
    """What need not be dropped holds no secret: catalogue, files, servers, votes, roles, folders, logs."""
    for entity in ("integrations", "custom_integrations", "roles", "folders", "files", "mcp_servers", "votes"):
        assert not secrets_in(list(world.tables[entity].values())), entity
    assert not secrets_in(truth(world, "subscriptions") + truth(world, "warehouse_queries"))


@pytest.mark.parametrize("entity", OFFICE)
def test_a_day_changes_adds_and_removes(day, entity):
    """In a day rows of each table are changed, added and removed, as often as advance says."""
    before, after = day.before.tables[entity], day.after.tables[entity]
    name = "mcpServers" if entity == "mcp_servers" else entity
    gone = before.keys() - after.keys()
    ended = {key for key in before.keys() & after.keys() if after[key].get("deletedAt") != before[key].get("deletedAt")}
    assert len(after.keys() - before.keys()) == day.counts[f"{name}Added"] > 0
    assert len(gone | ended) == day.counts[f"{name}Removed"] > 0
    moved = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    counted = day.counts[f"{name}Changed"]
    assert counted - len(gone | ended) <= len(moved - ended) <= counted


@pytest.mark.parametrize("entity", SOFT)
def test_over_two_days_some_vanish_and_some_stay_as_deleted(entity):
    """Both ways to remove occur; who vanished does not come back, and what is marked as deleted is left alone."""
    vanished, marked = set(), set()
    for day in lived().days:
        before, after = day.before.tables[entity], day.after.tables[entity]
        assert not vanished & after.keys()
        vanished |= before.keys() - after.keys()
        for key, row in before.items():
            assert not row["deletedAt"] or after[key] == row
        marked |= {key for key, row in after.items() if row["deletedAt"] and not before.get(key, row)["deletedAt"]}
    assert vanished
    assert marked


def test_what_only_counts_does_not_say_that_it_changed(day):
    """A connector whose row is different says so by updatedAt, unless only its counts moved."""
    for key, after in day.after.tables["connectors"].items():
        before = day.before.tables["connectors"].get(key, after)
        differing = {field for field in after if after[field] != before[field]}
        assert not differing or "updatedAt" in differing or all(field.endswith("Count") for field in differing)


def test_votes_move_without_their_chats(day):
    """Votes are cast, changed and taken back; on answers up to five days old, of chats that stay as they were."""
    before, after = day.before.tables["votes"], day.after.tables["votes"]
    cast = {key: vote for key, vote in after.items() if key not in before}
    assert len(cast) == day.counts["votesCast"] + day.counts["votesLate"]
    assert len(before.keys() - after.keys()) == day.counts["votesRemoved"] > 0
    changed = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    assert 0 < len(changed) <= day.counts["votesChanged"]
    assert all(before[key]["isUpvoted"] != after[key]["isUpvoted"] for key in changed)
    late = [vote for vote in cast.values() if vote["messageUuid"] in day.before.tables["messages"]]
    still = [v for v in late if day.before.tables["chats"][v["chatUuid"]] == day.after.tables["chats"][v["chatUuid"]]]
    assert still
    oldest = f"{day.before.now - timedelta(days=5):%Y-%m-%dT%H:%M:%S}"
    assert all(day.after.tables["messages"][vote["messageUuid"]]["finishedAt"] > oldest for vote in late)


def test_logs_and_invoices_are_appended(day):
    """A log entry stays as it is and a new one is of the day; an invoice at most becomes paid."""
    before, after = (picture.tables["warehouse_queries"] for picture in (day.before, day.after))
    assert before.items() <= after.items()
    new = [log for key, log in after.items() if key not in before]
    assert len(new) == day.counts["queriesLogged"] > 0
    low, high = (f"{when:%Y-%m-%dT%H:%M:%S}.000Z" for when in (day.before.now, day.after.now))
    assert all(
        low < log["createdAt"] <= high and log["startedAt"] < log["finishedAt"] <= log["createdAt"] for log in new
    )
    for key, invoice in day.before.tables["invoices"].items():
        now = day.after.tables["invoices"][key]
        assert now == invoice or (now["isPaid"] and now == invoice | {"isPaid": True})


def monthly(world):
    return [(i["dueDate"][:10], i["isPaid"]) for i in world.tables["invoices"].values() if "dueDate" in i]


def test_an_invoice_is_issued_at_each_reset():
    """The fifteenth brings the invoice of a month, unpaid; a day later there is no other one."""
    world = World(seed=2, companies=5, start=datetime(2026, 3, 14, 20, tzinfo=UTC))
    before = monthly(world)
    assert world.advance(hours=3).get("invoicesIssued", 0) <= 1  # at most a top-up
    assert monthly(world) == before
    world.advance(hours=2)
    assert monthly(world) == [*before, ("2026-03-29", False)]
    world.advance(days=1)
    assert monthly(world) == [*before, ("2026-03-29", False)]


def test_an_invoice_is_paid_when_it_is_due():
    """A fortnight after it was issued."""
    world = World(seed=2, companies=5, start=datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert monthly(world)[-1] == ("2026-03-29", False)
    assert world.advance(days=1)["invoicesPaid"] == 1
    assert monthly(world)[-1] == ("2026-03-29", True)


def test_references_hold_after_a_week():
    """After a week of coming and going nothing names what is gone."""
    world = World(seed=4, companies=5)
    world.advance(days=7)
    for field, key in set(named([world.workspace, world.tables])):
        assert key in world.tables[TARGETS[field]], (field, key)
