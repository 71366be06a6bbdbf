import pytest

from cargo_source.sandbox.entities import ENTITIES

EPOCH = "1970-01-01T00:00:00Z"

WHOLE = [
    ("/storage/datasets/list", "datasets"),
    ("/storage/models/list", "models"),
    ("/storage/relationships/list", "relationships"),
    ("/segmentation/segments/list", "segments"),
    ("/orchestration/workflows/list", "workflows"),
    ("/orchestration/plays/list", "plays"),
    ("/orchestration/tools/list", "tools"),
    ("/ai/agents/list", "agents"),
    ("/ai/mcpServers/list", "mcp_servers"),
    ("/ai/files/list", "files"),
    ("/content/files/list", "files"),
    ("/content/libraries/list", "libraries"),
    ("/connection/connectors/list", "connectors"),
    ("/connection/integrations/list", "integrations"),
    ("/connection/customIntegrations/list", "custom_integrations"),
    ("/workspaceManagement/folders/list", "folders"),
    ("/workspaceManagement/users/list", "users"),
    ("/workspaceManagement/roles/list", "roles"),
    ("/workspaceManagement/workspaces/list", "workspaces"),
    ("/billing/subscriptions/invoices", "invoices"),
]


def keyed(rows, *key):
    return {tuple(row[name] for name in key): row for row in rows}


def listed(api, method, path, envelope, params, start=0):
    """Read all pages of a list, as a careful client does: until one is empty."""
    rows, pages = [], 0
    while True:
        sent = {**params, "offset": start + len(rows)}
        answer = api.get(path, params=sent) if method == "GET" else api.post(path, json=sent)
        assert answer.status_code == 200, answer.text
        page = answer.json()[envelope]
        pages += 1
        if not page:
            return rows, pages
        rows += page


@pytest.mark.parametrize(("path", "entity"), WHOLE)
def test_lists_without_paging_give_everything(box, api, path, entity):
    """Every object of the workspace, exactly as it is, under the documented envelope."""
    answer = api.get(path).json()
    (envelope,) = answer
    assert envelope.lower() == entity.replace("_", "")
    key = ENTITIES[entity].key
    assert len(answer[envelope]) == len(box.truth(entity))
    assert keyed(answer[envelope], *key) == keyed(box.truth(entity), *key)


@pytest.mark.parametrize(
    ("method", "path", "entity", "params", "key"),
    [
        ("POST", "/orchestration/traces/list", "traces", {"startedAfter": EPOCH}, ("uuid",)),
        (
            "POST",
            "/orchestration/spans/list",
            "spans",
            {"executionStartedAfter": EPOCH},
            ("runUuid", "executionIndex"),
        ),
        ("GET", "/ai/chats/list", "chats", {}, ("uuid",)),
        ("GET", "/ai/releases/list", "agent_releases", {}, ("uuid",)),
        ("GET", "/orchestration/releases/list", "workflow_releases", {}, ("uuid",)),
        ("GET", "/orchestration/batches/list", "batches", {}, ("uuid",)),
        ("GET", "/storage/runs/list", "storage_runs", {}, ("uuid",)),
        ("GET", "/systemOfRecordIntegration/logs/list", "warehouse_queries", {}, ("uuid",)),
    ],
)
def test_pages_hold_everything_once(box, api, method, path, entity, params, key):
    """Pages of the default size hold every row once; past the end a page is empty."""
    rows, pages = listed(api, method, path, path.split("/")[2], params)
    truth = keyed(box.truth(entity), *key)
    assert len(rows) == len(truth)
    assert keyed(rows, *key) == truth
    assert pages == -(-len(rows) // 100) + 1 >= 4


def test_runs_are_listed_per_workflow_with_their_executions(box, api):
    """runs/list needs a workflow, counts all of its runs, and carries executions but no context."""
    assert api.post("/orchestration/runs/list", json={}).status_code == 400
    truth = box.truth("runs")
    for workflow in {run["workflowUuid"] for run in truth}:
        sent = {"workflowUuid": workflow, "limit": 100}
        answer = api.post("/orchestration/runs/list", json=sent).json()
        own = [run for run in truth if run["workflowUuid"] == workflow]
        assert answer["count"] == len(own)
        assert api.post("/orchestration/runs/count", json={"workflowUuid": workflow}).json() == {"count": len(own)}
        rows, _ = listed(api, "POST", "/orchestration/runs/list", "runs", sent)
        assert keyed(rows, "uuid") == keyed(own, "uuid")
    assert any(run["executions"] for run in truth)


@pytest.mark.parametrize("kind", ["native", "connector", "tool", "agent"])
def test_one_run_comes_with_the_context_of_its_nodes(box, api, kind):
    """Only runs/{uuid} gives per-node data, by node slug, whatever kinds of nodes the run has."""
    ended = ((run, each) for run in box.truth("runs") for each in run["executions"] if each["status"] == "success")
    run = next(run for run, execution in ended if execution["nodeKind"] == kind)
    answer = api.get(f"/orchestration/runs/{run['uuid']}").json()
    assert answer["run"] == run
    done = {each["nodeSlug"] for each in run["executions"] if each["status"] != "pending"}
    assert set(answer["runContext"]) == done
    assert set(answer["runComputedConfigs"]) == {each["nodeSlug"] for each in run["executions"]}


def test_changes_are_listed_per_segment_and_filtered(box, api):
    """changes/list needs a segment; hasRecords and notEmpty look at the counters."""
    assert api.get("/segmentation/changes/list").status_code == 400
    truth = box.truth("changes")
    for segment in box.truth("segments"):
        own = [change for change in truth if change["segmentUuid"] == segment["uuid"]]
        sent = {"segmentUuid": segment["uuid"]}
        rows, _ = listed(api, "GET", "/segmentation/changes/list", "changes", sent)
        assert keyed(rows, "uuid") == keyed(own, "uuid")
        removed = api.get("/segmentation/changes/list", params={**sent, "hasRecords": "removed", "limit": 99}).json()
        assert len(removed["changes"]) == sum(each["removedRecordsCount"] > 0 for each in own)
        calm = api.get("/segmentation/changes/list", params={**sent, "notEmpty": "false"}).json()["changes"]
        assert all(not each[f"{kind}RecordsCount"] for each in calm for kind in ("added", "updated", "removed"))


def test_messages_come_in_the_order_of_the_conversation(box, api):
    """messages/list needs a chat and gives its messages oldest first."""
    assert api.get("/ai/messages/list").status_code == 400
    truth = box.truth("messages")
    longest = max(box.truth("chats"), key=lambda chat: sum(m["chatUuid"] == chat["uuid"] for m in truth))
    rows, _ = listed(api, "GET", "/ai/messages/list", "messages", {"chatUuid": longest["uuid"], "limit": 2})
    assert keyed(rows, "uuid") == keyed([m for m in truth if m["chatUuid"] == longest["uuid"]], "uuid")
    assert [m["createdAt"] for m in rows] == sorted(m["createdAt"] for m in rows)


@pytest.mark.parametrize(
    ("method", "path", "envelope", "cursor", "params"),
    [
        ("GET", "/ai/chats/list", "chats", "createdAt", {}),
        ("GET", "/ai/releases/list", "releases", "createdAt", {}),
        ("GET", "/orchestration/releases/list", "releases", "createdAt", {}),
        ("GET", "/orchestration/batches/list", "batches", "createdAt", {}),
        ("GET", "/storage/runs/list", "runs", "createdAt", {}),
        ("GET", "/systemOfRecordIntegration/logs/list", "logs", "createdAt", {}),
        ("POST", "/orchestration/traces/list", "traces", "startedAt", {"startedAfter": EPOCH}),
        ("POST", "/orchestration/spans/list", "spans", "executionStartedAt", {"executionStartedAfter": EPOCH}),
    ],
)
def test_other_lists_are_newest_first(api, method, path, envelope, cursor, params):
    """Where no order is documented the newest come first."""
    rows, _ = listed(api, method, path, envelope, params)
    assert [row[cursor] for row in rows] == sorted((row[cursor] for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/ai/chats/list", "created"),
        ("POST", "/orchestration/traces/list", "started"),
        ("POST", "/orchestration/spans/list", "executionStarted"),
    ],
)
def test_time_bounds_include_the_lower_and_exclude_the_upper(box, api, method, path, name):
    """A row at the lower bound is in, one at the upper is out; also in another zone, or finer than a millisecond."""
    envelope = entity = path.split("/")[2]
    cursor = f"{name}At"
    moments = sorted({row[cursor] for row in box.truth(entity)})
    low, high = moments[len(moments) // 3], moments[2 * len(moments) // 3]
    shifted = low.replace("Z", "+00:00")
    for lower in (low, shifted):
        rows, _ = listed(api, method, path, envelope, {f"{name}After": lower, f"{name}Before": high})
        assert len(rows) == sum(low <= row[cursor] < high for row in box.truth(entity))
    finer = low.replace("Z", "500Z")
    rows, _ = listed(api, method, path, envelope, {f"{name}After": finer, f"{name}Before": high})
    assert len(rows) == sum(low < row[cursor] < high for row in box.truth(entity))


def test_runs_are_filtered_by_update_and_creation(box, api):
    """updatedAfter/Before and createdAfter/Before apply together."""
    truth = box.truth("runs")
    workflow = max({run["workflowUuid"] for run in truth}, key=lambda w: sum(r["workflowUuid"] == w for r in truth))
    own = [run for run in truth if run["workflowUuid"] == workflow]
    since, until = (sorted(run[name] for run in own)[len(own) // 2] for name in ("updatedAt", "createdAt"))
    sent = {"workflowUuid": workflow, "updatedAfter": since, "createdBefore": until}
    count = api.post("/orchestration/runs/count", json=sent).json()["count"]
    assert count == sum(run["updatedAt"] >= since and run["createdAt"] < until for run in own)


def test_a_larger_limit_than_the_undocumented_maximum_is_cut_silently(api):
    """A list without a documented maximum gives 100 rows to whoever asks for more; a documented one is enforced."""
    assert len(api.get("/ai/releases/list", params={"limit": 5000}).json()["releases"]) == 100
    assert len(api.get("/ai/releases/list", params={"limit": 7}).json()["releases"]) == 7
    sent = {"startedAfter": EPOCH, "limit": 101}
    assert api.post("/orchestration/traces/list", json=sent).status_code == 400


def test_spans_give_a_thousand_only_for_one_trace(box, api):
    """Up to 1000 with traceUuid, else 100 though more were asked for."""
    sent = {"executionStartedAfter": EPOCH, "limit": 1000}
    assert len(api.post("/orchestration/spans/list", json=sent).json()["spans"]) == 100
    trace = max(box.truth("traces"), key=lambda trace: trace["spansCount"])
    spans = api.post("/orchestration/spans/list", json={**sent, "traceUuid": trace["uuid"]}).json()
    assert len(spans["spans"]) == spans["count"] == trace["spansCount"]
    assert api.post("/orchestration/spans/list", json={**sent, "limit": 1001}).status_code == 400


@pytest.mark.parametrize(
    ("path", "entity", "query", "passes"),
    [
        ("/orchestration/plays/list", "plays", {"isEnabled": "true"}, lambda p: p["isEnabled"]),
        (
            "/orchestration/plays/list",
            "plays",
            {"scheduleType": "cron"},
            lambda p: (p["schedule"] or {}).get("type") == "cron",
        ),
        ("/ai/chats/list", "chats", {"triggerType": "workflow"}, lambda c: c["trigger"]["type"] == "workflow"),
        (
            "/ai/chats/list",
            "chats",
            {"messageStatuses[]": ["error", "cancelled"]},
            lambda c: (c["lastMessage"] or {}).get("status") in {"error", "cancelled"},
        ),
        ("/ai/releases/list", "agent_releases", {"statuses[]": "draft"}, lambda r: r["status"] == "draft"),
        (
            "/orchestration/releases/list",
            "workflow_releases",
            {"statuses[]": ["draft", "archived"]},
            lambda r: r["status"] != "deployed",
        ),
        ("/storage/runs/list", "storage_runs", {"statuses[]": "error"}, lambda r: r["status"] == "error"),
        (
            "/orchestration/batches/list",
            "batches",
            {"statuses[]": ["pending", "querying"]},
            lambda b: b["status"] in {"pending", "querying"},
        ),
        ("/orchestration/batches/list", "batches", {"isFinished": "false"}, lambda b: b["finishedAt"] is None),
        ("/orchestration/batches/list", "batches", {"isSkipped": "true"}, lambda b: b["status"] == "skipped"),
        ("/orchestration/batches/list", "batches", {"hasRuns": "false"}, lambda b: b["runsCount"] == 0),
        (
            "/orchestration/batches/list",
            "batches",
            {"includedDataKinds[]": ["form", "file"], "excludedDataKinds[]": "file"},
            lambda b: b["data"]["kind"] == "form",
        ),
    ],
)
def test_documented_filters_apply(box, api, path, entity, query, passes):
    """Each filter of a GET list gives the rows that pass and no others."""
    envelope = path.split("/")[2]
    rows, _ = (
        listed(api, "GET", path, envelope, {**query, "limit": 100})
        if envelope != "plays"
        else (
            api.get(path, params=query).json()["plays"],
            1,
        )
    )
    wanted = [row for row in box.truth(entity) if passes(row)]
    assert wanted
    assert keyed(rows, "uuid") == keyed(wanted, "uuid")


def test_filters_by_parent_apply(box, api):
    """modelUuid, segmentUuid and agentUuid give what belongs to the parent."""
    play = box.truth("plays")[0]
    for name in ("modelUuid", "segmentUuid"):
        plays = api.get("/orchestration/plays/list", params={name: play[name]}).json()["plays"]
        assert {p["uuid"] for p in plays} == {p["uuid"] for p in box.truth("plays") if p[name] == play[name]}
    segments = api.get("/segmentation/segments/list", params={"modelUuid": play["modelUuid"]}).json()["segments"]
    assert {s["modelUuid"] for s in segments} == {play["modelUuid"]}
    agent = box.truth("agents")[0]["uuid"]
    rows, _ = listed(api, "GET", "/ai/chats/list", "chats", {"agentUuid": agent})
    assert len(rows) == sum(chat["agentUuid"] == agent for chat in box.truth("chats"))


def test_runs_and_spans_filter_by_status_title_and_execution(box, api):
    """statuses, isFinished, recordTitleOrId, executionsFilter, executionStatuses and nodeKind give what passes."""
    truth = box.truth("runs")
    run = max(truth, key=lambda run: len(run["executions"]))
    own = [each for each in truth if each["workflowUuid"] == run["workflowUuid"]]

    def count(**more):
        return api.post("/orchestration/runs/count", json={"workflowUuid": run["workflowUuid"], **more}).json()["count"]

    assert count(statuses=["error", "success"]) == sum(r["status"] in {"error", "success"} for r in own)
    assert count(statuses=[]) == len(own)
    assert count(isFinished=True) == sum(r["finishedAt"] is not None for r in own)
    text = run["recordTitle"][1:].upper()
    hits = [r for r in own if text.lower() in (r["recordTitle"] + "\n" + r["recordId"]).lower()]
    assert count(recordTitleOrId=text) == len(hits) > 0
    node = run["executions"][0]["nodeSlug"]
    for status in ("success", "absent"):
        condition = {"kind": "node", "nodeSlug": node, "status": status}
        tree = {"conjonction": "and", "groups": [{"conjonction": "or", "conditions": [condition]}]}
        found = [[e["status"] for e in r["executions"] if e["nodeSlug"] == node] for r in own]
        wanted = sum(not each if status == "absent" else status in each for each in found)
        assert count(executionsFilter=tree) == wanted
    sent = {"executionStartedAfter": EPOCH, "executionStatuses": ["error"], "nodeKind": "connector"}
    spans = api.post("/orchestration/spans/count", json=sent).json()["count"]
    assert spans == sum(s["executionStatus"] == "error" and s["nodeKind"] == "connector" for s in box.truth("spans"))


@pytest.mark.parametrize(
    ("group", "parent", "entity", "missing"),
    [
        ("ai", "agent", "agent_releases", {"deployed": "releaseNotFound", "draft": "releaseNotFound"}),
        ("orchestration", "workflow", "workflow_releases", {"deployed": "releaseNotFound"}),
    ],
)
def test_a_release_is_found_by_its_state(box, api, group, parent, entity, missing):
    """deployed and draft give the release in that state; an agent may lack either, a workflow only the deployed one."""
    releases = box.truth(entity)
    for owner in box.truth(f"{parent}s"):
        for status in ("deployed", "draft"):
            own = [r for r in releases if r[f"{parent}Uuid"] == owner["uuid"] and r["status"] == status]
            answer = api.get(f"/{group}/releases/{status}", params={f"{parent}Uuid": owner["uuid"]})
            if own:
                assert answer.json()["release"] in own
            else:
                assert (answer.status_code, answer.json()) == (404, {"reason": missing[status]})
    unknown = {"workflowUuid": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"}
    answer = api.get("/orchestration/releases/draft", params=unknown)
    assert (answer.status_code, answer.json()) == (404, {"reason": "workflowNotFound"})


def test_batches_are_found_by_what_they_belong_to(box, api):
    """uuids, workflowUuids, releaseUuid and the parents of a group's batch give what belongs to them."""
    truth = box.truth("batches")
    group = next(batch for batch in truth if batch["data"]["kind"] == "group")
    some = [batch["uuid"] for batch in truth[:3]]
    sent = {
        "uuids[]": ([*some, "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"], lambda b: b["uuid"] in some),
        "workflowUuids[]": ([group["workflowUuid"]], lambda b: b["workflowUuid"] == group["workflowUuid"]),
        "releaseUuid": (group["releaseUuid"], lambda b: b["releaseUuid"] == group["releaseUuid"]),
    }
    for name in ("parentRunUuid", "parentNodeUuid"):
        sent[name] = (group["data"][name], lambda b, name=name: b["data"].get(name) == group["data"][name])
    for name, (value, passes) in sent.items():
        rows, _ = listed(api, "GET", "/orchestration/batches/list", "batches", {name: value})
        wanted = [batch for batch in truth if passes(batch)]
        assert wanted
        assert keyed(rows, "uuid") == keyed(wanted, "uuid"), name


def test_records_are_listed_per_workflow_with_their_latest_run(box, api):
    """records/list needs a workflow and counts; ids, titles, statuses, runs and times pick what they say."""
    assert api.post("/orchestration/records/list", json={}).status_code == 400
    truth = box.truth("orchestration_records")
    for workflow in {record["workflowUuid"] for record in truth}:
        own = [record for record in truth if record["workflowUuid"] == workflow]
        sent = {"workflowUuid": workflow, "limit": 100}
        rows, _ = listed(api, "POST", "/orchestration/records/list", "records", sent)
        assert keyed(rows, "workflowUuid", "id") == keyed(own, "workflowUuid", "id")
        assert api.post("/orchestration/records/count", json={"workflowUuid": workflow}).json() == {"count": len(own)}

    def count(**more):
        sent = {"workflowUuid": last["workflowUuid"], **more}
        return api.post("/orchestration/records/count", json=sent).json()["count"]

    last = max(truth, key=lambda record: record["updatedAt"])
    own = [record for record in truth if record["workflowUuid"] == last["workflowUuid"]]
    ids = [record["id"] for record in own[:4]]
    assert count(ids=ids) == len(ids)
    assert count(statuses=["error", "running"]) == sum(r["status"] in {"error", "running"} for r in own)
    assert count(titleOrId=last["id"]) >= 1
    assert count(batchUuid=last["batchUuid"] or last["workflowUuid"]) == sum(
        r["batchUuid"] == (last["batchUuid"] or last["workflowUuid"]) for r in own
    )
    middle = sorted(record["updatedAt"] for record in own)[len(own) // 2]
    assert count(updatedAfter=middle) == sum(r["updatedAt"] >= middle for r in own)


def test_a_slug_is_known_or_not(box, api, companies):
    """existsBySlug answers for columns of a model and models of a dataset; a parent that is not there is not found."""
    column = companies["additionalColumns"][0]["slug"]
    asked = [
        ("columns", {"modelUuid": companies["uuid"]}, companies["columns"][0]["slug"], "modelNotFound"),
        ("columns", {"modelUuid": companies["uuid"]}, column, "modelNotFound"),
        ("models", {"datasetUuid": companies["datasetUuid"]}, companies["slug"], "datasetNotFound"),
    ]
    for what, parent, slug, reason in asked:
        path = f"/storage/{what}/existsBySlug"
        assert api.get(path, params={**parent, "slug": slug}).json() == {"exists": True}
        assert api.get(path, params={**parent, "slug": f"{slug}_"}).json() == {"exists": False}
        unknown = dict.fromkeys(parent, "6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
        answer = api.get(path, params={**unknown, "slug": slug})
        assert (answer.status_code, answer.json()) == (404, {"reason": reason})


SINGLE = [
    ("/storage/datasets/", "datasets", "dataset"),
    ("/storage/models/", "models", "model"),
    ("/storage/relationships/", "relationships", "relationship"),
    ("/segmentation/segments/", "segments", "segment"),
    ("/segmentation/changes/", "changes", "change"),
    ("/orchestration/plays/", "plays", "play"),
    ("/orchestration/tools/", "tools", "tool"),
    ("/orchestration/runs/", "runs", "run"),
    ("/orchestration/traces/", "traces", "trace"),
    ("/ai/agents/", "agents", "agent"),
    ("/ai/releases/", "agent_releases", "release"),
    ("/orchestration/releases/", "workflow_releases", "release"),
    ("/orchestration/batches/", "batches", "batch"),
    ("/ai/chats/", "chats", "chat"),
    ("/ai/messages/", "messages", "message"),
    ("/ai/mcpServers/", "mcp_servers", "mcpServer"),
    ("/content/files/", "files", "file"),
    ("/content/libraries/", "libraries", "library"),
    ("/connection/connectors/", "connectors", "connector"),
    ("/workspaceManagement/folders/", "folders", "folder"),
]


@pytest.mark.parametrize(("path", "entity", "envelope"), SINGLE)
def test_one_object_is_had_by_its_uuid_or_not_found_with_its_reason(box, api, path, entity, envelope):
    """The object as it is, or 404 with `<entity>NotFound`."""
    for row in box.truth(entity)[:3]:
        assert api.get(path + row["uuid"]).json()[envelope] == row
        assert api.get(path + row["uuid"].upper()).json()[envelope] == row
    answer = api.get(f"{path}6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
    assert (answer.status_code, answer.json()) == (404, {"reason": f"{envelope}NotFound"})


def test_the_token_knows_its_workspace_and_user(box, api):
    """workspaces/current and both users/current answer the workspace and the first of its users."""
    assert api.get("/workspaceManagement/workspaces/current").json() == {"workspace": box.truth("workspaces")[0]}
    for path in ("/userManagement/users/current", "/workspaceManagement/users/current"):
        assert api.get(path).json() == {"user": box.truth("users")[0]}
