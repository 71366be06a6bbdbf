"""Answers as the contract allows them at their barest and at their strangest: partial objects, nulls, unknown fields.

A small server of our own gives them, since the sandbox always sends everything.
"""

import json
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from cargo_source.catalog import ENTITIES

CONTRACT = yaml.safe_load((Path(__file__).parents[1] / "contract" / "openapi.yaml").read_text())
SCHEMAS = CONTRACT["components"]["schemas"]
WORKSPACE = "9d8f6f0e-6a1b-4c5e-8a52-6f9e1f0c2b11"


def bare(schema: dict, name: str) -> object:
    """The least that a schema allows: required fields only."""
    if "$ref" in schema:
        return bare(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]], name)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return bare(schema[choice][0], name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind if isinstance(kind, str) else kind[0]
    match kind:
        case "object":
            return {key: bare(schema["properties"][key], key) for key in schema.get("required", [])}
        case "array":
            return []
        case "string" if schema.get("format") == "uuid":
            return WORKSPACE if name == "workspaceUuid" else str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        case "string" if schema.get("format") == "date-time":
            return "2026-03-01T10:00:00.000Z"
        case "string":
            return name
        case "integer" | "number":
            return 1
        case "boolean":
            return True
    raise AssertionError(schema)


def complete_nulls(schema: dict, row: dict) -> dict:
    """The same row with every field that may be null sent as null."""
    nullable = {
        key: None
        for key, value in schema.get("properties", {}).items()
        if "null" in (value.get("type") or []) or {"type": "null"} in value.get("anyOf", [])
    }
    return {**nullable, **{key: value for key, value in row.items() if key not in nullable}}


def strange(row: dict) -> dict:
    """The same row with a field and a status that nobody has heard of."""
    odd = {key: "brandNewValue" for key in ("status", "kind", "type") if isinstance(row.get(key), str)}
    return {**row, **odd, "brandNewField": {"nested": [1, None]}}


def answers(change) -> dict[tuple[str, str], dict]:
    found = {}
    for path, operations in CONTRACT["paths"].items():
        for method, operation in operations.items():
            if method not in {"get", "post"}:
                continue
            content = operation["responses"].get("200", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            answer = {}
            for key, schema in content["schema"].get("properties", {}).items():
                item = schema.get("items", schema) if schema.get("type") == "array" else schema
                reference = item.get("$ref", "").rsplit("/", 1)[-1]
                row = bare(item, key)
                if reference in SCHEMAS and isinstance(row, dict):
                    row = change(SCHEMAS[reference], row)
                answer[key] = [row] if schema.get("type") == "array" else row
            found[(method.upper(), path)] = answer
    return found


CHANGES = {
    "partial": lambda _schema, row: row,
    "nulls": complete_nulls,
    "strange": lambda _schema, row: strange(row),
}


@pytest.fixture(params=CHANGES)
def odd_box(request):
    """A workspace whose answers are bare, full of nulls, or strange."""
    prepared = answers(CHANGES[request.param])

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            path, _, query = self.path.removeprefix("/v1").partition("?")
            offset = body.get("offset") or int((re.search(r"offset=(\d+)", query) or [0, 0])[1])
            key = next(
                (k for k in prepared if k[0] == self.command and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", k[1]), path)),
                None,
            )
            status, found = (404, {"errorMessage": "no"}) if key is None else (200, prepared[key])
            if path.startswith("/storage/query"):
                status, found = 400, {"reason": "clientNotFound"}
            if path.endswith("/ddl"):
                status, found = 400, {"reason": "failedToGetDdl"}
            if path == "/storage/records/list":
                found = {"records": [{"_id": "r1", "anything": 1}]}
            if path.endswith("/fetch"):
                # As many as the bare change counts.
                found = {"records": [{"_kind": kind, "_id": "r1"} for kind in ("added", "removed")], "columns": []}
            if offset:
                found = {name: value[offset:] if isinstance(value, list) else value for name, value in found.items()}
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", token="t", change=request.param)
        server.shutdown()


def test_everything_loads_whatever_the_contract_allows(odd_box, target):
    """Every table loads from the barest, the emptiest and the strangest answers; what is unknown is kept."""
    for _ in range(2):
        report = target.sync(odd_box)
        assert {outcome.status for outcome in report.outcomes} == {"complete"}
    counts = {
        table: target.query(f'SELECT count(*) FROM cargo."{table}"')[0][0]
        for table in target.tables() & ENTITIES.keys()
    }
    assert {table for table, entity in ENTITIES.items() if not entity.on_request} == counts.keys()
    # A bare message is no answer of an agent, a bare run has no executions, a bare model no columns.
    empty = {table for table, count in counts.items() if not count}
    assert empty <= {"agent_runs", "executions", "columns", "actions", "extractors", "usage_metrics"}
    if odd_box.change == "strange":
        for table in ("runs", "agents", "messages"):
            assert "brandNewField" in target.query(f"SELECT _cargo_extra FROM cargo.{table}")[0][0]
