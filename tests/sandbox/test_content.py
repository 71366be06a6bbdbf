"""Files, libraries, votes and memories through the API, by their filters and parents; connectors and manifests too."""

import pytest

from cargo_source.sandbox.workspace.content import LARGEST_RAW
from tests.sandbox.conftest import client

NOBODY = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def test_raw_gives_the_bytes_of_a_file(box, api):
    """As many as its size says, the same each time, different between files, and no JSON."""
    files = [file for file in box.truth("files") if file["size"] < 50_000 and not file["deletedAt"]][:4]
    answers = [api.get(f"/content/files/{file['uuid']}/raw") for file in files]
    for file, answer in zip(files, answers, strict=True):
        assert answer.headers["content-type"] == "application/octet-stream"
        assert len(answer.content) == file["size"]
        assert api.get(f"/content/files/{file['uuid']}/raw").content == answer.content
    assert len({answer.content for answer in answers}) == len(files)


def test_raw_refuses_what_is_too_large_or_gone(box, api):
    """tooLarge above the bound, fileNotFound for what is deleted or never was."""
    files = box.truth("files")
    large = next(file for file in files if file["size"] > LARGEST_RAW and not file["deletedAt"])
    gone = next(file for file in files if file["deletedAt"])
    assert api.get(f"/content/files/{large['uuid']}/raw").json() == {"reason": "tooLarge"}
    for uuid in (gone["uuid"], NOBODY):
        answer = api.get(f"/content/files/{uuid}/raw")
        assert (answer.status_code, answer.json()) == (404, {"reason": "fileNotFound"})
    assert api.get(f"/content/files/{gone['uuid']}").json() == {"file": gone}


def test_faults_hit_bytes_as_they_hit_json(faulty):
    """A file's bytes are cut, refused or delayed like any answer, and what fits JSON only leaves them alone."""
    box, api = faulty.box, faulty.api
    file = next(file for file in box.truth("files") if file["size"] < 50_000 and not file["deletedAt"])
    path = f"/content/files/{file['uuid']}/raw"
    whole = api.get(path).content
    for kind in ("refreshing", "extra_fields", "short_page", "unknown_enum"):
        box.faults.add(path="content/files/*/raw", kind=kind, count=1)
        assert api.get(path).content == whole
    box.faults.add(path="content/*", kind="forbidden", count=1)
    assert api.get(path).status_code == 403


@pytest.mark.parametrize(
    ("path", "envelope"),
    [
        ("/connection/connectors/list", "connectors"),
        ("/content/libraries/list", "libraries"),
        ("/ai/memories/list?scope=user", "memories"),
        ("/billing/subscriptions/invoices", "invoices"),
        ("/billing/usage/metrics?from=2026-01-01&to=2026-01-09", "metrics"),
        ("/systemOfRecordIntegration/logs/list", "logs"),
        ("/workspaceManagement/users/list", "users"),
    ],
)
def test_faults_spoil_the_new_lists_like_the_others(faulty, path, envelope):
    """Half a page, unknown fields and a refusal, by path."""
    box, api = faulty.box, faulty.api
    everything = api.get(path).json()[envelope]
    glob = path[1:].split("?")[0]
    box.faults.add(path=glob, kind="short_page", count=1)
    assert len(api.get(path).json()[envelope]) == -(-len(everything) // 2)
    box.faults.add(path=glob, kind="extra_fields", count=1)
    assert all("unheardOf" in row for row in api.get(path).json()[envelope])
    box.faults.add(path=glob, kind="429", count=1)
    assert api.get(path).status_code == 429
    assert api.get(path).json()[envelope] == everything


@pytest.mark.parametrize(
    ("path", "entity", "names"),
    [
        ("/content/files/list", "files", ("connectorUuid", "kind", "folderUuid", "libraryUuid")),
        ("/content/libraries/list", "libraries", ("connectorUuid", "kind")),
        ("/connection/connectors/list", "connectors", ("integrationSlug",)),
        ("/connection/integrations/list", "integrations", ("category", "slug")),
    ],
)
def test_lists_are_filtered_by_what_they_name(box, api, path, entity, names):
    """Each filter gives the rows with that value and no others; a value that no row has gives none."""
    rows = box.truth(entity)
    for name in names:
        value = next(row[name] for row in rows if row.get(name))
        found = api.get(path, params={name: value}).json()[entity]
        assert found
        assert sorted(map(str, found)) == sorted(str(row) for row in rows if row.get(name) == value)
    if "connectorUuid" in names:
        assert api.get(path, params={"connectorUuid": NOBODY}).json() == {entity: []}


def test_integrations_are_searched(box, api):
    """search looks into slug, name and description; hasActions and hasExtractors at what there is."""
    rows = box.truth("integrations")
    path = "/connection/integrations/list"
    for query, passes in (
        ({"search": "SLACK"}, lambda i: "slack" in f"{i['slug']} {i['name']} {i['description']}".lower()),
        ({"hasExtractors": "false"}, lambda i: not i["extractors"]),
        ({"hasActions": "true", "category": "custom"}, lambda i: i["actions"] and i["category"] == "custom"),
    ):
        found = api.get(path, params=query).json()["integrations"]
        assert [i["slug"] for i in found] == [i["slug"] for i in rows if passes(i)] != []


def test_an_integration_is_had_by_its_slug(box, api):
    """One manifest, whole; an unknown slug is integrationNotFound; the platform's own is apart."""
    for row in box.truth("integrations")[:3]:
        assert api.get(f"/connection/integrations/{row['slug']}").json() == {"integration": row}
    answer = api.get("/connection/integrations/no_such_thing")
    assert (answer.status_code, answer.json()) == (404, {"reason": "integrationNotFound"})
    native = api.get("/connection/nativeIntegrations").json()["nativeIntegration"]
    for name in ("actions", "extractors"):
        slug = f"{name[:-1]}Slug"
        rows = {row[slug]: row for row in box.truth(name) if row["integrationSlug"] == "native"}
        assert {key: {"integrationSlug": "native", slug: key, **row} for key, row in native[name].items()} == rows


def test_votes_are_listed_per_chat(box, api):
    """votes/list needs a chat; all chats together give all votes; a chat that nobody knows has none."""
    assert api.get("/ai/votes/list").status_code == 400
    found = [
        vote
        for chat in box.truth("chats")
        for vote in api.get("/ai/votes/list", params={"chatUuid": chat["uuid"]}).json()["votes"]
    ]
    assert sorted(map(str, found)) == sorted(map(str, box.truth("votes")))
    assert api.get("/ai/votes/list", params={"chatUuid": NOBODY}).json() == {"votes": []}


def test_memories_are_listed_per_scope(box, api):
    """The scope user and the scope agent of each agent give all memories together."""
    calls = [{"scope": "user"}, *({"scope": "agent", "agentUuid": agent["uuid"]} for agent in box.truth("agents"))]
    found = [memory for sent in calls for memory in api.get("/ai/memories/list", params=sent).json()["memories"]]
    assert sorted(map(str, found)) == sorted(map(str, box.truth("memories")))
    sent = {"scope": "agent", "agentUuid": NOBODY}
    assert api.get("/ai/memories/list", params=sent).json() == {"memories": []}


def test_lists_follow_time(own):
    """After a day the lists are the truth of that day."""
    own.box.advance(days=1)
    with client(own.box) as api:
        for path, entity in (("/content/files/list", "files"), ("/connection/connectors/list", "connectors")):
            assert sorted(map(str, api.get(path).json()[entity])) == sorted(map(str, own.box.truth(entity)))
        assert api.get("/billing/subscriptions").json()["subscription"] == own.box.truth("subscriptions")[0]
