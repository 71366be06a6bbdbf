"""The rows of every model, in an in-memory DuckDB: one schema per dataset, one table per model."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from cargo_source.sandbox.identity import number_for, uuid_for
from cargo_source.sandbox.models import MODELS, ModelSpec
from cargo_source.sandbox.models.cells import DRAW_BITS, draw, iso_text, text
from cargo_source.sandbox.models.spec import Col
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE

HISTORY_DAYS = 120
"""How long before its start the workspace was created."""

SEPARATOR = "\x1f"

_DDL_TYPES = {
    "VARCHAR": "STRING",
    "DOUBLE": "FLOAT64",
    "BIGINT": "INT64",
    "TIMESTAMPTZ": "TIMESTAMP",
    "BOOLEAN": "BOOL",
    "JSON": "JSON",
    "DOUBLE[]": "ARRAY<FLOAT64>",
}


@dataclass(frozen=True)
class PhysicalColumn:
    """A column as it is in a model's table and in its rows; `kind` is meta for _id, _title and _emitted_at."""

    name: str
    type: str
    sql_type: str
    slug: str
    kind: str


def listed_ids(ids: Iterable[str]) -> str:
    """Give a SELECT of some ids. They are not a parameter: to bind one, DuckDB imports pandas, which takes a while."""
    return f"SELECT unnest(string_split({text(SEPARATOR.join(ids))}, chr(31)))"


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def columns_of(spec: ModelSpec) -> list[PhysicalColumn]:
    """Return the physical columns of a model, in the order of its table."""
    meta = [("_id", "string", "VARCHAR"), ("_title", "string", "VARCHAR"), ("_emitted_at", "date", "TIMESTAMPTZ")]
    return [
        *(PhysicalColumn(name, kind, sql, name, "meta") for name, kind, sql in meta[: 3 if spec.emits else 2]),
        *(PhysicalColumn(col.name, col.type, col.sql_type, col.slug, col.kind) for col in spec.cols),
    ]


def _wire_cell(column: PhysicalColumn) -> str:
    name = quoted(column.name)
    return f"{iso_text(name)} AS {name}" if column.sql_type == "TIMESTAMPTZ" else name


class Warehouse:
    """The store of all rows; it is told when things happen and never looks at a clock."""

    def __init__(self, seed: int) -> None:
        # One thread: small queries gain nothing from two, and rows keep one order on every machine.
        self.db = duckdb.connect(":memory:", config={"threads": 1})
        self.db.execute("SET TimeZone = 'UTC'")
        # Removed rows wait in a catalogue of their own, out of sight of the workspace's SQL.
        self.db.execute("ATTACH ':memory:' AS attic")
        self._seed = seed
        self.specs = {spec.key: spec for spec in MODELS}
        self._attics: set[str] = set()
        self._unseen: set[str] = set()
        self._next = dict.fromkeys(self.specs, 0)
        self._uncounted: list[tuple[str, str]] = []
        self._inserted: Counter[tuple[str, int]] = Counter()

    def table(self, spec: ModelSpec) -> str:
        """Return the quoted name of a model's table."""
        return f"{quoted(spec.dataset)}.{quoted(spec.slug)}"

    def _attic(self, spec: ModelSpec) -> str:
        return f"attic.main.{quoted(spec.key)}"

    def fill(self, companies: int, start: int) -> None:
        """Create every table and its first rows, emitted in the days before `start`."""
        for spec in list(self.specs.values()):
            self.make(spec)
            self._insert(spec, spec.rows_at(companies), _history(spec, start))

    def make(self, spec: ModelSpec) -> None:
        """Create the empty table of a model."""
        columns = ", ".join(f"{quoted(c.name)} {c.sql_type}" for c in columns_of(spec))
        self.db.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(spec.dataset)}")
        self.db.execute(f"CREATE TABLE {self.table(spec)} ({columns})")
        self.specs[spec.key] = spec
        self._next.setdefault(spec.key, 0)

    def forget(self, spec: ModelSpec) -> None:
        """Know nothing more of a model whose tables are gone."""
        del self.specs[spec.key]
        self._attics.discard(spec.key)

    def tables_of(self, spec: ModelSpec) -> list[str]:
        """Return a model's table, and the one where its removed rows wait, if there is one."""
        return [self.table(spec), *([self._attic(spec)] if spec.key in self._attics else [])]

    def add(self, spec: ModelSpec, count: int, low: int, high: int) -> None:
        """Insert new rows, emitted between two moments."""
        self._insert(spec, count, _between(low, high))

    def inserted(self) -> dict[tuple[str, int], int]:
        """Return how many rows were inserted, by model and by day since 1970; counted from how the rows were made."""
        while self._uncounted:
            key, rows = self._uncounted.pop(0)
            for day, count in self.db.execute(f"SELECT e // {DAY}, count(*) FROM ({rows}) GROUP BY 1").fetchall():
                self._inserted[key, int(day)] += count
        return self._inserted

    def _insert(self, spec: ModelSpec, count: int, emitted: str) -> None:
        first = self._next[spec.key]
        self._next[spec.key] = first + count
        if not count:
            return
        bits = _bits(f"'{self._seed}:{spec.key}:' || range")
        rows = (
            f"SELECT i, h, {emitted} AS e, s FROM (SELECT range AS i, '{self._seed}' AS s, {bits} AS h "
            f"FROM range({first}, {first + count}))"
        )
        self._uncounted.append((spec.key, rows))
        cells = ", ".join(f"{col.cell(place=True)} AS {quoted(col.name)}" for col in spec.cols)
        meta = [_text(spec, spec.id), _text(spec, spec.title)] + ["_emitted_at"] * spec.emits
        names = ", ".join(quoted(col.name) for col in spec.cols)
        self.db.execute(
            f"INSERT INTO {self.table(spec)} SELECT {', '.join(meta)}, {names} "
            f"FROM (SELECT make_timestamptz(e * 1000) AS _emitted_at, {cells} FROM ({rows}))"
        )

    def change(self, spec: ModelSpec, ids: Sequence[str], low: int, high: int, turn: str) -> None:
        """Draw the moving cells of some rows anew; they are emitted between two moments."""
        news = [f"{quoted(col.name)} = {col.cell(place=False)}" for col in spec.cols if col.moves]
        if spec.emits:
            news.append("_emitted_at = make_timestamptz(e * 1000)")
        if not ids or not news:
            return
        self._update(spec, news, f"SELECT k, h, {_between(low, high)} AS e FROM ({_lots(ids, turn)})")

    def _update(self, spec: ModelSpec, news: Sequence[str], picked: str) -> None:
        self.db.execute(
            f"UPDATE {self.written_to(spec)} AS t SET {', '.join(news)} FROM ({picked}) AS p WHERE t._id = p.k"
        )

    def remove(self, spec: ModelSpec, ids: Sequence[str]) -> None:
        """Take rows out; they are kept aside, for some come back."""
        if not ids:
            return
        chosen = f"WHERE _id IN ({listed_ids(ids)})"
        if spec.key not in self._attics:
            self._attics.add(spec.key)
            self.db.execute(f"CREATE TABLE {self._attic(spec)} AS FROM {self.table(spec)} LIMIT 0")
        self.db.execute(f"INSERT INTO {self._attic(spec)} FROM {self.table(spec)} {chosen}")
        self.db.execute(f"DELETE FROM {self.table(spec)} {chosen}")

    def restore(self, spec: ModelSpec, ids: Sequence[str], low: int, high: int, turn: str) -> None:
        """Put removed rows back under the same `_id`, changed and newly emitted."""
        self.put_back(spec, ids)
        self.change(spec, ids, low, high, turn)

    def put_back(self, spec: ModelSpec, ids: Sequence[str]) -> None:
        """Put removed rows back as they were."""
        if not ids:
            return
        chosen = f"WHERE _id IN ({listed_ids(ids)})"
        self.db.execute(f"INSERT INTO {self.table(spec)} FROM {self._attic(spec)} {chosen}")
        self.db.execute(f"DELETE FROM {self._attic(spec)} {chosen}")

    def write(self, spec: ModelSpec, rows: Sequence[dict[str, Any]], moment: int) -> None:
        """Insert rows that somebody wrote, by the slugs of the model's own columns."""
        if not rows:
            return
        cells = ", ".join(f"{_written_cell(col)} AS {quoted(col.name)}" for col in spec.cols)
        meta = [_text(spec, spec.id), _text(spec, spec.title)] + ["_emitted_at"] * spec.emits
        names = ", ".join(quoted(col.name) for col in spec.cols)
        self.db.execute(
            f"INSERT INTO {self.written_to(spec)} SELECT {', '.join(meta)}, {names} "
            f"FROM (SELECT make_timestamptz({moment} * 1000) AS _emitted_at, {cells} FROM ({_unnested(rows)}))"
        )
        self._inserted[spec.key, moment // DAY] += len(rows)

    def rewrite(self, spec: ModelSpec, rows: dict[str, dict[str, Any]], moment: int) -> None:
        """Change cells of rows that somebody wrote anew, by `_id` and slug."""
        if not rows:
            return
        named = {slug for row in rows.values() for slug in row}
        news = [
            f"{quoted(col.name)} = CASE WHEN json_exists(p.r, {_place(col)}) THEN {_written_cell(col)} "
            f"ELSE t.{quoted(col.name)} END"
            for col in spec.cols
            if col.kind == "original" and col.slug in named
        ]
        news += [f"_emitted_at = make_timestamptz({moment} * 1000)"] * spec.emits
        given = _unnested([{"k": key, "r": row} for key, row in rows.items()])
        picked = f"SELECT r ->> '$.k' AS k, r -> '$.r' AS r FROM ({given})"
        if news:
            self._update(spec, news, picked)
        title = f"SET _title = {_text(spec, spec.title)}"
        self.db.execute(f"UPDATE {self.written_to(spec)} {title} WHERE _id IN ({listed_ids(rows)})")

    def emit_again(self, spec: ModelSpec, moment: int) -> None:
        """Have every row be emitted once more, as it is."""
        if spec.emits:
            self.db.execute(f"UPDATE {self.table(spec)} SET _emitted_at = make_timestamptz({moment} * 1000)")

    def take_out(self, spec: ModelSpec, ids: Sequence[str]) -> None:
        """Take rows out because somebody said so."""
        if spec.key not in self._unseen:
            self.remove(spec, ids)
        elif ids:
            self.db.execute(f"DELETE FROM {self._aside(spec)} WHERE _id IN ({listed_ids(ids)})")

    def _aside(self, spec: ModelSpec) -> str:
        return f"attic.main.{quoted(f'unseen {spec.key}')}"

    def written_to(self, spec: ModelSpec) -> str:
        """Return the quoted name of the table that takes what is written."""
        return self._aside(spec) if spec.key in self._unseen else self.table(spec)

    def hide(self, spec: ModelSpec) -> None:
        """Let what is written from now on not show yet."""
        self._unseen.add(spec.key)
        self.db.execute(f"CREATE TABLE {self._aside(spec)} AS FROM {self.table(spec)}")

    def show(self, spec: ModelSpec) -> None:
        """Let all that was written show."""
        self._unseen.remove(spec.key)
        self.db.execute(f"DELETE FROM {self.table(spec)}")
        self.db.execute(f"INSERT INTO {self.table(spec)} FROM {self._aside(spec)}")
        self.db.execute(f"DROP TABLE {self._aside(spec)}")

    def take_number(self, spec: ModelSpec) -> int:
        """Return a number that no row of the model was made from, and none will be."""
        self._next[spec.key] += 1
        return self._next[spec.key] - 1

    def rows_by_id(self, spec: ModelSpec, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Return some rows as the API sends them, in the order of their ids: those too that do not show yet."""
        return self.wire_rows(spec, f"WHERE t._id IN ({listed_ids(ids)}) ORDER BY t._id", self.written_to(spec))

    def draw_ids(self, spec: ModelSpec, count: int, turn: str) -> list[str]:
        """Choose some rows by lot."""
        return [key for key, _ in self._lot(self.table(spec), count, turn)]

    def draw_titles(self, spec: ModelSpec, count: int, turn: str) -> list[tuple[str, str]]:
        """Choose some rows by lot and return their ids and titles."""
        return self._lot(self.table(spec), count, turn)

    def draw_removed(self, spec: ModelSpec, count: int, turn: str) -> list[str]:
        """Choose some of the removed rows by lot."""
        if spec.key not in self._attics:
            return []
        return [key for key, _ in self._lot(self._attic(spec), count, turn)]

    def _lot(self, table: str, count: int, turn: str) -> list[tuple[str, str]]:
        order = shuffled("rowid", turn)
        found = self.db.execute(f"SELECT _id, coalesce(_title, _id) FROM {table} ORDER BY {order}, rowid LIMIT {count}")
        return [(str(key), str(title)) for key, title in found.fetchall()]

    def count(self, spec: ModelSpec) -> int:
        """Count a model's rows."""
        return int(self._one(f"SELECT count(*) FROM {self.table(spec)}"))

    def last_emitted(self, spec: ModelSpec) -> str | None:
        """Return the newest `_emitted_at`, as the wire writes it."""
        value = self._one(f"SELECT {iso_text('max(_emitted_at)')} FROM {self.table(spec)}")
        return None if value is None else str(value)

    def _one(self, query: str) -> Any:
        row = self.db.execute(query).fetchone()
        return row[0] if row else None

    def wire_rows(self, spec: ModelSpec, tail: str = "", table: str = "") -> list[dict[str, Any]]:
        """Return rows as the API sends them; `tail` is SQL after FROM (the table's alias is `t`)."""
        columns = columns_of(spec)
        nested = [c.name for c in columns if c.sql_type == "JSON"]
        cells = ", ".join(_wire_cell(column) for column in columns)
        found = self.db.execute(f"SELECT {cells} FROM {table or self.table(spec)} AS t {tail}").fetchall()
        return [_unfolded(dict(zip((c.name for c in columns), row, strict=True)), nested) for row in found]

    def physical_name(self, spec: ModelSpec, workspace_uuid: str) -> str:
        """Return where a model's table is in BigQuery: project, dataset and table."""
        return f"cargo-sandbox.workspace_{workspace_uuid[:8]}.datasets_{spec.dataset}__models_{spec.slug}"

    def ddl(self, spec: ModelSpec, workspace_uuid: str) -> str:
        """Return the CREATE TABLE text in BigQuery's dialect."""
        place = self.physical_name(spec, workspace_uuid)
        columns = ",\n".join(f"  `{c.name}` {_DDL_TYPES[c.sql_type]}" for c in columns_of(spec))
        return f"CREATE TABLE `{place}` (\n{columns}\n)"


def _unnested(rows: Sequence[dict[str, Any]]) -> str:
    """Give a SELECT of rows as JSON, under `r`."""
    return f"SELECT unnest(from_json({text(json.dumps(rows))}, '[\"JSON\"]')) AS r"


def _place(col: Col) -> str:
    return text(f'$."{col.slug}"')


def _written_cell(col: Col) -> str:
    """Give the SQL of a cell of a row that was written, which stands in `r` under the column's slug."""
    if col.kind != "original":
        return f"NULL::{col.sql_type}"
    cell = f"json_extract(r, {_place(col)})"
    if col.sql_type == "JSON":
        return f"CASE WHEN json_type({cell}) <> 'NULL' THEN {cell} END"
    if col.sql_type.endswith("[]"):
        return f"CAST({cell} AS {col.sql_type})"
    return f"CAST(json_extract_string(r, {_place(col)}) AS {col.sql_type})"


def _unfolded(row: dict[str, Any], nested: Iterable[str]) -> dict[str, Any]:
    for name in nested:
        if row[name] is not None:
            row[name] = json.loads(row[name])
    return row


def _bits(source: str) -> str:
    return f"(md5_number_lower({source}) & 4294967295::UBIGINT)::BIGINT"


def _lots(ids: Sequence[str], turn: str) -> str:
    bits = _bits(f"k || ':{turn}'")
    return f"SELECT k, {bits} AS h FROM ({listed_ids(ids)}) AS u(k)"


def shuffled(place: str, turn: str) -> str:
    """Scatter row numbers evenly: an SQL expression that orders rows by lot, far cheaper than a digest of their ids."""
    mark = number_for("lot", turn)
    return f"((xor({place}, {mark & 0xFFFFF}) * {(mark >> 20 & 0x7FFFFFFF) | 1}) & 4294967295)"


def _between(low: int, high: int) -> str:
    return f"({low} + (({draw('emitted')} * {max(high - low, 1)}) >> {DRAW_BITS}))"


def _history(spec: ModelSpec, start: int) -> str:
    """Rows came at any moment, or in batches a few minutes past the hour; never before the workspace was made."""
    every = spec.sync_hours * HOUR
    moment = _between(start - HISTORY_DAYS * DAY + HOUR + 2 * every, start - MINUTE)
    return f"(({moment} - {every}) // {every} * {every} + {7 * MINUTE + 345})" if every else moment


def _text(spec: ModelSpec, slug: str) -> str:
    if slug == "_emitted_at":
        return iso_text("_emitted_at")
    col = next(col for col in spec.cols if col.slug == slug and col.kind == "original")
    return f"{quoted(col.name)}::VARCHAR"


def model_uuid(seed: int, spec: ModelSpec) -> str:
    """Return the uuid of a model in the workspace of a seed."""
    return uuid_for(seed, "model", spec.key)
