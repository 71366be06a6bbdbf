"""Orchestration: workflows, the plays and tools that own them, and what they ran."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Follow, Snapshot, Unfolded, Window

WORKFLOWS = Entity(
    table="workflows",
    description="Graphs of nodes behind plays and tools. They have no name: join plays or tools.",
    group="orchestration",
    key=("uuid",),
    call=Call("GET", "orchestration/workflows/list", "workflows"),
    reading=Snapshot(),
    evidence="whole list",
    dropped=("deployedRelease.nodes[].config.env[].secretValue",),
    columns=columns("""
        uuid             text!      the workflow
        workspaceUuid    text       -> workspaces.uuid  its workspace
        nodes            json       nodes of all its releases
        createdAt        timestamp  when it was created
        updatedAt        timestamp  when it last changed
        deletedAt        timestamp  when it was deleted
        playUuid         text       -> plays.uuid  the play that owns it
        toolUuid         text       -> tools.uuid  the tool that owns it
        folderUuid       text       its folder
        template         json       the template that it came from
        lastBatch        json       its newest batch
        deployedRelease  json       the release that runs
    """),
)

PLAYS = Entity(
    table="plays",
    description="Automations that run a workflow when records of a segment change.",
    group="orchestration",
    key=("uuid",),
    call=Call("GET", "orchestration/plays/list", "plays"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid                text!      the play
        workspaceUuid       text       -> workspaces.uuid  its workspace
        workflowUuid        text       -> workflows.uuid  the workflow that it runs
        userUuid            text       who made it
        modelUuid           text       -> models.uuid  the model that it watches
        segmentUuid         text       -> segments.uuid  the segment that it watches
        changeKinds         json       kinds of change that start a run
        runCreationRule     text       always, once or noConcurrency
        name                text       its name
        description         text       what it is for
        schedule            json       when it looks
        isEnabled           boolean    whether it is on
        healthThreshold     number     share of failures that raises an alert
        healthAlertActions  json       what an alert does
        folderUuid          text       its folder
        createdAt           timestamp  when it was created
        updatedAt           timestamp  when it last changed
        deletedAt           timestamp  when it was deleted
    """),
)

TOOLS = Entity(
    table="tools",
    description="Workflows that people, agents and schedules can call.",
    group="orchestration",
    key=("uuid",),
    call=Call("GET", "orchestration/tools/list", "tools"),
    reading=Snapshot(),
    evidence="whole list",
    dropped=("publicForm.spam.captchaSecret",),
    columns=columns("""
        uuid           text!      the tool
        icon           json       its icon
        workspaceUuid  text       -> workspaces.uuid  its workspace
        workflowUuid   text       -> workflows.uuid  the workflow that it runs
        userUuid       text       who made it
        name           text       its name
        folderUuid     text       its folder
        creditsCost    json       credits that a call costs
        description    text       what it is for
        isReadOnly     boolean    whether it can be changed
        triggers       json       schedules that call it
        publicForm     json       its public form, without the captcha's secret
        createdAt      timestamp  when it was created
        updatedAt      timestamp  when it last changed
        deletedAt      timestamp  when it was deleted
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
        userUuid                   text       who started it
        releaseUuid                text       the release that ran
        nodes                      json       the nodes that ran, where no release is named
        batchUuid                  text       its batch
        traceUuid                  text       -> traces.uuid  its trace
        temporalWorkflowId         text       its id in the workflow engine
        recordId                   text       the record that went through
        recordTitle                text~      title of that record; may be the raw input
        contextS3Filename          text       where its context is kept
        computedConfigsS3Filename  text       where its computed settings are kept
        parentUuid                 text       -> runs.uuid  the run that started it
        parentNodeUuid             text       the node that started it
        parentBatchUuid            text       the batch of the run that started it
        parentAgentUuid            text       -> agents.uuid  the agent that started it
        parentChatUuid             text       -> chats.uuid  the chat in which an agent started it
        parentMessageUuid          text       -> messages.uuid  the message in which an agent started it
        isGroupParent              boolean    whether it stands for a group
        status                     text       idle, pending, running, success, error, cancelling, cancelled or skipped
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
        nodeKind              text       native, connector, tool or agent
        nodeActionSlug        text       the action of the node
        nodeConnectorUuid     text       the connector of the node
        nodeIntegrationSlug   text       the integration of the node
        nodeToolUuid          text       -> tools.uuid  the tool that the node called
        nodeAgentUuid         text       -> agents.uuid  the agent that the node called
        nodeReleaseUuid       text       the release that the node called
        nodeBatchUuid         text       the batch that the node started
        nodeRunUuid           text       -> runs.uuid  the run that the node started
        nodeMessageUuid       text       -> messages.uuid  the message that the node's agent wrote
        nodeChildIndex        integer    the branch that was taken
        nextNodeUuid          text       the node that came next
        status                text       pending, success or error
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
        call=Call("POST", "orchestration/spans/list", "spans", page=100, counted=True, send={"runUuid": "runUuid"}),
        by="runUuid",
    ),
    evidence="server count",
    keep=("traceUuid",),
    columns=columns("""
        workspaceUuid              text       -> workspaces.uuid  its workspace
        workflowUuid               text       -> workflows.uuid  the workflow that ran
        userUuid                   text       who started the run
        batchUuid                  text       the batch of the run
        traceUuid                  text       -> traces.uuid  the trace
        recordId                   text       the record that went through
        recordTitle                text~      title of that record; may be the raw input
        runUuid                    text!      -> runs.uuid  the run
        runContextS3Filename       text       where the run's context is kept
        runComputedConfigsS3Filename text     where the run's computed settings are kept
        parentRunUuid              text       -> runs.uuid  the run that started the run
        parentNodeUuid             text       the node that started the run
        parentBatchUuid            text       the batch of the run that started the run
        parentAgentUuid            text       -> agents.uuid  the agent that started the run
        parentChatUuid             text       -> chats.uuid  the chat in which an agent started the run
        parentMessageUuid          text       -> messages.uuid  the message in which an agent started the run
        isGroupParent              boolean    whether the run stands for a group
        nodeUuid                   text       the node
        nodeKind                   text       native, connector, tool or agent
        nodeSlug                   text       slug of the node; not unique in a graph
        nodeActionSlug             text       the action of the node
        nodeConnectorUuid          text       the connector of the node
        nodeIntegrationSlug        text       the integration of the node
        nodeToolUuid               text       -> tools.uuid  the tool that the node called
        nodeAgentUuid              text       -> agents.uuid  the agent that the node called
        nodeReleaseUuid            text       the release that the node called
        nodeBatchUuid              text       the batch that the node started
        nodeRunUuid                text       -> runs.uuid  the run that the node started
        nodeMessageUuid            text       -> messages.uuid  the message that the node's agent wrote
        nodeChildIndex             integer    the branch that was taken
        nodeWaitUntilFinished      boolean    whether the run waited for it
        nodeNextUuid               text       the node that came next
        executionIndex             integer!   position in the run
        executionStatus            text       pending, success or error
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
        call=Call("GET", "orchestration/traces/{uuid}", "trace"),
        by="uuid",
    ),
    evidence="server count",
    columns=columns("""
        uuid                 text!      the trace
        workspaceUuid        text       -> workspaces.uuid  its workspace
        workflowUuid         text       -> workflows.uuid  the workflow at its root
        rootRunUuid          text       -> runs.uuid  the run at its root; null where a chat is the root
        rootRecordId         text       the record of the root run
        rootRecordTitle      text~      title of that record
        rootUserUuid         text       who started it
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
        status               text       pending, error, degraded (a fallback ran) or success
    """),
)
