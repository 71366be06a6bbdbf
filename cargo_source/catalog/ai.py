"""AI: agents, their releases, their chats and messages, and agent runs made out of these."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Derived, Entity, Follow, Gated, Recent, Snapshot

FINAL_MESSAGE_STATUSES = ("success", "error", "cancelled")
OPEN_MESSAGE_STATUSES = ("pending", "generating", "cancelling")

AGENTS = Entity(
    table="agents",
    description="Agents, each with the release that is deployed.",
    group="ai",
    key=("uuid",),
    call=Call("GET", "ai/agents/list", "agents"),
    reading=Snapshot(),
    evidence="whole list",
    dropped=(
        "deployedRelease.mcpClients[].authentication",
        "deployedRelease.capabilities[].config.env[].secretValue",
    ),
    columns=columns("""
        uuid             text!      the agent
        workspaceUuid    text       -> workspaces.uuid  its workspace
        userUuid         text       who made it
        name             text       its name
        icon             json       its icon
        description      text       what it is for
        triggers         json       what starts it
        deployedRelease  json       the release that answers
        folderUuid       text       its folder
        template         json       the template that it came from
        isReadOnly       boolean    whether it can be changed
        createdAt        timestamp  when it was created
        updatedAt        timestamp  when it last changed
        deletedAt        timestamp  when it was deleted
    """),
)

AGENT_RELEASES = Entity(
    table="agent_releases",
    description="Versions of agents: prompt, model, actions and evaluator.",
    group="ai",
    key=("uuid",),
    call=Call("GET", "ai/releases/list", "releases", page=100),
    reading=Snapshot(),
    evidence="pages until an empty one",
    dropped=("mcpClients[].authentication", "capabilities[].config.env[].secretValue"),
    columns=columns("""
        uuid               text!      the release
        parentUuid         text       -> agent_releases.uuid  the release that it was made from
        workspaceUuid      text       -> workspaces.uuid  its workspace
        userUuid           text       who made it
        agentUuid          text       -> agents.uuid  its agent
        description        text       what changed
        templateSlug       text       the template that it came from
        version            text       its version
        status             text       draft, deployed or archived
        actions            json       what the agent can do
        resources          json       what the agent can read
        capabilities       json       abilities that are switched on
        suggestedActions   json       actions that it suggests
        systemPrompt       text       the instructions
        withReasoning      boolean    whether the model reasons
        temperature        number     temperature of the model
        maxSteps           integer    steps that it may take for an answer
        integrationSlug    text       provider of the model
        connectorUuid      text       connector to that provider
        languageModelSlug  text       the model
        mcpClients         json       MCP servers that it uses, without their credentials
        output             json       shape of the answer
        heartbeat          json       how it wakes by itself
        evaluator          json       how its answers are scored
        deployedAt         timestamp  when it was deployed
        createdAt          timestamp  when it was created
        updatedAt          timestamp  when it last changed
    """),
)

CHATS = Entity(
    table="chats",
    description="Conversations with agents.",
    group="ai",
    key=("uuid",),
    call=Call("GET", "ai/chats/list", "chats", page=100),
    reading=Recent(
        after="createdAfter",
        before="createdBefore",
        signals=("updatedAt", "lastMessage.updatedAt"),
        open_filter={"messageStatuses": list(OPEN_MESSAGE_STATUSES)},
    ),
    evidence="pages until an empty one",
    keep=("uuid", "agentUuid", "releaseUuid", "traceUuid", "trigger", "updatedAt", "lastMessage"),
    columns=columns("""
        uuid              text!      the chat
        slug              text       its slug
        traceUuid         text       -> traces.uuid  its trace
        workspaceUuid     text       -> workspaces.uuid  its workspace
        userUuid          text       who chats
        agentUuid         text       -> agents.uuid  the agent
        releaseUuid       text       -> agent_releases.uuid  the release
        name              text       its name
        trigger           json       what started it
        heartbeat         json       how it wakes by itself
        evaluator         json       how its answers are scored
        activeStreamUuid  text       the answer being streamed
        creditsUsedCount  number     credits of its messages
        createdAt         timestamp  when it was created
        updatedAt         timestamp  when it last moved
        deletedAt         timestamp  when it was deleted
        lastMessage       json       its newest message, in short
    """),
)

MESSAGES = Entity(
    table="messages",
    description="Messages of chats: what people wrote and what agents answered, with usage and evaluation.",
    group="ai",
    key=("uuid",),
    call=Call("GET", "ai/messages/list", "messages", page=100, send={"chatUuid": "uuid"}),
    reading=Gated("chats", signals=("updatedAt", "lastMessage.updatedAt")),
    follow=Follow(
        "status",
        final=FINAL_MESSAGE_STATUSES,
        call=Call("GET", "ai/chats/{chatUuid}", "chat"),
        by="chatUuid",
    ),
    evidence="pages until an empty one",
    dropped=("mcpClients[].authentication", "capabilities[].config.env[].secretValue"),
    keep=(
        "uuid",
        "chatUuid",
        "agentUuid",
        "releaseUuid",
        "type",
        "status",
        "errorMessage",
        "usage",
        "evaluation",
        "languageModelSlug",
        "createdAt",
        "updatedAt",
        "finishedAt",
    ),
    columns=columns("""
        uuid                text!      the message
        workspaceUuid       text       -> workspaces.uuid  its workspace
        agentUuid           text       -> agents.uuid  the agent
        releaseUuid         text       -> agent_releases.uuid  the release that answered
        chatUuid            text       -> chats.uuid  its chat
        userUuid            text       who wrote it
        status              text       pending, generating, success, error, cancelling or cancelled
        errorMessage        text       why it failed
        type                text       user or assistant
        parts               json~      what was said, and the calls of tools
        actions             json       actions that were on offer
        resources           json       resources that were on offer
        capabilities        json       abilities that were switched on
        mcpClients          json       MCP servers that were on offer, without their credentials
        systemPrompt        text       the instructions
        withReasoning       boolean    whether the model reasoned
        temperature         number     temperature of the model
        maxSteps            integer    steps that it might take
        integrationSlug     text       provider of the model
        connectorUuid       text       connector to that provider
        languageModelSlug   text       the model
        evaluatedTools      json       tools as they were offered to the model
        usage               json       tokens by class and credits
        output              json       shape of the answer
        evaluation          json       score, verdict and reasons
        meta                json       free attributes
        suggestedActions    json       actions that it suggested
        temporalWorkflowId  text       its id in the workflow engine
        createdAt           timestamp  when it was created
        updatedAt           timestamp  when it last moved
        finishedAt          timestamp  when it ended
        deletedAt           timestamp  when it was deleted
    """),
)

AGENT_RUNS = Entity(
    table="agent_runs",
    description="One row for each answer of an agent: what started it, how it went and what it cost.",
    group="ai",
    key=("message_uuid",),
    reading=Derived(("messages", "chats", "runs")),
    evidence="as messages and runs",
    columns=columns("""
        messageUuid           text!      -> messages.uuid  the assistant's message
        agentUuid             text       -> agents.uuid  the agent
        releaseUuid           text       -> agent_releases.uuid  the release that answered
        chatUuid              text       -> chats.uuid  its chat
        traceUuid             text       -> traces.uuid  the chat's trace, which covers all its messages
        triggerType           text       what started the chat
        status                text       pending, generating, success, error, cancelling or cancelled
        errorMessage          text       why it failed
        createdAt             timestamp  when it was created
        finishedAt            timestamp  when it ended
        updatedAt             timestamp  when it last moved
        durationSeconds       number     seconds from created to finished
        tokensUsedCount       integer    tokens in all
        billableTokensCount   integer    tokens that are billed
        inputTokensCount      integer    tokens read
        outputTokensCount     integer    tokens written
        cacheReadTokensCount  integer    tokens read from the cache
        cacheWriteTokensCount integer    tokens written to the cache
        reasoningTokensCount  integer    tokens spent on reasoning
        creditsUsedCount      number     credits of this message; never add credits of traces to these
        languageModelSlug     text       the model
        evaluationScore       number     score of the answer
        evaluationPassed      boolean    whether it passed
        childRunsCount        integer    workflow runs that the message started
    """),
)
