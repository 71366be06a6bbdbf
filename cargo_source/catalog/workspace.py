"""Workspace management: the workspace behind the token, its people and its folders."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Snapshot

WORKSPACES = Entity(
    table="workspaces",
    description="The workspace that the token belongs to: one row.",
    group="workspaceManagement",
    key=("uuid",),
    call=Call("GET", "workspaceManagement/workspaces/current", "workspace"),
    reading=Snapshot(),
    evidence="one object",
    columns=columns("""
        uuid                               text!      the workspace
        name                               text       its name
        allowedEmailDomains                json       domains whose users may join
        syncs                              json       syncs that the workspace has set up
        temporalNamespace                  text       namespace of its workflows
        temporalTaskQueuePrefix            text       prefix of its task queues
        maxConcurrentRuns                  integer    workflow runs that may run at once
        openAiVectorStoreId                text       vector store of its files
        createdAt                          timestamp  when it was created
        updatedAt                          timestamp  when its settings last changed
        logoUrl                            text       its logo
        metadata                           json       free attributes
        chromeExtensionMasterAgentUuid     text       -> agents.uuid  agent that leads in the browser extension
        chromeExtensionAvailableAgentUuids json       agents that the browser extension offers
        defaultRoleUuid                    text       -> roles.uuid  role of new users
        allowedLoginProviders              json       ways to sign in
        ssoIdentifier                      text       identifier for single sign-on
        quotaBuckets                       json       quotas by name
    """),
)

USERS = Entity(
    table="users",
    description="Members of the workspace.",
    group="workspaceManagement",
    admin=True,
    key=("uuid",),
    call=Call("GET", "workspaceManagement/users/list", "users"),
    reading=Snapshot(),
    evidence="whole list",
    dropped=("webExtensionData",),
    columns=columns("""
        uuid           text!      the member
        email          text       their e-mail address
        firstName      text       their first name
        lastName       text       their last name
        picture        text       address of their picture
        lastSignInAt   timestamp  when they last signed in
        createdAt      timestamp  when they joined
        updatedAt      timestamp  when they last changed
        workspaceUuid  text       -> workspaces.uuid  the workspace
        permissions    json       permissions of their own
        role           json       their role
    """),
)

ROLES = Entity(
    table="roles",
    description="Sets of permissions that members have.",
    group="workspaceManagement",
    admin=True,
    key=("uuid",),
    call=Call("GET", "workspaceManagement/roles/list", "roles"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid           text!      the role
        workspaceUuid  text       -> workspaces.uuid  the workspace; absent for roles of the platform
        slug           text       its slug
        permissions    json       what it allows and denies
        createdAt      timestamp  when it was created
    """),
)

FOLDERS = Entity(
    table="folders",
    description="Folders of tools, plays, agents, files and whatever else the workspace sorts.",
    group="workspaceManagement",
    key=("uuid",),
    call=Call("GET", "workspaceManagement/folders/list", "folders"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid           text!      the folder
        parentUuid     text       -> folders.uuid  the folder around it
        kind           text{tool|play|agent|file|mcpServer|model|app|worker|alert}  what it holds
        workspaceUuid  text       -> workspaces.uuid  its workspace
        name           text       its name
        emojiSlug      text       its emoji
        isReadOnly     boolean    whether it can be changed
        createdAt      timestamp  when it was created
        updatedAt      timestamp  when it last changed
        deletedAt      timestamp  when it was deleted
    """),
)
