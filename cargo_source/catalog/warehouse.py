"""The older warehouse interface: the log of queries that it answered."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Snapshot

WAREHOUSE_QUERIES = Entity(
    table="warehouse_queries",
    description="Queries that the workspace's warehouse answered.",
    group="systemOfRecordIntegration",
    key=("uuid",),
    call=Call("GET", "systemOfRecordIntegration/logs/list", "logs", page=100),
    reading=Snapshot(),
    evidence="pages until an empty one",
    on_request=True,
    columns=columns("""
        uuid                 text!      the query
        workspaceUuid        text       -> workspaces.uuid  its workspace
        systemOfRecordUuid   text       the warehouse
        query                text~      its text, which may hold data
        status               text{success|error}  how it ended
        processedBytesCount  integer    bytes that it read
        errorMessage         text       why it failed
        startedAt            timestamp  when it started
        finishedAt           timestamp  when it ended
        createdAt            timestamp  when it was logged
    """),
)
