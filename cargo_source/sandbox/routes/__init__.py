"""Every operation that the sandbox serves, by the groups of the API."""

from cargo_source.sandbox.operations import Operation
from cargo_source.sandbox.routes import (
    ai,
    batches,
    billing,
    column_writes,
    connection,
    content,
    model_writes,
    orchestration,
    record_writes,
    records,
    run_exports,
    runtime_query,
    segmentation,
    storage,
    warehouse,
    work_records,
    workspace,
)

OPERATIONS: tuple[Operation, ...] = (
    *workspace.OPERATIONS,
    *storage.OPERATIONS,
    *model_writes.OPERATIONS,
    *column_writes.OPERATIONS,
    *records.OPERATIONS,
    *record_writes.OPERATIONS,
    *segmentation.OPERATIONS,
    *batches.OPERATIONS,
    *work_records.OPERATIONS,
    *run_exports.OPERATIONS,
    *runtime_query.OPERATIONS,
    *orchestration.OPERATIONS,
    *ai.OPERATIONS,
    *connection.OPERATIONS,
    *content.OPERATIONS,
    *billing.OPERATIONS,
    *warehouse.OPERATIONS,
)
