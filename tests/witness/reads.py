"""Every read of the vendor's client that is an operation of the contract: how it is asked, and what it must answer."""

from collections import defaultdict

from tests.witness.cases import Case, counts, decoded, each, exported, one, paged, pages, plain, same, same_rows, whole

BEGINNING = "2020-01-01T00:00:00.000Z"
ALL = {"conjonction": "and", "groups": []}
KINDS = ["added", "updated", "removed", "unchanged"]
FEW = 5
SMALL = 100_000
"""Bytes of a file that surely may be had raw."""


def column_names(known):
    def names(model):
        return [column.name for column in known.box.world.columns_of(model["uuid"])]

    models = known.rows("models")
    wanted = [{"columns": names(model)} for model in models]
    return [Case([[{"modelUuid": model["uuid"]}] for model in models], lambda answers: same(answers, wanted))]


def slugs_of_models(known):
    models = known.some("models")
    taken = [[{"slug": model["slug"], "datasetUuid": model["datasetUuid"]}] for model in models]
    free = [[{**taken[0][0], "slug": "no_such_model"}]]
    wanted = [{"exists": True}] * len(taken) + [{"exists": False}]
    return [Case(taken + free, lambda answers: same(answers, wanted))]


def slugs_of_columns(known):
    columns = known.some("columns")
    taken = [[{"modelUuid": column["modelUuid"], "columnSlug": column["slug"]}] for column in columns]
    free = [[{**taken[0][0], "columnSlug": "no_such_column"}]]
    wanted = [{"exists": True}] * len(taken) + [{"exists": False}]
    return [Case(taken + free, lambda answers: same(answers, wanted))]


def ddl(known):
    models = [model for model in known.rows("models") if model["lastEmittedAt"]]

    def holds(answers):
        for model, answer in zip(models, answers, strict=True):
            assert set(answer) == {"ddl", "language"}
            assert all(column.name in answer["ddl"] for column in known.box.world.columns_of(model["uuid"]))

    return [Case([[model["uuid"]] for model in models], holds)]


def record(known):
    models = known.filled_models()
    rows = [known.records(model["uuid"])[-1] for model in models]
    sent = [[{"modelUuid": m["uuid"], "id": row["_id"]}] for m, row in zip(models, rows, strict=True)]
    wanted = [{"record": row, "isRefreshing": False} for row in rows]
    return [Case(sent, lambda answers: same(answers, wanted))]


def records(known):
    return [
        paged("records", known.records(model["uuid"]), {"modelUuid": model["uuid"]}, more={"isRefreshing"})
        for model in known.rows("models")
    ]


def storage_query(known):
    def case(model):
        def holds(answers):
            assert set(answers[0]) == {"rows", "isRefreshing"}
            same_rows(answers[0]["rows"], known.records(model["uuid"]))

        return Case([[{"query": f"SELECT * FROM {known.sql_name(model)}"}]], holds)

    return [case(model) for model in known.filled_models()]


def storage_export(known):
    return [
        exported(
            {"query": f"SELECT * FROM {known.sql_name(model)}", "format": kind},
            len(known.records(model["uuid"])),
            {"isRefreshing"},
        )
        for model in known.filled_models()[:FEW]
        for kind in ("csv", "parquet")
    ]


def segment_rows(known):
    return [
        paged(
            "records",
            known.records(model["uuid"]),
            {"modelUuid": model["uuid"], "filter": ALL},
            counted=True,
            names=("fetchingLimit", "fetchingOffset"),
            more={"columns", "isRefreshing"},
        )
        for model in known.filled_models()
    ]


def segment_export(known):
    return [
        exported({"modelUuid": model["uuid"], "filter": ALL}, len(known.records(model["uuid"])))
        for model in known.filled_models()[:FEW]
    ]


def change_rows(known):
    groups = known.by("change_rows", "changeUuid")
    bare = {change: [{**row, "changeUuid": None} for row in rows] for change, rows in groups.items()}
    for rows in bare.values():
        for row in rows:
            del row["changeUuid"]  # the truth's own: on the wire the change is in the path
    return [
        paged("records", rows, {"uuid": change, "kinds": KINDS}, counted=True, more={"columns"})
        for change, rows in bare.items()
    ]


def change_export(known):
    groups = list(known.by("change_rows", "changeUuid").items())[:FEW]
    return [exported({"uuid": change, "kinds": KINDS}, len(rows)) for change, rows in groups]


def records_by_id(known):
    def case(model):
        rows = known.records(model["uuid"])[:FEW]

        def holds(answers):
            assert set(answers[0]) == {"records"}
            same_rows(answers[0]["records"], rows)

        return Case([[{"modelUuid": model["uuid"], "ids": [row["_id"] for row in rows]}]], holds)

    return [case(model) for model in known.filled_models()]


def run_with_context(known):
    runs = known.some("runs")

    def holds(answers):
        for run, answer in zip(runs, answers, strict=True):
            assert set(answer) == {"run", "runContext", "runComputedConfigs"}
            same(answer["run"], run)
            # Which of them are shown is not documented; what is shown was executed.
            assert set(answer["runContext"]) <= {execution["nodeSlug"] for execution in run["executions"]}

    return [Case([[run["uuid"]] for run in runs], holds)]


def newest(entity, of, status):
    """The release of a parent that is deployed, or its draft."""

    def make(known):
        rows = [row for row in known.rows(entity) if row["status"] == status]
        parents = sorted({row[of] for row in rows})[:FEW]
        assert parents, f"no {status} in {entity}"

        def holds(answers):
            for parent, answer in zip(parents, answers, strict=True):
                assert set(answer) == {"release"}
                assert plain(answer["release"]) in plain([row for row in rows if row[of] == parent])

        return [Case([[{of: parent}] for parent in parents], holds)]

    return make


def runtime_export(entity):
    """The export of what a workflow ran."""

    def make(known):
        groups = list(known.by(entity, "workflowUuid").items())[:FEW]
        return [exported({"workflowUuid": workflow}, len(rows), link="url") for workflow, rows in groups]

    return make


def batch_export(known):
    batches = [batch for batch in known.rows("batches") if batch["status"] == "success" and batch["runsCount"]][:FEW]
    return [exported({"uuid": batch["uuid"]}, batch["runsCount"], link="url") for batch in batches]


def metrics(envelope, entity):
    """Counters of the nodes of a workflow: each execution is counted once."""

    def make(known):
        groups = list(known.by(entity, "workflowUuid").items())[:FEW]

        def holds(answers):
            for (_, rows), answer in zip(groups, answers, strict=True):
                assert set(answer) == {envelope}
                executed = sum(len(row["executions"]) for row in rows)
                assert sum(metric["totalExecutionsCount"] for metric in answer[envelope]) == executed

        return [Case([[{"workflowUuid": workflow}] for workflow, _ in groups], holds)]

    return make


def runtime_query(known):
    tables = {"runs": "runs", "batches": "batches", "spans": "spans", "records": "orchestration_records"}
    wanted = [{"rows": [{"n": len(known.rows(entity))}]} for entity in tables.values()]
    sent = [[{"query": f"SELECT count(*) AS n FROM {table}"}] for table in tables]
    return [Case(sent, lambda answers: same(answers, wanted))]


def older(known):
    """Models with the query that the older calls take: these know tables by the names of the warehouse."""
    for model in known.filled_models()[:FEW]:
        name = known.box.world.ddl(model["uuid"]).split("`")[1]
        yield known.records(model["uuid"]), f"SELECT * FROM `{name}` ORDER BY _id"


def older_query(known):
    def case(rows, query):
        return Case([[query]], lambda answers: same_rows(answers[0]["rows"], rows))

    return [case(rows, query) for rows, query in older(known)]


def older_export(known):
    return [exported({"query": query}, len(rows)) for rows, query in older(known)]


def older_fetch(known):
    return [paged("records", rows, {"query": query}, counted=True) for rows, query in older(known)]


def memories(known):
    """Memories of users, and of each agent that has some."""
    groups = {None: []} | known.by("memories", "agentUuid")
    sent = [[{"scope": "agent", "agentUuid": agent} if agent else {"scope": "user"}] for agent in groups]

    def holds(answers):
        for answer, wanted in zip(answers, groups.values(), strict=True):
            same_rows(answer["memories"], wanted)

    return [Case(sent, holds)]


def votes(known):
    def case(chat, rows):
        return Case([[{"chatUuid": chat}]], lambda answers: same_rows(answers[0]["votes"], rows))

    return [case(chat, rows) for chat, rows in known.by("votes", "chatUuid").items()]


def file_bytes(known):
    small = [file for file in known.rows("files") if file["deletedAt"] is None and file["size"] < SMALL][:FEW]

    def holds(answers):
        assert [len(decoded(answer)) for answer in answers] == [file["size"] for file in small]

    return [Case([[file["uuid"]] for file in small], holds)]


def native_integration(known):
    """What the platform has itself: the truth lists it among what all integrations have."""

    def own(entity, slug):
        rows = [row for row in known.rows(entity) if row["integrationSlug"] == "native"]
        assert rows
        return {row[slug]: {key: row[key] for key in row.keys() - {"integrationSlug", slug}} for row in rows}

    wanted = {"actions": own("actions", "actionSlug"), "extractors": own("extractors", "extractorSlug")}
    return [Case([[]], lambda answers: same(answers, [{"nativeIntegration": wanted}]))]


def usage(known):
    """One call for each unit, grouped by nothing and by each dimension."""
    groups = defaultdict(list)
    for row in known.rows("usage_metrics"):
        groups[row["unit"], row["dimension"]].append([row["date"], row["slug"], row["groupBy"], row["count"]])
    assert groups

    def case(unit, dimension, rows):
        def holds(answers):
            days = answers[0]["metrics"]
            found = [
                [day["date"], each["slug"], each["groupBy"], each["count"]] for day in days for each in day["items"]
            ]
            same_rows(found, rows)

        sent = {"from": "2020-01-01", "to": "2100-01-01", "unit": unit}
        return Case([[sent if dimension == "none" else {**sent, "groupBy": dimension}]], holds)

    return [case(unit, dimension, rows) for (unit, dimension), rows in groups.items()]


def by_slug(row):
    return {"slug": row["slug"]}


def by_uuid_of(row):
    return {"uuid": row["uuid"]}


READS = {
    "workspaceManagement.workspace.all": whole("workspaces", "workspaces", {"refresh": False}),
    "workspaceManagement.workspace.getCurrent": one("workspace", "workspaces"),
    "workspaceManagement.user.all": whole("users", "users"),
    "workspaceManagement.user.getCurrent": one("user", "users"),
    "workspaceManagement.role.all": whole("roles", "roles"),
    "workspaceManagement.folder.all": whole("folders", "folders"),
    "workspaceManagement.folder.get": each("folder", "folders"),
    "userManagement.user.getCurrent": one("user", "users"),
    "storage.dataset.all": whole("datasets", "datasets"),
    "storage.dataset.get": each("dataset", "datasets"),
    "storage.model.all": whole("models", "models"),
    "storage.model.get": each("model", "models"),
    "storage.model.getDdl": ddl,
    "storage.model.existsBySlug": slugs_of_models,
    "storage.column.list": column_names,
    "storage.column.existsBySlug": slugs_of_columns,
    "storage.relationship.all": whole("relationships", "relationships"),
    "storage.relationship.get": each("relationship", "relationships"),
    "storage.run.list": pages("runs", "storage_runs", of="modelUuid"),
    "storage.record.get": record,
    "storage.record.list": records,
    "storage.query.execute": storage_query,
    "storage.query.download": storage_export,
    "segmentation.segment.all": whole("segments", "segments"),
    "segmentation.segment.get": each("segment", "segments"),
    "segmentation.segment.fetch": segment_rows,
    "segmentation.segment.download": segment_export,
    "segmentation.change.list": pages("changes", "changes", of="segmentUuid"),
    "segmentation.change.get": each("change", "changes"),
    "segmentation.change.fetch": change_rows,
    "segmentation.change.download": change_export,
    "segmentation.record.fetch": records_by_id,
    "connection.connector.list": whole("connectors", "connectors", {}),
    "connection.connector.get": each("connector", "connectors", by_uuid_of),
    "connection.integration.list": whole("integrations", "integrations", {}),
    "connection.integration.get": each("integration", "integrations", by_slug),
    "connection.nativeIntegration.get": native_integration,
    "connection.customIntegration.list": whole("customIntegrations", "custom_integrations"),
    "content.file.all": whole("files", "files"),
    "content.file.get": each("file", "files"),
    "content.file.readBytes": file_bytes,
    "content.library.list": whole("libraries", "libraries"),
    "content.library.get": each("library", "libraries"),
    "orchestration.workflow.all": whole("workflows", "workflows"),
    "orchestration.play.list": whole("plays", "plays"),
    "orchestration.play.get": each("play", "plays"),
    "orchestration.tool.all": whole("tools", "tools"),
    "orchestration.tool.get": each("tool", "tools"),
    "orchestration.release.list": pages("releases", "workflow_releases"),
    "orchestration.release.get": each("release", "workflow_releases"),
    "orchestration.release.getDeployed": newest("workflow_releases", "workflowUuid", "deployed"),
    "orchestration.draftRelease.get": newest("workflow_releases", "workflowUuid", "draft"),
    "orchestration.batch.list": pages("batches", "batches"),
    "orchestration.batch.get": each("batch", "batches"),
    "orchestration.batch.download": batch_export,
    "orchestration.run.list": pages("runs", "runs", of="workflowUuid", counted=True),
    "orchestration.run.count": counts("runs", of="workflowUuid"),
    "orchestration.run.get": run_with_context,
    "orchestration.run.download": runtime_export("runs"),
    "orchestration.run.downloadOutputs": runtime_export("runs"),
    "orchestration.run.getMetrics": metrics("runMetrics", "runs"),
    "orchestration.span.list": pages("spans", "spans", counted=True, executionStartedAfter=BEGINNING),
    "orchestration.span.count": counts("spans", executionStartedAfter=BEGINNING),
    "orchestration.trace.list": pages("traces", "traces", counted=True, startedAfter=BEGINNING),
    "orchestration.trace.count": counts("traces", startedAfter=BEGINNING),
    "orchestration.trace.get": each("trace", "traces"),
    "orchestration.query.execute": runtime_query,
    "orchestration.record.list": pages("records", "orchestration_records", of="workflowUuid", counted=True),
    "orchestration.record.count": counts("orchestration_records", of="workflowUuid"),
    "orchestration.record.download": runtime_export("orchestration_records"),
    "orchestration.record.downloadOutputs": runtime_export("orchestration_records"),
    "orchestration.record.getMetrics": metrics("recordMetrics", "orchestration_records"),
    "ai.agent.all": whole("agents", "agents"),
    "ai.agent.get": each("agent", "agents"),
    "ai.release.list": pages("releases", "agent_releases", of="agentUuid"),
    "ai.release.get": each("release", "agent_releases"),
    "ai.release.getDeployed": newest("agent_releases", "agentUuid", "deployed"),
    "ai.release.getDraft": newest("agent_releases", "agentUuid", "draft"),
    "ai.chat.list": pages("chats", "chats"),
    "ai.chat.get": each("chat", "chats"),
    "ai.message.list": pages("messages", "messages", of="chatUuid"),
    "ai.message.get": each("message", "messages"),
    "ai.vote.list": votes,
    "ai.mcpServer.all": whole("mcpServers", "mcp_servers"),
    "ai.mcpServer.get": each("mcpServer", "mcp_servers"),
    "ai.memory.list": memories,
    "billing.usage.getMetrics": usage,
    "billing.subscription.get": one("subscription", "subscriptions"),
    "billing.subscription.getInvoices": whole("invoices", "invoices"),
    "systemOfRecordIntegration.client.query": older_query,
    "systemOfRecordIntegration.client.download": older_export,
    "systemOfRecordIntegration.client.fetch": older_fetch,
    "systemOfRecordIntegration.log.list": pages("logs", "warehouse_queries"),
}
