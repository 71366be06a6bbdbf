"""Tables in dlt's terms: their columns, their references, and what becomes of one whose columns changed in Cargo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.common.schema.typing import TDeleteInsertStrategyDict, TFileFormat, TTableReferenceInline, TWriteDisposition
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.common.storages.load_package import commit_load_package_state, load_package_state
from dlt.pipeline.pipeline import Pipeline

from cargo_source.catalog.columns import Column, Type
from cargo_source.pull.typed import DELETED_AT, OURS

DLT_TYPES: dict[Type, dict[str, Any]] = {
    "text": {"data_type": "text"},
    "integer": {"data_type": "bigint"},
    "decimal": {"data_type": "decimal", "precision": 38, "scale": 9},
    "number": {"data_type": "double"},
    "boolean": {"data_type": "bool"},
    "timestamp": {"data_type": "timestamp"},
    "json": {"data_type": "json"},
}

_OURS_BY_DLT: dict[str, Type] = {told["data_type"]: ours for ours, told in DLT_TYPES.items()}

MERGE: TDeleteInsertStrategyDict = {"disposition": "merge", "strategy": "delete-insert"}
"""Of dlt's strategies the one that stays exact when a load is killed and resumed (upsert doubles its rows then)."""

REPLACE: TWriteDisposition = "replace"
"""For a table that is not there yet: its rows need no merging. It takes a run that starts from the beginning after a
kill, for dlt would write the rows of a file twice that it had written before it could note that."""

WRITTEN_AS: dict[str, TFileFormat] = {
    # dlt would take csv, and make nulls of empty texts on the way.
    "postgres": "insert_values",
    # Columns of JSON are not loaded from parquet there.
    "bigquery": "jsonl",
    "filesystem": "parquet",
}
"""How rows go to destinations where dlt's own choice is not right, by kind. Elsewhere they mostly go as parquet."""


def kind_of(pipeline: Pipeline) -> str:
    """Name the kind of a pipeline's destination, as dlt does: duckdb, postgres; nothing where it has none."""
    # A pipeline that was made without one has none, whatever its type says.
    destination: Any = pipeline.destination
    return str(destination.destination_type).rpartition(".")[2] if destination else ""


def dlt_columns(
    columns: Sequence[Column], key: Sequence[str], *, hard: bool = False, merge_key: Sequence[str] = ()
) -> dict[str, Any]:
    """Give the columns of a table in dlt's terms, ours included.

    ``hard`` has a merge remove the rows that are marked as deleted. Rows that share their ``merge_key`` with one that
    is written are replaced together.
    """
    return {
        column.name: {
            "name": column.name,
            **DLT_TYPES[column.type],
            # As the files say, of keys too: else dlt would write every file anew. Keys were looked at before.
            "nullable": True,
            "description": column.description + (f" ({', '.join(column.values)})" if column.values else ""),
            **({"primary_key": True} if column.name in key else {}),
            **({"merge_key": True} if column.name in merge_key else {}),
            # Said either way: dlt remembers the hint of an earlier sync.
            **({"hard_delete": hard} if column.name == DELETED_AT else {}),
        }
        for column in (*columns, *OURS)
    }


def type_of(column: Mapping[str, Any]) -> Type:
    """Give our type of a column of dlt's; one that is none of ours is text."""
    return _OURS_BY_DLT.get(str(column.get("data_type")), "text")


def known_columns(table: str, *, hard: bool) -> dict[str, Any]:
    """Give the columns that the running source knows of ``table``, in dlt's terms."""
    known = dlt.current.source_schema().tables.get(table, {}).get("columns", {})
    return {**dict(known), **{column.name: dlt_columns((), (), hard=hard)[column.name] for column in OURS}}


def references(columns: Sequence[Column]) -> list[TTableReferenceInline]:
    """Give the references of a table in dlt's terms; of several to one table dlt keeps one, so the first is given."""
    found: dict[str, TTableReferenceInline] = {}
    for column in columns:
        if column.references and column.references[0] not in found:
            table, name = column.references
            found[table] = {"columns": [column.name], "referenced_table": table, "referenced_columns": [name]}
    return list(found.values())


@dataclass(frozen=True)
class Drift:
    """How the columns of a table differ from those that it had before, by name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in words; nothing where nothing differs."""
        parts = []
        if self.added:
            parts.append(f"new columns: {', '.join(self.added)}")
        if self.removed:
            parts.append(f"columns gone, their values stay until a row is written again: {', '.join(self.removed)}")
        if self.retyped:
            parts.append(f"columns of another type, so the table was loaded anew: {', '.join(self.retyped)}")
        return "; ".join(parts)


def drift_of(table: str, columns: Sequence[Column]) -> Drift:
    """Compare columns with those that the running source has for ``table`` already."""
    known = dlt.current.source_schema().tables.get(table, {}).get("columns", {})
    before = {name: column for name, column in known.items() if column.get("data_type") and not name.startswith("_dlt")}
    if not before:
        return Drift()
    now = {column.name: DLT_TYPES[column.type]["data_type"] for column in (*columns, *OURS)}
    return Drift(
        added=tuple(sorted(now.keys() - before.keys() - {column.name for column in OURS})),
        removed=tuple(sorted(before.keys() - now.keys())),
        retyped=tuple(sorted(n for n in now.keys() & before.keys() if now[n] != before[n].get("data_type"))),
    )


def start_anew(table: str) -> None:
    """Have the load that is being prepared drop ``table`` and make it anew from what is read now.

    A column cannot change its type under rows that are there: dlt would refuse this load, and every later one.
    """
    schema = dlt.current.source_schema()
    if table not in schema.tables:
        return
    dropped = schema.drop_tables([table])
    try:
        state = load_package_state()["state"]
    except CurrentLoadPackageStateNotAvailable:
        # Without a pipeline there is nothing to drop.
        return
    state.setdefault("dropped_tables", []).extend(dropped)
    commit_load_package_state()
