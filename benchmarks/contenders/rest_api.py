"""dlt's own rest_api source, as it comes (``defaults``) or told all that helps (``tuned``), for rows or for runs.

python rest_api.py URL FOLDER defaults|tuned|runs
"""

import os
import sys
from pathlib import Path
from typing import Any

TUNED = {
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__WORKERS": "2",
    "LOAD__WORKERS": "2",
    # So that there is something for two workers to share.
    "DATA_WRITER__FILE_MAX_ITEMS": "25000",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "25000",
    "EXTRACT__DATA_WRITER__DISABLE_COMPRESSION": "true",
}
TYPES = {"STRING": "text", "INT64": "bigint", "FLOAT64": "double", "BOOL": "bool", "TIMESTAMP": "timestamp"}
PAGES = {
    "type": "offset",
    "limit": 100,
    "offset_body_path": "offset",
    "limit_body_path": "limit",
    "total_path": None,
    "stop_after_empty_page": True,
}


def main(url: str, folder: str, how: str) -> None:
    """Load."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
    if how != "defaults":
        os.environ |= TUNED
    import dlt
    from dlt.sources.rest_api import rest_api_source

    destination = dlt.destinations.duckdb(str(Path(folder) / "warehouse.duckdb"))
    pipeline = dlt.pipeline("peer", destination=destination, dataset_name="cargo", pipelines_dir=f"{folder}/state")
    resources = _runs() if how == "runs" else [_rows(tuned=how == "tuned")]
    source = rest_api_source(
        {"client": {"base_url": f"{url}/v1/", "paginator": PAGES}, "resources": resources},
        name="peer",
        parallelized=how == "runs",
    )
    if how == "tuned":
        source.max_table_nesting = 0
    pipeline.run(source, **({} if how == "defaults" else {"loader_file_format": "parquet"}))


def _rows(*, tuned: bool) -> dict[str, Any]:
    from rows import COLUMNS
    from served import MODEL_UUID

    resource: dict[str, Any] = {
        "name": "crm__companies",
        "primary_key": "_id",
        "endpoint": {
            "path": "storage/records/list",
            "method": "POST",
            "json": {"modelUuid": MODEL_UUID},
            "data_selector": "records",
        },
    }
    if tuned:
        resource["columns"] = {c.name: {"data_type": TYPES.get(c.physical, "json")} for c in COLUMNS}
    return resource


def _runs() -> list[dict[str, Any]]:
    """Runs of each workflow; executions become a table of their own by the normaliser."""
    workflows: dict[str, Any] = {
        "name": "workflows",
        "endpoint": {"path": "orchestration/workflows/list", "data_selector": "workflows", "paginator": "single_page"},
        "selected": False,
    }
    times = {name: {"data_type": "timestamp"} for name in ("created_at", "updated_at", "finished_at")}
    runs: dict[str, Any] = {
        "name": "runs",
        "primary_key": "uuid",
        "max_table_nesting": 1,
        "columns": times,
        "endpoint": {
            "path": "orchestration/runs/list",
            "method": "POST",
            "json": {"workflowUuid": "{resources.workflows.uuid}"},
            "data_selector": "runs",
        },
    }
    return [workflows, runs]


if __name__ == "__main__":
    main(*sys.argv[1:])
