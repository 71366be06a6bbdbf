"""AI: agents, their releases, their chats and messages, and agent runs made out of these."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Derived, Entity, Follow, Gated, Recent, Snapshot, Testimony

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
        userUuid         text       -> users.uuid  who made it
        name             text       its name
        icon             json       its icon
        description      text       what it is for
        triggers         json       what starts it
        deployedRelease  json       the release that answers
        folderUuid       text       -> folders.uuid  its folder
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
    call=Call("GET", "ai/releases/list", "releases", page=100, send={"agentUuid": "uuid"}),
    # A draft is edited in place, which the agent does not show: the sweep finds it.
    reading=Gated(
        "agents", ("updatedAt", "deployedRelease.deployedAt"), cursor="updatedAt", swept="whole", whole_lists=True
    ),
    evidence="pages until an empty one",
    dropped=("mcpClients[].authentication", "capabilities[].config.env[].secretValue"),
    aliases={"tools": "actions"},
    columns=columns("""
        uuid               text!      the release
        parentUuid         text       -> agent_releases.uuid  the release that it was made from
        workspaceUuid      text       -> workspaces.uuid  its workspace
        userUuid           text       -> users.uuid  who made it
        agentUuid          text       -> agents.uuid  its agent
        description        text       what changed
        templateSlug       text       the template that it came from
        version            text       its version
        status             text{draft|deployed|archived}  its state
        actions            json       what the agent can do
        resources          json       what the agent can read
        capabilities       json       abilities that are switched on
        suggestedActions   json       actions that it suggests
        systemPrompt       text       the instructions
        withReasoning      boolean    whether the model reasons
        temperature        number     temperature of the model
        maxSteps           integer    steps that it may take for an answer
        integrationSlug    text       provider of the model
        connectorUuid      text       -> connectors.uuid  connector to that provider
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
        userUuid          text       -> users.uuid  who chats
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
    reading=Gated(
        "chats",
        signals=("updatedAt", "lastMessage.updatedAt"),
        whole_lists=True,
        testimony=Testimony(last="lastMessage", item=Call("GET", "ai/messages/{uuid}", "message")),
    ),
    follow=Follow(
        "status",
        final=FINAL_MESSAGE_STATUSES,
        ended="finishedAt",
        call=Call("GET", "ai/messages/list", "messages", page=100, send={"chatUuid": "chatUuid"}),
        by="chatUuid",
        moves_with=("chats", "uuid"),
    ),
    evidence="pages until an empty one, the chat's last message among them",
    dropped=("mcpClients[].authentication", "capabilities[].config.env[].secretValue"),
    aliases={"tools": "actions"},
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
        userUuid            text       -> users.uuid  who wrote it
        status              text{pending|generating|success|error|cancelling|cancelled}  its state
        errorMessage        text       why it failed
        type                text{user|assistant}  who speaks
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
        connectorUuid       text       -> connectors.uuid  connector to that provider
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
        status                text{pending|generating|success|error|cancelling|cancelled}  its state
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

VOTES = Entity(
    table="votes",
    description="What people think of an agent's answer: a thumb up or down.",
    group="ai",
    key=("user_uuid", "message_uuid"),
    call=Call("GET", "ai/votes/list", "votes", send={"chatUuid": "uuid"}),
    # A vote need not move its chat: the sweep asks the chats of the last weeks, and those that have votes.
    reading=Gated(
        "chats", ("updatedAt", "lastMessage.updatedAt"), cursor="updatedAt", swept="parents", whole_lists=True
    ),
    evidence="whole list",
    columns=columns("""
        workspaceUuid  text       -> workspaces.uuid  its workspace
        userUuid       text!      -> users.uuid  who voted
        chatUuid       text       -> chats.uuid  the chat
        messageUuid    text!      -> messages.uuid  the message
        isUpvoted      boolean    up or down
        updatedAt      timestamp  when it was cast or changed
    """),
)

MCP_SERVERS = Entity(
    table="mcp_servers",
    description="MCP servers that the workspace offers to other programs.",
    group="ai",
    key=("uuid",),
    call=Call("GET", "ai/mcpServers/list", "mcpServers"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid           text!      the server
        workspaceUuid  text       -> workspaces.uuid  its workspace
        userUuid       text       -> users.uuid  who made it
        name           text       its name
        description    text       what it is for
        actions        json       actions that it offers
        resources      json       resources that it offers
        folderUuid     text       -> folders.uuid  its folder
        templateSlug   text       the template that it came from
        isReadOnly     boolean    whether it can be changed
        createdAt      timestamp  when it was created
        updatedAt      timestamp  when it last changed
        deletedAt      timestamp  when it was deleted
    """),
)

MEMORIES = Entity(
    table="memories",
    description="What agents remember, of a person or for themselves.",
    group="ai",
    key=("mem0_id",),
    call=Call("GET", "ai/memories/list", "memories", send={"agentUuid": "uuid"}, fixed={"scope": "agent"}),
    # An agent remembers while it chats; whatever else may teach it something, the sweep finds.
    reading=Gated(
        "agents",
        ("updatedAt",),
        cursor="updatedAt",
        touched_by=("chats", "agentUuid"),
        swept="parents",
        also=Call("GET", "ai/memories/list", "memories", fixed={"scope": "user"}),
        whole_lists=True,
    ),
    evidence="whole list",
    columns=columns("""
        mem0Id         text!      the memory
        content        text~      what is remembered
        scope          text{user|agent}  whose memory it is
        userUuid       text       -> users.uuid  the person
        agentUuid      text       -> agents.uuid  the agent
        workspaceUuid  text       -> workspaces.uuid  its workspace
        createdAt      timestamp  when it was made
        updatedAt      timestamp  when it last changed
    """),
)
