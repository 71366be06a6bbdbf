"""PyAirbyte: a declarative source, into its DuckDB cache.

python airbyte_source.py URL FOLDER
"""

import os
import sys
from typing import Any

from rows import COLUMNS
from served import MODEL_UUID

STREAM = "crm__companies"
TYPES = {"STRING": "string", "INT64": "integer", "FLOAT64": "number", "BOOL": "boolean", "TIMESTAMP": "string"}


def _property(name: str, kind: str, physical: str) -> dict[str, Any]:
    if physical == "JSON":
        return {"type": ["null", "object" if name == "address" else "array"], "additionalProperties": True}
    told = {"format": "date-time", "airbyte_type": "timestamp_with_timezone"} if kind == "date" else {}
    return {"type": ["null", TYPES[physical]], **told}


def manifest(url: str) -> dict[str, Any]:
    """Describe the source in Airbyte's own terms."""
    body = {"type": "RequestOption", "inject_into": "body_json"}
    stream = {
        "type": "DeclarativeStream",
        "name": STREAM,
        "primary_key": ["_id"],
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": {
                "type": "object",
                "properties": {c.name: _property(c.name, c.type, c.physical) for c in COLUMNS},
            },
        },
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {
                "type": "HttpRequester",
                "url_base": f"{url}/v1/",
                "path": "storage/records/list",
                "http_method": "POST",
                "request_body_json": {"modelUuid": MODEL_UUID},
            },
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["records"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": {**body, "field_name": "offset"},
                "page_size_option": {**body, "field_name": "limit"},
                "pagination_strategy": {"type": "OffsetIncrement", "page_size": 100},
            },
        },
    }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [STREAM]},
        "streams": [stream],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def main(url: str, folder: str) -> None:
    """Read into a cache."""
    os.environ |= {"DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"}
    import airbyte

    cache = airbyte.DuckDBCache(db_path=f"{folder}/warehouse.duckdb", schema_name="cargo")
    source = airbyte.get_source("source-peer", source_manifest=manifest(url), config={}, streams=[STREAM])
    source.read(cache=cache)


if __name__ == "__main__":
    main(*sys.argv[1:])
