"""What the methods of the vendor's client do, by hand: only what is named in reads.py is called.

A method that is in none of the tables is new in the client, and fails a test until it has found its place.
"""


def named(text):
    """Read lines such as `storage.model: create update` into names of methods."""
    lines = (line.split(":") for line in text.strip().splitlines())
    return {f"{area.strip()}.{name}" for area, names in lines for name in names.split()}


WRITES = named("""
    revenueOrganization.allocation: remove
    revenueOrganization.capacity: create remove update
    revenueOrganization.member: sync archive unarchive update
    revenueOrganization.territory: create remove update
    workspaceManagement.workspace: create update
    workspaceManagement.file: upload
    workspaceManagement.user: create remove update upsertPermission removePermission
    workspaceManagement.token: create update remove
    workspaceManagement.folder: create update remove
    workspaceManagement.report: create
    workspaceManagement.session: upsert
    userManagement.user: update
    segmentation.segment: create remove update
    billing.subscription: createSetupIntent updatePaymentMethod createPortalSession createStripeCreditsCheckoutSession
    billing.subscription: updatePlan updateTopup updateCreditsOverageBehaviors
    storage.column: create update remove reorder
    storage.model: create update refresh remove
    storage.relationship: set
    storage.run: create cancel
    storage.record: create createBulk update updateBulk remove removeBulk
    content.file: update remove upload
    content.library: create update remove
    connection.connector: create remove update
    connection.integration: completeOauth initiateOauth
    connection.customIntegration: create update remove
    context.runtime: write edit execute
    expression.favoriteRecipe: create delete
    expression.recipe: archive create createNewVersion
    systemOfRecordIntegration.systemOfRecord: create update remove migrate cutover
    observability.alert: create update remove
    orchestration.action: execute executeBatch
    orchestration.batch: create cancel
    orchestration.play: create update remove
    orchestration.tool: create update remove
    orchestration.draftRelease: update deploy
    orchestration.run: create cancel
    orchestration.record: cancel
    orchestration.node: execute
    hosting.app: create update remove
    hosting.worker: create update remove
    hosting.deployment: create promote cancel
    hosting.envVars: create update remove
    hosting.customDomain: attach refreshStatus detach
    domainManagement.domain: purchase refreshStatus setDnsRecords cancel
    ai.agent: create remove update
    ai.release: updateDraft deployDraft
    ai.chat: create remove update
    ai.message: create remove cancel
    ai.vote: upsert
    ai.document: create reset
    ai.mcpServer: create remove update
    ai.memory: remove update
""")

OUTSIDE = {
    "how the vendor's own screens start: one answer with what the lists give": {"getInitialisation"},
    "gives tokens in the clear, so that nothing of ours ever asks": named("workspaceManagement.token: all"),
    "payment details": named("billing.subscription: getCreditCard"),
    "helps somebody who is filling in a form": named("""
        workspaceManagement.file: listColumns
        storage.column: autocomplete
        storage.model: preview previewCount
        connection.connector: autocomplete getDynamicSchema getLanguageModels existsBySlug
        connection.integration: getDocumentation
        systemOfRecordIntegration.client: list getDocumentation
        observability.alert: preview
        orchestration.action: getOutputSchema
        orchestration.batch: preview
        orchestration.node: compute validate
        ai.mcpClient: connect
    """),
    "asks a language model or computes, and stores nothing": named("""
        expression.expression: evaluate generate
        ai.prompt: optimize evaluate generateJsonSchema
        ai.suggestedAction: generate
    """),
    "templates of the vendor, the same in every workspace": named("""
        orchestration.template: list get
        ai.template: list get
        expression.recipe: list get getLastVersion
    """),
    "the list gives the same objects": named("connection.customIntegration: get"),
    "how the warehouse is connected, with its credentials": named("""
        systemOfRecordIntegration.systemOfRecord: get all
        systemOfRecordIntegration.log: getMetrics
    """),
    "parts of the platform that the contract leaves out": named("""
        revenueOrganization.allocation: get list
        revenueOrganization.capacity: get all
        revenueOrganization.member: get all
        revenueOrganization.territory: get all
        context.repository: get
        context.runtime: browse read readBytes
        context.graph: get
        observability.alert: get list
        observability.event: list count
        hosting.app: list get
        hosting.worker: list get
        hosting.deployment: list count get getPromoted getBuildLogUrl getSourceArchiveUrl
        hosting.envVars: list
        hosting.customDomain: list get
        domainManagement.domain: search suggestions list get listDnsRecords
        ai.document: get list
    """),
}
"""Reads of the client that are no operation of the contract, by the reason."""

CONTRACT_ONLY = {
    ("GET", "/ai/files/list"): "the older family of content/files",
    ("POST", "/models/{}/records/ingest"): "for webhooks: it has an address of its own",
    ("POST", "/segmentation/segments/{}/download"): "a path of the published pages; the client has a shorter one",
}
"""Operations of the contract that the client does not have, with the reason."""
