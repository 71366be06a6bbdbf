"""What workflows ran: batches, runs with their executions, records, spans and traces."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Follow, Gated, Testimony, Unfolded, Window

BATCHES = Entity(
    table="batches",
    description="Batches of runs: what one change, file, segment or request set off.",
    group="orchestration",
    key=("uuid",),
    call=Call("GET", "orchestration/batches/list", "batches", page=100, send={"workflowUuids[]": "uuid"}),
    reading=Gated(
        "workflows",
        ("lastBatch.createdAt", "lastBatch.finishedAt"),
        cursor="updatedAt",
        swept="whole",
        testimony=Testimony(last="lastBatch", item=Call("GET", "orchestration/batches/{uuid}", "batch")),
    ),
    follow=Follow(
        "status",
        final=("skipped", "success", "error", "cancelled"),
        ended="finishedAt",
        call=Call("GET", "orchestration/batches/{uuid}", "batch"),
        by="uuid",
        still_open={"statuses": ["pending", "syncing", "querying", "running", "cancelling"]},
    ),
    evidence="pages until an empty one, the workflow's last batch among them",
    dropped=("data.webhookSecret",),
    columns=columns("""
        uuid                text!      the batch
        workspaceUuid       text       -> workspaces.uuid  its workspace
        workflowUuid        text       -> workflows.uuid  the workflow that ran
        userUuid            text       -> users.uuid  who started it
        releaseUuid         text       -> workflow_releases.uuid  the release that ran
        nodes               json       the nodes that ran, where no release is named
        temporalWorkflowId  text       its id in the workflow engine
        traceUuid           text       -> traces.uuid  its trace
        data                json       what it was made of, without the webhook's secret
        errorMessage        text       why it failed
        status              text{pending|syncing|skipped|querying|running|success|cancelling|error|cancelled}  its state
        runsStatus          text{healthy|unhealthy}  how its runs went; a batch may succeed with failed runs
        runsCount           integer    runs in all
        executedRunsCount   integer    runs that ended
        failedRunsCount     integer    runs that failed
        creditsUsedCount    number     credits of its runs
        createdAt           timestamp  when it was created
        updatedAt           timestamp  when it last moved
        finishedAt          timestamp  when it ended
    """),
)

RUNS = Entity(
    table="runs",
    description="Runs of workflows: one for each record that went through.",
    group="orchestration",
    key=("uuid",),
    call=Call("POST", "orchestration/runs/list", "runs", page=100, counted=True, send={"workflowUuid": "uuid"}),
    reading=Window("updatedAt", after="updatedAfter", before="updatedBefore", per="workflows"),
    evidence="server count",
    keep=("uuid", "parentMessageUuid", "parentChatUuid", "createdAt"),
    keep_if="parentMessageUuid",
    columns=columns("""
        uuid                       text!      the run
        workspaceUuid              text       -> workspaces.uuid  its workspace
        workflowUuid               text       -> workflows.uuid  the workflow that ran
        userUuid                   text       -> users.uuid  who started it
        releaseUuid                text       -> workflow_releases.uuid  the release that ran
        nodes                      json       the nodes that ran, where no release is named
        batchUuid                  text       -> batches.uuid  its batch
        traceUuid                  text       -> traces.uuid  its trace
        temporalWorkflowId         text       its id in the workflow engine
        recordId                   text       the record that went through
        recordTitle                text~      title of that record; may be the raw input
        contextS3Filename          text       where its context is kept
        computedConfigsS3Filename  text       where its computed settings are kept
        parentUuid                 text       -> runs.uuid  the run that started it
        parentNodeUuid             text       the node that started it
        parentBatchUuid            text       -> batches.uuid  the batch of the run that started it
        parentAgentUuid            text       -> agents.uuid  the agent that started it
        parentChatUuid             text       -> chats.uuid  the chat in which an agent started it
        parentMessageUuid          text       -> messages.uuid  the message in which an agent started it
        isGroupParent              boolean    whether it stands for a group
        status                     text{idle|pending|running|success|error|cancelling|cancelled|skipped}  its state
        errorMessage               text       why it failed
        executions                 json       executed nodes; unfolded in the table executions
        createdAt                  timestamp  when it was created
        updatedAt                  timestamp  when it last moved
        finishedAt                 timestamp  when it ended
        deletedAt                  timestamp  when it was deleted
    """),
)

EXECUTIONS = Entity(
    table="executions",
    description="The nodes that each run executed, in order.",
    group="orchestration",
    key=("run_uuid", "index"),
    reading=Unfolded("runs", fields=("executions",), carry={"runUuid": "uuid"}, position="index"),
    evidence="as runs",
    columns=columns("""
        runUuid               text!      -> runs.uuid  the run
        index                 integer!   position in the run
        nodeUuid              text       the node
        nodeSlug              text       slug of the node; not unique in a graph
        nodeKind              text{native|connector|tool|agent}  what the node calls
        nodeActionSlug        text       the action of the node
        nodeConnectorUuid     text       -> connectors.uuid  the connector of the node
        nodeIntegrationSlug   text       the integration of the node
        nodeToolUuid          text       -> tools.uuid  the tool that the node called
        nodeAgentUuid         text       -> agents.uuid  the agent that the node called
        nodeReleaseUuid       text       the release that the node called
        nodeBatchUuid         text       -> batches.uuid  the batch that the node started
        nodeRunUuid           text       -> runs.uuid  the run that the node started
        nodeMessageUuid       text       -> messages.uuid  the message that the node's agent wrote
        nodeChildIndex        integer    the branch that was taken
        nextNodeUuid          text       the node that came next
        status                text{pending|success|error}  how far it is
        errorMessage          text       why it failed
        title                 text       what it did, in short
        iconUrl               text       its icon
        creditsUsedCount      number     credits of the provider; each execution costs 0.01 more
        startedAt             timestamp  when it started
        updatedAt             timestamp  when it last moved
        finishedAt            timestamp  when it ended
        nodeWaitUntilFinished boolean    whether the run waited for it
    """),
)

ORCHESTRATION_RECORDS = Entity(
    table="orchestration_records",
    description="The latest state of each record in each workflow that it went through.",
    group="orchestration",
    key=("workflow_uuid", "id"),
    call=Call(
        "POST",
        "orchestration/records/list",
        "records",
        page=100,
        counted=True,
        send={"workflowUuid": "uuid"},
        instead=("GET", "orchestration/records/list"),
    ),
    reading=Window(
        "updatedAt", after="updatedAfter", before="updatedBefore", per="workflows", moves_with=("runs", "workflowUuid")
    ),
    evidence="server count",
    columns=columns("""
        workspaceUuid              text       -> workspaces.uuid  its workspace
        workflowUuid               text!      -> workflows.uuid  the workflow
        userUuid                   text       -> users.uuid  who started its run
        id                         text!      the record
        title                      text~      title of the record; may be the raw input
        runUuid                    text       -> runs.uuid  its latest run
        traceUuid                  text       -> traces.uuid  the trace of that run
        releaseUuid                text       -> workflow_releases.uuid  the release that ran
        nodes                      json       the nodes that ran, where no release is named
        batchUuid                  text       -> batches.uuid  the batch of that run
        temporalWorkflowId         text       its id in the workflow engine
        contextS3Filename          text       where the run's context is kept
        computedConfigsS3Filename  text       where the run's computed settings are kept
        parentRunUuid              text       the run that started the run
        parentNodeUuid             text       the node that started the run
        parentBatchUuid            text       the batch of the run that started it
        parentAgentUuid            text       -> agents.uuid  the agent that started the run
        parentChatUuid             text       -> chats.uuid  the chat in which an agent started the run
        parentMessageUuid          text       -> messages.uuid  the message in which an agent started the run
        isGroupParent              boolean    whether the run stands for a group
        status                     text{pending|running|success|error|cancelled|cancelling}  state of the run
        errorMessage               text       why it failed
        executions                 json       nodes that the run executed
        createdAt                  timestamp  when the run was created
        updatedAt                  timestamp  when it last moved
        finishedAt                 timestamp  when the run ended
    """),
)

SPANS = Entity(
    table="spans",
    description="One row for each executed node, flat: the finest grain of time and credits.",
    group="orchestration",
    key=("run_uuid", "execution_index"),
    call=Call("POST", "orchestration/spans/list", "spans", page=100, counted=True),
    reading=Window("executionStartedAt", after="executionStartedAfter", before="executionStartedBefore", required=True),
    follow=Follow(
        "executionStatus",
        final=("success", "error"),
        ended="executionFinishedAt",
        call=Call("POST", "orchestration/spans/list", "spans", page=100, counted=True, send={"runUuid": "runUuid"}),
        by="runUuid",
        # A run holds its executions, so it moves when one of them does.
        moves_with=("runs", "uuid"),
    ),
    evidence="server count",
    columns=columns("""
        workspaceUuid              text       -> workspaces.uuid  its workspace
        workflowUuid               text       -> workflows.uuid  the workflow that ran
        userUuid                   text       -> users.uuid  who started the run
        batchUuid                  text       -> batches.uuid  the batch of the run
        traceUuid                  text       -> traces.uuid  the trace
        recordId                   text       the record that went through
        recordTitle                text~      title of that record; may be the raw input
        runUuid                    text!      -> runs.uuid  the run
        runContextS3Filename       text       where the run's context is kept
        runComputedConfigsS3Filename text     where the run's computed settings are kept
        parentRunUuid              text       -> runs.uuid  the run that started the run
        parentNodeUuid             text       the node that started the run
        parentBatchUuid            text       -> batches.uuid  the batch of the run that started the run
        parentAgentUuid            text       -> agents.uuid  the agent that started the run
        parentChatUuid             text       -> chats.uuid  the chat in which an agent started the run
        parentMessageUuid          text       -> messages.uuid  the message in which an agent started the run
        isGroupParent              boolean    whether the run stands for a group
        nodeUuid                   text       the node
        nodeKind                   text{native|connector|tool|agent}  what the node calls
        nodeSlug                   text       slug of the node; not unique in a graph
        nodeActionSlug             text       the action of the node
        nodeConnectorUuid          text       -> connectors.uuid  the connector of the node
        nodeIntegrationSlug        text       the integration of the node
        nodeToolUuid               text       -> tools.uuid  the tool that the node called
        nodeAgentUuid              text       -> agents.uuid  the agent that the node called
        nodeReleaseUuid            text       the release that the node called
        nodeBatchUuid              text       -> batches.uuid  the batch that the node started
        nodeRunUuid                text       -> runs.uuid  the run that the node started
        nodeMessageUuid            text       -> messages.uuid  the message that the node's agent wrote
        nodeChildIndex             integer    the branch that was taken
        nodeWaitUntilFinished      boolean    whether the run waited for it
        nodeNextUuid               text       the node that came next
        executionIndex             integer!   position in the run
        executionStatus            text{pending|success|error}  how far it is
        executionErrorMessage      text       why it failed
        executionTitle             text       what it did, in short
        executionIconUrl           text       its icon
        executionCreditsUsedCount  number     credits of the provider; each execution costs 0.01 more
        executionStartedAt         timestamp  when it started
        executionUpdatedAt         timestamp  when it last moved
        executionFinishedAt        timestamp  when it ended
    """),
)

TRACES = Entity(
    table="traces",
    description="Lineages: all that one root run or one chat set off, with its credits.",
    group="orchestration",
    key=("uuid",),
    call=Call("POST", "orchestration/traces/list", "traces", page=100, counted=True),
    reading=Window(
        "startedAt",
        after="startedAfter",
        before="startedBefore",
        required=True,
        # A trace is added up from its spans: one that had ended goes on when its chat does.
        touched_by=("spans", "traceUuid"),
    ),
    follow=Follow(
        "status",
        final=("error", "degraded", "success"),
        ended="finishedAt",
        call=Call("GET", "orchestration/traces/{uuid}", "trace"),
        by="uuid",
        moves_with=("spans", "traceUuid"),
    ),
    evidence="server count",
    columns=columns("""
        uuid                 text!      the trace
        workspaceUuid        text       -> workspaces.uuid  its workspace
        workflowUuid         text       -> workflows.uuid  the workflow at its root
        rootRunUuid          text       -> runs.uuid  the run at its root; null where a chat is the root
        rootRecordId         text       the record of the root run
        rootRecordTitle      text~      title of that record
        rootUserUuid         text       -> users.uuid  who started it
        chatUuid             text       -> chats.uuid  the chat
        agentUuid            text       -> agents.uuid  the agent
        spansCount           integer    spans in all
        failedSpansCount     integer    spans that failed
        pendingSpansCount    integer    spans under way
        succeededSpansCount  integer    spans that succeeded
        creditsUsedCount     number     credits of its spans; a chat's trace covers many messages
        startedAt            timestamp  when it started
        finishedAt           timestamp  when it ended
        updatedAt            timestamp  when it last moved
        status               text{pending|error|degraded|success}  its state; degraded: a node failed and its fallback ran
    """),
)
