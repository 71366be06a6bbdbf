"""Every operation that the sandbox serves, by the groups of the API."""

from cargo_source.sandbox.operations import Operation
from cargo_source.sandbox.routes import (
    ai,
    billing,
    connection,
    content,
    orchestration,
    records,
    segmentation,
    storage,
    warehouse,
    workspace,
)

OPERATIONS: tuple[Operation, ...] = (
    *workspace.OPERATIONS,
    *storage.OPERATIONS,
    *records.OPERATIONS,
    *segmentation.OPERATIONS,
    *orchestration.OPERATIONS,
    *ai.OPERATIONS,
    *connection.OPERATIONS,
    *content.OPERATIONS,
    *billing.OPERATIONS,
    *warehouse.OPERATIONS,
)
