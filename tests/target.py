"""A DuckDB database that syncs load into, compared cell by cell with what the sandbox itself holds.

The comparison knows the API and the tables' naming, and nothing of the connector's typing.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from dlt.common.normalizers.naming.snake_case import NamingConvention

from cargo_source.catalog import ENTITIES
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.source import cargo
from cargo_source.pull.sync import SyncReport, sync

NAMING = NamingConvention()
PERSONAL = {"record_title", "root_record_title", "parts"}
PERSONAL_OF = {
    "change_rows": {"title"},
    "memories": {"content"},
    "orchestration_records": {"title"},
    "warehouse_queries": {"query"},
}
SECRET = {"connectors": {"config"}, "users": {"webExtensionData"}, "invoices": {"url"}}
"""Fields that are a secret as a whole."""
ABSENT = object()

KEYS = {
    "columns": ("modelUuid", "kind", "slug"),
    "executions": ("runUuid", "index"),
    "spans": ("runUuid", "executionIndex"),
    "change_rows": ("changeUuid", "_kind", "_id"),
    "actions": ("integrationSlug", "actionSlug"),
    "extractors": ("integrationSlug", "extractorSlug"),
    "integrations": ("slug",),
    "orchestration_records": ("workflowUuid", "id"),
    "votes": ("userUuid", "messageUuid"),
    "memories": ("mem0Id",),
    "invoices": ("id",),
    "usage_metrics": ("date", "unit", "dimension", "slug", "groupBy"),
    "subscriptions": ("uuid", "snapshotDate"),
}
"""Keys of entities other than uuid, in the API's terms."""


@cache
def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Target:
    """One database with its state, and syncs into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "warehouse.duckdb"
        self._db: duckdb.DuckDBPyConnection | None = None

    def sync(self, box: Any, **options: Any) -> SyncReport:
        token, refresh = options.pop("token", box.token), options.pop("refresh", None)
        pipeline = self.pipeline()
        pipeline.refresh = refresh
        around = {name: options.pop(name) for name in ("publish", "max_minutes", "report") if name in options}
        return sync(pipeline, cargo(token=token, url=box.url, **options), **around)

    def pipeline(self) -> Any:
        return duckdb_pipeline(self.database, "cargo", self.folder / "state")

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One connection for all that is asked meanwhile: opening a file costs more than most questions."""
        if self._db is not None:
            yield self._db
            return
        with self.connected() as db:
            self._db = db
            try:
                yield db
            finally:
                self._db = None

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self.database)) as db:
            db.execute("SET TimeZone = 'UTC'")
            yield db

    def query(self, sql: str) -> list[tuple]:
        with self.opened() as db:
            return db.execute(sql).fetchall()

    def tables(self) -> set[str]:
        found = self.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'cargo'")
        return {name for (name,) in found if not name.startswith("_")}

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.opened() as db:
            found = db.execute(f'SELECT * FROM cargo."{table}"')
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def types(self, table: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in self.query(f'DESCRIBE cargo."{table}"')}


def same(cell: Any, value: Any, kind: str) -> bool:
    """Whether a cell of a table holds a value of the API."""
    if kind == "VARCHAR" and isinstance(value, str):
        return cell == value
    if value is ABSENT:
        return cell is None
    if kind == "JSON":
        return (None if cell is None else json.loads(cell)) == value
    if cell is None or value is None or value == {}:
        return cell is None and (value is None or value == {})
    if kind.startswith("TIMESTAMP"):
        return cell.astimezone(UTC) == datetime.fromisoformat(value).astimezone(UTC)
    if isinstance(value, bool) or isinstance(cell, bool):
        return cell is value
    if isinstance(value, int | float):
        return math.isclose(float(cell), float(value), rel_tol=0, abs_tol=0) and (
            not isinstance(cell, int) or cell == value
        )
    return cell == value


def differences(target: Target, box: Any, *, skip: set[str] = frozenset(), unmarked: bool = False) -> list[str]:
    """Everything in which tables differ from the sandbox's truth.

    Rows that Cargo has no more have to be marked, unless ``unmarked`` lets them be, as windows do.
    """
    found = []
    with target.opened():
        for table, entity in ENTITIES.items():
            if table not in skip and not (entity.on_request and table not in target.tables()):
                found += entity_differences(target, box, table, unmarked=unmarked)
        if "models" not in skip and "records" not in skip:
            for model in box.truth("models"):
                found += model_differences(target, box, model, unmarked=unmarked)
    return found


def entity_differences(target: Target, box: Any, table: str, *, unmarked: bool = False) -> list[str]:
    if table == "agent_runs":
        return agent_run_differences(target, box, unmarked=unmarked)
    if table == "segment_members":
        return segment_member_differences(target, box)
    truth = box.truth(table)
    if table == "change_rows":
        truth = [_change_row(row, box) for row in truth if row["_kind"] != "unchanged"]
        key = ("changeUuid", "kind", "recordId")
    else:
        key = KEYS.get(table, ("uuid",))
        truth = [{**row, **_added(table, row, box)} for row in truth]
    names = {field: snake(field) for row in truth for field in row if field not in SECRET.get(table, ())}
    rows = target.rows(table)
    landed = {tuple(_plain(row[snake(field)]) for field in key): row for row in rows}
    doubles = _doubles(table, rows, landed)
    if table == "subscriptions":
        # Each day keeps a row of its own, of which Cargo has today's.
        landed = {key: row for key, row in landed.items() if key[1] == box.world.now.date().isoformat()}
    wanted = {tuple(row[field] for field in key): row for row in truth}
    found = _keys(table, landed, wanted, unmarked=unmarked) + doubles
    types = target.types(table)
    personal = PERSONAL | PERSONAL_OF.get(table, set())
    assert not personal & types.keys() & set(names.values())
    names = {field: name for field, name in names.items() if name not in personal}
    for identity in landed.keys() & wanted.keys():
        for field, name in names.items():
            value = without_secrets(wanted[identity].get(field, ABSENT), field)
            if not same(landed[identity][name], value, types[name]):
                found.append(f"{table} {identity}: {name} is {landed[identity][name]!r}, not {value!r}")
        if landed[identity]["_cargo_extra"] is not None:
            found.append(f"{table} {identity}: something did not fit: {landed[identity]['_cargo_extra']}")
    return found


def model_differences(target: Target, box: Any, model: dict[str, Any], *, unmarked: bool = False) -> list[str]:
    (table,) = [name for uuid, name in target.query('SELECT uuid, "table" FROM cargo.models') if uuid == model["uuid"]]
    types = target.types(table)
    truth = box.truth_rows(model["uuid"])
    rows = target.rows(table)
    landed = {row["_id"]: row for row in rows}
    wanted = {row["_id"]: row for row in truth}
    found = _keys(table, landed, wanted, unmarked=unmarked) + _doubles(table, rows, landed)
    columns = column_of(types, sorted({field for row in truth for field in row}))
    for identity in landed.keys() & wanted.keys():
        for field, name in columns.items():
            if not same(landed[identity][name], wanted[identity][field], types[name]):
                found.append(
                    f"{table} {identity}: {name} is {landed[identity][name]!r}, not {wanted[identity][field]!r}"
                )
        if landed[identity]["_cargo_extra"] is not None:
            found.append(f"{table} {identity}: something did not fit: {landed[identity]['_cargo_extra']}")
    return found


def column_of(types: dict[str, str], fields: list[str]) -> dict[str, str]:
    """The column of each field of a model: snake_case; of those that fold alike, all but the exact one are marked."""
    plain = {field: NAMING.normalize_path(field) for field in fields}
    names = {}
    for field in fields:
        alone = sum(name == plain[field] for name in plain.values()) == 1
        mark = hashlib.sha256(field.encode()).hexdigest()[:6]
        names[field] = plain[field] if alone or field == plain[field] else f"{plain[field]}_{mark}"
        assert names[field] in types
    return names


def agent_run_differences(target: Target, box: Any, *, unmarked: bool = False) -> list[str]:
    """Agent runs, worked out from the truth of messages, chats and runs."""
    chats = {chat["uuid"]: chat for chat in box.truth("chats")}
    children: dict[str, int] = {}
    for run in box.truth("runs"):
        if run["parentMessageUuid"]:
            children[run["parentMessageUuid"]] = children.get(run["parentMessageUuid"], 0) + 1
    rows = target.rows("agent_runs")
    landed = {row["message_uuid"]: row for row in rows}
    answers = {row["uuid"]: row for row in box.truth("messages") if row["type"] == "assistant"}
    found = _keys("agent_runs", landed, answers, unmarked=unmarked) + _doubles("agent_runs", rows, landed)
    for uuid in landed.keys() & answers.keys():
        message, row = answers[uuid], landed[uuid]
        chat, usage, evaluation = (
            chats[message["chatUuid"]],
            message["usage"] or {},
            message["evaluation"] or {},
        )
        expected = {
            "agent_uuid": message["agentUuid"] or chat["agentUuid"],
            "chat_uuid": message["chatUuid"],
            "trace_uuid": chat["traceUuid"],
            "trigger_type": chat["trigger"]["type"],
            "status": message["status"],
            "credits_used_count": usage.get("creditsUsedCount"),
            "tokens_used_count": usage.get("tokensUsedCount"),
            "output_tokens_count": usage.get("outputTokensCount"),
            "evaluation_score": evaluation.get("score"),
            "evaluation_passed": evaluation.get("passed"),
            "child_runs_count": children.get(uuid, 0),
        }
        if message["finishedAt"]:
            seconds = datetime.fromisoformat(message["finishedAt"]) - datetime.fromisoformat(message["createdAt"])
            expected["duration_seconds"] = seconds.total_seconds()
        found += [
            f"agent_runs {uuid}: {name} is {row[name]!r}, not {value!r}"
            for name, value in expected.items()
            if row[name] != value
        ]
    return found


def segment_member_differences(target: Target, box: Any) -> list[str]:
    """Compare with stays that follow from who was inside at each evaluation, those included who stayed as they were."""
    rows_of: dict[str, list[dict[str, Any]]] = {}
    for row in box.truth("change_rows"):
        rows_of.setdefault(row["changeUuid"], []).append(row)
    models = {segment["uuid"]: segment["modelUuid"] for segment in box.truth("segments")}
    wanted, inside = {}, {}
    for change in sorted(box.truth("changes"), key=lambda change: change["createdAt"]):
        segment = change["segmentUuid"]
        now = {row["_id"] for row in rows_of.get(change["uuid"], ()) if row["_kind"] != "removed"}
        before = inside.setdefault(segment, {})
        for record in now - before.keys():
            before[record] = (segment, record, change["createdAt"])
            wanted[before[record]] = {"entered_change_uuid": change["uuid"], "left_at": None, "left_change_uuid": None}
        for record in before.keys() - now:
            wanted[before.pop(record)] |= {"left_at": change["createdAt"], "left_change_uuid": change["uuid"]}
    rows = target.rows("segment_members")
    landed = {(r["segment_uuid"], r["record_id"], _plain(r["entered_at"])): r for r in rows}
    found = _keys("segment_members", landed, wanted) + _doubles("segment_members", rows, landed)
    for key in landed.keys() & wanted.keys():
        row = {name: _plain(landed[key][name]) for name in (*wanted[key], "model_uuid")}
        expected = {**wanted[key], "model_uuid": models.get(key[0], row["model_uuid"])}
        if row != expected:
            found.append(f"segment_members {key}: {row}, not {expected}")
    return found


def without_secrets(value: Any, field: str) -> Any:
    """What may land of a value: the contract's secrets are left out."""
    if isinstance(value, list):
        return [without_secrets(item, field) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "encryption":
        return {name: item for name, item in value.items() if name != "value"}
    return {
        name: without_secrets(item, name)
        for name, item in value.items()
        if name not in {"captchaSecret", "webhookSecret", "secretValue"}
        and not (name == "authentication" and field == "mcpClients")
    }


def _added(table: str, row: dict[str, Any], box: Any) -> dict[str, Any]:
    """What a table adds to a row of the API."""
    if table == "subscriptions":
        return {"snapshotDate": box.world.now.date().isoformat()}
    return {"groupBy": row["groupBy"] or ""} if table == "usage_metrics" else {}


def _plain(value: Any) -> Any:
    """A part of a key as the API writes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def _change_row(row: dict[str, Any], box: Any) -> dict[str, Any]:
    change = box.world.tables["changes"][row["changeUuid"]]
    meta = {"_kind", "_id", "_title", "_time", "changeUuid"}
    return {
        "changeUuid": row["changeUuid"],
        "segmentUuid": change["segmentUuid"],
        "createdAt": change["createdAt"],
        "kind": row["_kind"],
        "recordId": row["_id"],
        "title": row["_title"],
        "time": row.get("_time"),
        "record": {name: value for name, value in row.items() if name not in meta},
    }


def _doubles(table: str, rows: list[dict], landed: dict) -> list[str]:
    if len(rows) == len(landed):
        return []
    return [f"{table}: {len(rows) - len(landed)} rows of {len(rows)} have the key of another"]


def _keys(table: str, landed: dict, wanted: dict, *, unmarked: bool = False) -> list[str]:
    """What is lacking, what Cargo has no more without a mark, and what it has although a mark says otherwise."""
    marked = {key for key, row in landed.items() if row["_cargo_deleted_at"] is not None}
    found = [f"{table}: {key} is missing" for key in wanted.keys() - landed.keys()]
    if not unmarked:
        found += [f"{table}: {key} is not in Cargo" for key in landed.keys() - wanted.keys() - marked]
    return found + [f"{table}: {key} is marked, and is in Cargo" for key in wanted.keys() & marked]
