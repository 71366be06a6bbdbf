"""Orchestration: workflows with their releases, and the plays and tools that own them."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Gated, Snapshot

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
        folderUuid       text       -> folders.uuid  its folder
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
        userUuid            text       -> users.uuid  who made it
        modelUuid           text       -> models.uuid  the model that it watches
        segmentUuid         text       -> segments.uuid  the segment that it watches
        changeKinds         json       kinds of change that start a run
        runCreationRule     text{always|once|noConcurrency}  whether a record runs again
        name                text       its name
        description         text       what it is for
        schedule            json       when it looks
        isEnabled           boolean    whether it is on
        healthThreshold     number     share of failures that raises an alert
        healthAlertActions  json       what an alert does
        folderUuid          text       -> folders.uuid  its folder
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
        userUuid       text       -> users.uuid  who made it
        name           text       its name
        folderUuid     text       -> folders.uuid  its folder
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

WORKFLOW_RELEASES = Entity(
    table="workflow_releases",
    description="Versions of workflows: the graph of nodes behind a play or a tool.",
    group="orchestration",
    key=("uuid",),
    call=Call("GET", "orchestration/releases/list", "releases", page=100, send={"workflowUuid": "uuid"}),
    # A draft is edited in place, which the workflow does not show: the sweep finds it.
    reading=Gated(
        "workflows", ("updatedAt", "deployedRelease.deployedAt"), cursor="updatedAt", swept="whole", whole_lists=True
    ),
    evidence="pages until an empty one",
    columns=columns("""
        uuid           text!      the release
        parentUuid     text       -> workflow_releases.uuid  the release that it was made from
        workspaceUuid  text       -> workspaces.uuid  its workspace
        userUuid       text       -> users.uuid  who made it
        workflowUuid   text       -> workflows.uuid  its workflow
        description    text       what changed
        version        text       its version
        status         text{draft|deployed|archived}  its state
        templateSlug   text       the template that it came from
        nodes          json       the graph; slugs of nodes repeat inside of it, their uuids do not
        formFields     json       fields of its form
        testRecords    json       records to try it with
        deployedAt     timestamp  when it was deployed
        createdAt      timestamp  when it was created
        updatedAt      timestamp  when it last changed
        deletedAt      timestamp  when it was deleted
    """),
)
