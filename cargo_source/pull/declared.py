"""Pages of an entity, typed from the very bytes that came, along with what is unfolded from its rows.

Each page is held against structs that are made from the catalogue and take nothing else. Where it fits, its rows stay
the text that they are, and DuckDB makes columns of many of them at once, beside whatever Python does. What does not
fit (a field that nobody declared, a value of another type) is read value by value by :mod:`cargo_source.pull.typed`,
which keeps it beside the cells. Both ways give the same cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from cargo_source.api import Reply
from cargo_source.catalog.columns import Column
from cargo_source.catalog.entity import Entity
from cargo_source.errors import UnexpectedShape
from cargo_source.pull import lines
from cargo_source.pull.pages import Page, Row
from cargo_source.pull.secrets import MAY_HOLD, unsuspicious
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import CHUNK_ROWS, Spool
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.typed import finished
from cargo_source.pull.unfolding import children_of, how_unfolded, unfolded, unfolded_cells


class Line(msgspec.Struct, frozen=True, gc=False):
    """A row that stays text; ``said`` is what others may ask of it by field. Its length is that of its text."""

    said: msgspec.Struct
    text: msgspec.Raw

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, field: str) -> Any:
        value = getattr(self.said, field)
        return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value

    def get(self, field: str) -> Any:
        """Give what is under a field; null and absent are alike."""
        return self[field] if hasattr(self.said, field) else None


Mapping.register(Line)


@dataclass(frozen=True)
class Typing:
    """How the rows of one table are typed: its columns that land, and the way of those that are not as declared."""

    columns: Sequence[Column]
    one_by_one: Callable[[Sequence[Row]], pa.Table]
    surprises: Surprises


class Declared:
    """Takes the rows of an entity and those inside of them; threads may share it."""

    def __init__(
        self,
        entity: Entity,
        typing: Mapping[str, Typing],
        run_id: str,
        pseudonym: Callable[[], Pseudonym],
        spool: Spool,
    ) -> None:
        self._entity, self._typing, self._run_id = entity, typing, run_id
        self._pseudonym, self._spool = pseudonym, spool
        self.children = children_of(entity.table)
        plain = entity.call is not None and _is_plain(entity) and all(map(_lies_in_one_list, self.children))
        self._misfits = 0 if plain else lines.MISFITS
        self._inside = {how_unfolded(child).fields[0]: child for child in self.children if plain}
        if plain:
            # Here, where no other thread does so too: msgspec keeps what it knows of a struct while it finds it out.
            items = {field: list[_row_of(child, _on_the_wire(child))] | None for field, child in self._inside.items()}  # type: ignore[misc] # made here
            envelope = entity.listed_by.envelope
            self._fitting = _pages_of(envelope, _row_of(entity, entity.columns, **items))
            self._texts = _pages_of(envelope, msgspec.Raw)

    def page(self, reply: Reply) -> Page | None:
        """Read a page of the entity's list whose rows are as declared; None where one is not."""
        if self._misfits >= lines.MISFITS:
            return None
        try:
            page = reply.decode(self._fitting)
        except UnexpectedShape:
            self._misfits += 1
            return None
        self._misfits = 0
        for row in page.rows:
            for field in self._inside:
                # It was looked at; the text has it.
                setattr(row, field, None)
        found: list[Any] = [*map(Line, page.rows, reply.decode(self._texts).rows)]
        return Page(found, page.count if self._entity.listed_by.counted else None)

    def typed(self, rows: Sequence[Any]) -> dict[str, list[pa.Table]]:
        """Type rows, in their order, and those inside of them, by table."""
        found: dict[str, list[pa.Table]] = {table: [] for table in self._typing}
        for as_dicts, group in groupby(rows, key=lambda row: isinstance(row, dict)):
            some = [*group]
            tables = None if as_dicts else self._by_duckdb([line.text for line in some])
            for table, more in (tables or self._one_by_one(some)).items():
                found[table] += more
        return found

    def _one_by_one(self, rows: Sequence[Any]) -> dict[str, list[pa.Table]]:
        opened = [row if isinstance(row, dict) else lines.opened(row.text) for row in rows]
        for child in self.children:
            opened = [_without_suspects(row, child) for row in opened]
        found = {self._entity.table: [self._typing[self._entity.table].one_by_one(opened)]}
        for child in self.children:
            inside = [item for row in opened for item in unfolded(row, child)]
            parts = (inside[start : start + CHUNK_ROWS] for start in range(0, len(inside), CHUNK_ROWS))
            found[child.table] = [self._typing[child.table].one_by_one(part) for part in parts]
        return found

    def _by_duckdb(self, rows: list[msgspec.Raw]) -> dict[str, list[pa.Table]] | None:
        """Type rows that fit; None where one of them is for the other way after all."""
        if len(rows) < lines.FEW:
            return None
        inside = {field: _on_the_wire(child) for field, child in self._inside.items()}
        cells = lines.read(self._spool, self._entity.table, rows, self._entity.columns, inside)
        if cells is None:
            return None
        by_field = {field: cells.column(field) for field in cells.column_names}
        tables = {self._entity.table: self._table(self._entity, by_field)}
        for child in self._inside.values():
            tables[child.table] = self._table(child, unfolded_cells(cells, child))
        found = {table: [made] for table, made in tables.items() if made is not None}
        return found if len(found) == len(tables) else None

    def _table(self, entity: Entity, cells: Mapping[str, pa.ChunkedArray]) -> pa.Table | None:
        typing = self._typing[entity.table]
        arrays = []
        for column in typing.columns:
            array = lines.array_of(column, cells[column.field], self._pseudonym())
            if array is None or (column.required and array.null_count) or self._may_hold(column, array):
                return None
            arrays.append(array)
        for column, array in zip(typing.columns, arrays, strict=True):
            if column.values and not column.pii:
                new = set(pc.unique(array).to_pylist()) - {None, *column.values}
                if new:
                    typing.surprises.values(column.name, new)
        return finished([*arrays, pa.nulls(len(arrays[0]), pa.string())], typing.columns, self._run_id)

    def _may_hold(self, column: Column, array: pa.ChunkedArray) -> bool:
        """Say whether a cell may hold a secret; where its items were declared, there is none among them."""
        if column.type != "json" or column.field in self._inside or column.pii:
            return False
        return bool(pc.any(pc.match_substring_regex(array, MAY_HOLD.pattern), min_count=0).as_py())


def _without_suspects(row: Row, child: Entity) -> Row:
    """Give a row in whose items nothing is left that nobody has declared and that is named like a secret."""
    found = {}
    for field in how_unfolded(child).fields:
        held = row.get(field)
        if isinstance(held, list) and any(isinstance(item, dict) and not item.keys() <= child.fields for item in held):
            found[field] = [_unsuspicious_item(item, child) if isinstance(item, dict) else item for item in held]
    return {**row, **found} if found else row


def _unsuspicious_item(item: Row, child: Entity) -> Row:
    unknown: Row = unsuspicious({name: value for name, value in item.items() if name not in child.fields})
    return {name: value for name, value in item.items() if name in child.fields or name in unknown} | unknown


def _is_plain(entity: Entity) -> bool:
    """Say whether rows land as they come: under the names that they have, with nothing taken out."""
    fields = [column.field for column in entity.columns]
    return not entity.dropped and not entity.aliases and lines.are_apart(fields)


def _lies_in_one_list(child: Entity) -> bool:
    return (
        len(how_unfolded(child).fields) == 1
        and _is_plain(child)
        and not any(column.type == "json" for column in child.columns)
    )


def _on_the_wire(child: Entity) -> list[Column]:
    """Give the columns of what is unfolded that stand in its items, and are not carried there."""
    how = how_unfolded(child)
    return [column for column in child.columns if column.field not in {*how.carry, how.position}]


def _row_of(entity: Entity, columns: Sequence[Column], **instead: Any) -> Any:
    """Make the struct that takes the rows of an entity, and nothing else."""
    fields = [(column.field, instead.get(column.field, lines.WIRE[column.type])) for column in columns]
    absent = [(field, kind, lines.NULL if kind is msgspec.Raw else None) for field, kind in fields]
    return msgspec.defstruct(entity.table, absent, forbid_unknown_fields=True, gc=False)


def _pages_of(envelope: str, row: Any) -> msgspec.json.Decoder[Any]:
    page = msgspec.defstruct("Page", [("rows", list[row]), ("count", int | None, None)], rename={"rows": envelope})
    return msgspec.json.Decoder(page)
