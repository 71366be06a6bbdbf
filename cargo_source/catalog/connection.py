"""Connection: connectors to other systems, and the integrations that they are made from."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Snapshot, Unfolded

NATIVE = Call("GET", "connection/nativeIntegrations", "nativeIntegration")
"""Actions and extractors of the platform itself, which the list of integrations lacks."""

CONNECTORS = Entity(
    table="connectors",
    description="Connections to other systems; their settings hold credentials and never land.",
    group="connection",
    key=("uuid",),
    call=Call("GET", "connection/connectors/list", "connectors"),
    reading=Snapshot(),
    evidence="whole list",
    dropped=("config",),
    columns=columns("""
        uuid                  text!      the connector
        workspaceUuid         text       -> workspaces.uuid  its workspace
        userUuid              text       -> users.uuid  who made it
        name                  text       its name
        slug                  text       its slug, and that of its dataset
        rateLimit             json       how often it may ask
        cacheTtlMilliseconds  integer    how long its answers are kept
        integrationSlug       text       -> integrations.slug  the integration that it is made from
        isDefault             boolean    whether it is taken where none is named
        playsCount            integer    plays that use it
        toolsCount            integer    tools that use it
        modelsCount           integer    models that it fills
        useCredits            boolean    whether it runs on the platform's own account
        createdAt             timestamp  when it was created
        updatedAt             timestamp  when it last changed
        deletedAt             timestamp  when it was deleted
    """),
)

CUSTOM_INTEGRATIONS = Entity(
    table="custom_integrations",
    description="Integrations that the workspace has made itself.",
    group="connection",
    key=("uuid",),
    call=Call("GET", "connection/customIntegrations/list", "customIntegrations"),
    reading=Snapshot(),
    evidence="whole list",
    columns=columns("""
        uuid           text!      the integration
        workspaceUuid  text       -> workspaces.uuid  its workspace
        slug           text       its slug
        kind           text{external|worker}  where it runs
        baseUrl        text       its address
        workerUuid     text       the worker behind it
        createdAt      timestamp  when it was created
        updatedAt      timestamp  when it last changed
        deletedAt      timestamp  when it was deleted
    """),
)

INTEGRATIONS = Entity(
    table="integrations",
    description="The platform's catalogue of systems that a connector can be made for.",
    group="connection",
    key=("slug",),
    call=Call("GET", "connection/integrations/list", "integrations"),
    # Several megabytes that change with releases of the platform, not with the workspace.
    reading=Snapshot(every_hours=20),
    evidence="whole list",
    columns=columns("""
        slug               text!  the integration
        name               text   its name
        description        text   what it is
        icon               text   its icon
        color              text   its colour
        url                text   its home page
        category           text{engagement|marketing|sales|finance|analytics|freeform|success|support|enrichment|storage|custom}  its category
        subCategories      json   finer categories
        documentationPath  text   where it is described
        connector          json   settings that a connector takes
        autocompletes      json   settings that can be looked up
        actions            json   what it can do; unfolded in the table actions
        extractors         json   what it can read; unfolded in the table extractors
        dynamicSchemas     json   schemas that depend on settings
    """),
)

ACTIONS = Entity(
    table="actions",
    description="What nodes of a workflow can do, by integration; the platform's own are those of native.",
    group="connection",
    key=("integration_slug", "action_slug"),
    reading=Unfolded(
        "integrations",
        fields=("actions",),
        carry={"integrationSlug": "slug"},
        position="actionSlug",
        beside=NATIVE,
        beside_as={"slug": "native"},
    ),
    evidence="as integrations",
    columns=columns("""
        integrationSlug  text!    its integration, or native
        actionSlug       text!    the action
        name             text     its name
        description      text     what it does
        category         text{invisible|logic|storage|ai|sales|code}  its category; native actions only
        icon             text     its icon
        isSerialized     boolean  whether it runs one at a time
        config           json     settings that it takes
        meta             json     free attributes
        credits          json     what it costs
        rateLimits       json     how often it may run
        isRateLimited    boolean  whether there is a limit
        retry            json     how it is tried again
        executing        json     how it is executed
        caching          json     how its answers are kept
        children         json     branches that it opens
        output           json     what it answers
        childrenCount    integer  number of branches; native actions only
    """),
)

EXTRACTORS = Entity(
    table="extractors",
    description="What fills models, by integration; the platform's own are those of native.",
    group="connection",
    key=("integration_slug", "extractor_slug"),
    reading=Unfolded(
        "integrations",
        fields=("extractors",),
        carry={"integrationSlug": "slug"},
        position="extractorSlug",
        beside=NATIVE,
        beside_as={"slug": "native"},
    ),
    evidence="as integrations",
    columns=columns("""
        integrationSlug  text!  its integration, or native
        extractorSlug    text!  the extractor
        name             text   its name
        description      text   what it reads
        kind             text{file|query|record}  what it reads from
        icon             text   its icon
        category         text{unify|object}  what its models are for
        config           json   settings that it takes
        meta             json   free attributes
        columns          json   columns that it gives
        credits          json   what it costs
        rateLimits       json   how often it may run
        retry            json   how it is tried again
        fetching         json   how it reads
        unifications     json   how its records are unified
        mode             json   whether it fetches or is sent to
        preview          text{none|records|count}  what can be seen before it runs
    """),
)
