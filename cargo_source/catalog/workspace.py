"""Workspace management: the workspace behind the token."""

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
        defaultRoleUuid                    text       role of new users
        allowedLoginProviders              json       ways to sign in
        ssoIdentifier                      text       identifier for single sign-on
        quotaBuckets                       json       quotas by name
    """),
)
