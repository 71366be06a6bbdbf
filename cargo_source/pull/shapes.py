"""What the table of a model looks like: its name, its columns and their types, the same for every lane.

The names in Cargo come from people (``companyName``, ``company_name``, ``Company Name``); warehouses fold them to one.
Every table and column gets a name of its own that does not depend on order or on what else was read.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cargo_source.catalog.columns import Column, Type
from cargo_source.pull.typed import OURS

Normalise = Callable[[str], str]
Row = dict[str, Any]

DIALECTS = {"bigquery": "bigquery", "snowflake": "snowflake", "postgres": "postgres", "redshift": "redshift"}
"""Kinds of warehouse, as ``ddl.language`` names them in lower case, and the SQL that they speak."""

META: dict[str, tuple[Type, str]] = {
    "_id": ("text", "identifier of the record"),
    "_title": ("text", "title of the record"),
    "_time": ("timestamp", "the record's own time"),
    "_emitted_at": ("timestamp", "when the record was last written into storage"),
    "_ingest_id": ("text", "identifier that the platform gave to an ingested record"),
}
"""Columns that the platform adds to the tables of models."""

TYPES: dict[str, Type] = {
    "string": "text",
    "number": "number",
    "boolean": "boolean",
    "date": "timestamp",
    "object": "json",
    "array": "json",
    "vector": "json",
    "any": "json",
}
"""Column types of Cargo; one that is not known lands as JSON."""


@dataclass(frozen=True)
class Shape:
    """The table of one model. Each column's ``field`` is its name in the API's rows and in SQL.

    ``stored`` is False where the workspace says that it keeps no table for the model, as before its first row.
    """

    uuid: str
    table: str
    reference: str
    columns: tuple[Column, ...]
    id_slug: str
    dialect: str | None
    description: str
    stored: bool = True
    left_out: frozenset[str] = frozenset()
    """Fields of columns that are known and do not land."""
    id_name: str = "_id"
    """What SQL calls the identifier, quoted where that is needed."""
    hides: Callable[[str], bool] = lambda _field: False
    """Says of a field that is not known whether nothing of it may be kept."""
    ddl: str | None = None
    """The warehouse's own CREATE TABLE, where it is told."""
    physical: frozenset[str] = frozenset()
    """Fields that it names."""

    @property
    def stored_fields(self) -> frozenset[str]:
        """The fields of columns that land and are in the table for sure."""
        return self.physical & {column.field for column in self.columns}

    @property
    def fields(self) -> frozenset[str]:
        """The fields that are known, landed or not."""
        return self.left_out | {column.field for column in self.columns}

    @property
    def has_emitted_at(self) -> bool:
        """Say whether rows tell when they were last written."""
        return any(column.field == "_emitted_at" for column in self.columns)


def table_names(
    models: Sequence[Row], datasets: Mapping[str, str], taken: Iterable[str], fold: Normalise
) -> dict[str, str]:
    """Name the table of each model (by uuid) ``<dataset>__<model>``.

    ``datasets`` maps uuids to slugs. A name that another model or an entity's table folds to as well gets a suffix
    from the model's uuid, on all sides: so the name of one does not depend on whether the other exists before it.
    """
    slugs = {m["uuid"]: (datasets.get(m["datasetUuid"], m["datasetUuid"]), m["slug"]) for m in models}
    # Folded once more: two names that are short enough may make a long one.
    plain = {uuid: fold("__".join(map(fold, pair))) for uuid, pair in slugs.items()}
    count = Counter(plain.values())
    count.update(list(taken))
    return {
        uuid: name if count[name] == 1 else fold(f"{name}_{uuid.replace('-', '')[:8]}") for uuid, name in plain.items()
    }


def column_names(fields: Sequence[str], fold: Normalise) -> dict[str, str]:
    """Name the column of each field; of fields that fold to one name, only the one that is spelled so keeps it."""
    ours = {column.name for column in OURS}
    count = Counter(fold(field) for field in fields)
    names = {}
    for field in fields:
        name = fold(field)
        alone = count[name] == 1 or field == name
        names[field] = (
            name if alone and name not in ours else fold(f"{name}_{hashlib.sha256(field.encode()).hexdigest()[:6]}")
        )
    return names


def shape_of(model: Row, dataset_slug: str, table: str, ddl: Row | None, fold: Normalise) -> Shape:
    """Put together the shape of a model's table from its definition and the warehouse's DDL (None: it is not told)."""
    language = str((ddl or {}).get("language") or "").lower()
    dialect = DIALECTS.get(language)
    physical = physical_columns((ddl or {}).get("ddl"), dialect)
    physical = _as_declared(physical, model)
    declared = _declared(model, set(physical))
    fields = [
        name
        for name in META
        if name == "_id" or name in physical or (not physical and name in {"_title", "_emitted_at"})
    ]
    fields += [field for field in declared if field not in fields]
    fields += [name for name in physical if name not in fields]
    names = column_names(fields, fold)
    columns = tuple(_column(field, names[field], declared.get(field), physical.get(field)) for field in fields)
    return Shape(
        uuid=model["uuid"],
        table=table,
        reference=_reference(dataset_slug, model["slug"], dialect),
        columns=columns,
        id_slug=str(model.get("idColumnSlug") or "_id"),
        dialect=dialect,
        description=str(model.get("description") or model.get("name") or model["slug"]),
        stored=ddl is None or bool(ddl.get("ddl")),
        ddl=(ddl or {}).get("ddl"),
        physical=frozenset(physical),
        id_name="_id" if "_id" in physical or not physical else _quoted(str(model.get("idColumnSlug")), dialect),
    )


def physical_columns(ddl: str | None, dialect: str | None) -> dict[str, Type]:
    """Read column names and types out of a CREATE TABLE statement; nothing where it cannot be read."""
    return dict(_physical_columns(ddl, dialect)) if ddl else {}


@lru_cache(maxsize=256)
def _physical_columns(ddl: str, dialect: str | None) -> dict[str, Type]:
    try:
        statement = sqlglot.parse_one(ddl, read=dialect)
    except SqlglotError:
        return {}
    return {column.name: _type_of(column.args.get("kind")) for column in statement.find_all(exp.ColumnDef)}


def _as_declared(physical: dict[str, Type], model: Row) -> dict[str, Type]:
    """Give physical columns the case in which they are declared: some warehouses write all names in capitals."""
    columns = [*(model.get("columns") or []), *(model.get("additionalColumns") or [])]
    slugs = [column["slug"] for column in columns]
    wanted = [*META, *slugs, *(f"{column.get('kind')}__{column['slug']}" for column in columns)]
    exact = {name.casefold(): name for name in wanted}
    return {
        name if name in wanted or name.casefold() not in exact else exact[name.casefold()]: kind
        for name, kind in physical.items()
    }


def _type_of(kind: exp.DataType | None) -> Type:
    if kind is None:
        return "json"
    if kind.is_type(*exp.DataType.INTEGER_TYPES):
        return "integer"
    if kind.is_type("decimal", "bigdecimal"):
        # Snowflake keeps integers as NUMBER(38, 0); with no scale at all the column may hold fractions.
        return "decimal"
    if kind.is_type(*exp.DataType.FLOAT_TYPES):
        return "number"
    if kind.is_type("boolean"):
        return "boolean"
    if kind.is_type(*exp.DataType.TEMPORAL_TYPES):
        return "timestamp"
    return "text" if kind.is_type(*exp.DataType.TEXT_TYPES) else "json"


def _declared(model: Row, physical: set[str]) -> dict[str, Row]:
    """Map the physical name of each declared column to its declaration."""
    found: dict[str, Row] = {}
    for column in [*(model.get("columns") or []), *(model.get("additionalColumns") or [])]:
        kind = column.get("kind") or "original"
        slug = column["slug"]
        found[slug if kind == "original" else _added_name(kind, slug, physical)] = column
    return found


def _added_name(kind: str, slug: str, physical: set[str]) -> str:
    """Find how an added column is called in rows; only custom__ is documented, so the DDL has the last word."""
    likely = f"{kind}__{slug}"
    if likely in physical or not physical:
        return likely
    return next(
        (name for name in sorted(physical) if name.endswith(f"__{slug}")),
        slug if slug in physical else likely,
    )


def _column(field: str, name: str, declared: Row | None, physical: Type | None) -> Column:
    if field in META:
        kind, description = META[field]
        return Column(name, field, kind, description, required=field == "_id")
    if declared is None:
        return Column(name, field, physical or "json", "found in the warehouse; not declared by the model")
    kind = TYPES.get(str(declared.get("type")), "json")
    if kind == "number" and physical in {"integer", "decimal"}:
        kind = physical
    return Column(name, field, kind, str(declared.get("description") or declared.get("label") or field))


def _reference(dataset: str, model: str, dialect: str | None) -> str:
    return f"{_quoted(dataset, dialect)}.{_quoted(model, dialect)}"


def _quoted(name: str, dialect: str | None) -> str:
    # The platform rewrites <dataset>.<model>; a quote is sent only where the name cannot do without one.
    if re.fullmatch(r"[A-Za-z_]\w*", name):
        return name
    return exp.to_identifier(name, quoted=True).sql(dialect=dialect)
