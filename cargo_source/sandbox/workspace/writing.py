"""Rows that a client writes: created under ids that the server makes, updated and removed by id.

What a row may hold is checked before anything is written, so a refused call leaves the model as it was. What the
reference leaves open is a switch here: whether an update clears the columns that it does not name, and whether a native
model keeps the dates that it is given. It answers them with an empty object otherwise, and the cell stays null. Rows
may show some time after they were written; until then `isRefreshing` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.models.spec import Col
from cargo_source.sandbox.workspace.fitting import fits, fitted
from cargo_source.sandbox.workspace.reacting import Started, react
from cargo_source.sandbox.workspace.stirring import moved
from cargo_source.sandbox.workspace.warehouse import columns_of, model_uuid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

NATIVE = frozenset({"defineCustom", "defineAccount", "defineContact", "defineDeal"})
"""Extractors of models that are filled by hand; ids of their rows are made by the server."""
WRITABLE = frozenset({"hubspot", "salesforce"})
"""Integrations whose models take rows too, and pass them on."""
HOOK = "http"
"""The integration to which anybody may post."""
FIRST_NUMBER = 9_000_000_000
"""Ids that are numbers begin here: rows that came otherwise have smaller ones."""


class Unwritable(Exception):
    """A write that the model, one of its columns or the budget does not take: a `reason`, or else a text."""

    def __init__(self, text: str = "", *, reason: str = "") -> None:
        super().__init__(reason or text)
        self.text = text
        self.reason = reason


@dataclass(frozen=True)
class Written:
    """One row that was written: what was done, where, to which row, and which columns were named."""

    kind: str
    model: str
    id: str
    columns: tuple[str, ...]
    moment: int


@dataclass
class Writing:
    """Writes rows, and remembers what it wrote, in order.

    `left` is how many rows may still be stored before credits run out; None is no end. `clears` says whether an update
    clears what it does not name, `keeps_dates` whether native models take dates. `refused` holds values that no row
    may have, by column. Rows show `delay` seconds after the first write that does not show yet, in real time: that is
    what clients wait in. `started` are the runs that writes started, in order.
    """

    world: World
    left: int | None = None
    clears: bool = False
    keeps_dates: bool = False
    delay: float = 0.0
    refused: dict[str, set[Any]] = field(default_factory=dict)
    journal: list[Written] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    _reacted: int = 0
    _due: dict[str, float] = field(default_factory=dict)

    def create(self, model: str, rows: Sequence[Wire]) -> list[Wire]:
        """Store new rows and return them, in an order of the server's own."""
        spec = self._writable(model)
        for row in rows:
            self._check(spec, row)
            if spec.id in row and spec.extractor in NATIVE:
                raise Unwritable(f"Column {spec.id} is set by Cargo")
        self._spend(len(rows))
        moment = self._now()
        self._hide(spec)
        ids = [row.get(spec.id) or self._new_id(spec) for row in rows]
        kept = [{**self._kept(spec, row), spec.id: key} for row, key in zip(rows, ids, strict=True)]
        self.world.warehouse.write(spec, kept, moment)
        named = {str(key): row for key, row in zip(ids, rows, strict=True)}
        self._note("create", spec, named, moment)
        return self._answered(spec, named)

    def update(self, model: str, rows: Sequence[tuple[str, Wire]]) -> list[Wire]:
        """Change rows by id and return those that there are; an id that nobody has is passed over.

        The id wins over what the row says under the name of the id's column. Of two changes of one row the later wins.
        """
        spec = self._writable(model)
        for _, row in rows:
            self._check(spec, row)
        there = {row["_id"] for row in self.rows(model, [key for key, _ in rows])}
        absent = [column.slug for column in self._columns(spec) if column.slug != spec.id] if self.clears else []
        known: dict[str, Wire] = {}
        for key, row in rows:
            if key in there:
                known[key] = (known.get(key) or dict.fromkeys(absent)) | row
        for row in known.values():
            row.pop(spec.id, None)
        moment = self._now()
        self._hide(spec)
        self.world.warehouse.rewrite(spec, {key: self._kept(spec, row) for key, row in known.items()}, moment)
        self._note("update", spec, known, moment)
        return self._answered(spec, known)

    def remove(self, model: str, ids: Sequence[str]) -> None:
        """Take rows out by id; an id that nobody has is passed over."""
        spec = self._writable(model)
        there = [row["_id"] for row in self.rows(model, ids)]
        moment = self._now()
        self._hide(spec)
        self.world.warehouse.take_out(spec, there)
        self._note("remove", spec, {key: {} for key in there}, moment)

    def ingest(self, model: str, rows: Sequence[Wire]) -> None:
        """Append rows to a model that takes what is posted to it; keys that nobody has declared become columns.

        A value lands as its column's type says; one that does not fit that type is lost, as nobody says otherwise.
        """
        spec = self.world.spec_of(model)
        if spec.extractor != "listenHook" or self._integration(model) != HOOK:
            raise Unwritable("This model does not take rows by ingest")
        if any(spec.id in row for row in rows):
            raise Unwritable(f"Column {spec.id} is set by Cargo")
        spec = self._widened(spec, rows)
        columns = {column.slug: column for column in self._columns(spec)}
        moment = self._now()
        self._hide(spec)
        posted = [{name: fitted(columns[name], cell) for name, cell in row.items()} for row in rows]
        named = {str(self._new_id(spec)): row for row in posted}
        self.world.warehouse.write(spec, [{**row, spec.id: key} for key, row in named.items()], moment)
        self._note("ingest", spec, named, moment)

    def _widened(self, spec: ModelSpec, rows: Sequence[Wire]) -> ModelSpec:
        """Give a model a column for each key that it does not know; the warehouse takes some names for one."""
        known = {column.slug for column in self._columns(spec)}
        taken = {column.name.casefold() for column in columns_of(spec)}
        new = [*dict.fromkeys(name for row in rows for name in row if name not in known)]
        for name in new:
            if not name or name.casefold() in taken:
                raise Unwritable(f"Invalid column: {name}")
            taken.add(name.casefold())
        self.settle(at_once=True)
        for name in new:
            spec = self.world.reshape.add(spec, Col(name, "string", "NULL::VARCHAR"))
        return spec

    def is_pending(self, model: str | None = None) -> bool:
        """Say whether something was written, into a model or anywhere, that does not show yet."""
        return bool(self._due) if model is None else model in self._due

    def settle(self, *, at_once: bool = False) -> None:
        """Let what was written show where its time has come, or all of it."""
        for model, due in list(self._due.items()):
            if at_once or monotonic() >= due:
                del self._due[model]
                spec = self.world.spec_of(model)
                self.world.warehouse.show(spec)
                moved(self.world, spec, f"write {len(self.journal)}")

    def react(self) -> list[Started]:
        """Let what was written since the last time set off what it sets off; return the runs that it started.

        Time that passes does it too, first of all.
        """
        self.settle(at_once=True)
        models = {each.model for each in self.journal[self._reacted :]}
        if not models:
            return []
        found = react(self.world, models, f"write {len(self.journal)}")
        self._reacted = len(self.journal)
        self.started += found
        return found

    def rows(self, model: str, ids: Sequence[str]) -> list[Wire]:
        """Return rows by id as the API sends them, in the order of their ids."""
        return self.world.warehouse.rows_by_id(self.world.spec_of(model), ids)

    def _writable(self, model: str) -> ModelSpec:
        spec = self.world.spec_of(model)
        integration = self._integration(model)
        if spec.extractor not in NATIVE and integration not in WRITABLE:
            raise Unwritable(
                reason="integrationNotCompatible" if integration == HOOK else "incompatibleWithRecordAction"
            )
        return spec

    def _integration(self, model: str) -> str:
        """Say what a connector's model is connected to; a native one is to nothing."""
        connector = self.world.tables["models"][model]["connectorUuid"]
        return self.world.tables["connectors"][connector]["integrationSlug"] if connector else ""

    def _columns(self, spec: ModelSpec) -> list[Col]:
        """Return the columns that take values: those that the model itself declares."""
        return [column for column in spec.cols if column.kind == "original"]

    def _check(self, spec: ModelSpec, row: Wire) -> None:
        columns = {column.slug: column for column in self._columns(spec)}
        for name, cell in row.items():
            if name not in columns:
                raise Unwritable(f"Unknown column: {name}")
            if cell is not None and not fits(columns[name], cell):
                raise Unwritable(f"Invalid value for column {name}")
            if name in self.refused and cell in self.refused[name]:
                raise Unwritable(f"Value of column {name} was rejected")

    def _spend(self, rows: int) -> None:
        if self.left is not None:
            if rows > self.left:
                raise Unwritable(reason="notEnoughCredits")
            self.left -= rows

    def _now(self) -> int:
        # Writes do not share a millisecond, so that each shows in the model's time of the last one.
        self.world.tick()
        return self.world.moment

    def _hide(self, spec: ModelSpec) -> None:
        uuid = model_uuid(self.world.seed, spec)
        if self.delay and uuid not in self._due:
            self._due[uuid] = monotonic() + self.delay
            self.world.warehouse.hide(spec)

    def _new_id(self, spec: ModelSpec) -> str | int:
        count = self.world.warehouse.take_number(spec)
        number = next(column for column in spec.cols if column.slug == spec.id).type == "number"
        return FIRST_NUMBER + count if number else uuid_for(self.world.seed, "written", spec.key, count)

    def _note(self, kind: str, spec: ModelSpec, rows: dict[str, Wire], moment: int) -> None:
        uuid = model_uuid(self.world.seed, spec)
        self.journal += [Written(kind, uuid, key, tuple(row), moment) for key, row in rows.items()]
        if rows and uuid not in self._due:
            moved(self.world, spec, f"write {len(self.journal)}")

    def _lost(self, spec: ModelSpec, row: Wire) -> Wire:
        """Return the cells that the model does not keep, as an answer shows them."""
        if self.keeps_dates or spec.extractor not in NATIVE:
            return {}
        dates = {column.slug for column in spec.cols if column.type == "date"}
        return {name: {} for name, cell in row.items() if name in dates and cell is not None}

    def _kept(self, spec: ModelSpec, row: Wire) -> Wire:
        return row | dict.fromkeys(self._lost(spec, row))

    def _answered(self, spec: ModelSpec, named: dict[str, Wire]) -> list[Wire]:
        found = self.rows(model_uuid(self.world.seed, spec), [*named])
        stream = Stream(self.world.seed, "answer", len(self.journal))
        found.sort(key=lambda _: stream.whole(0, 2**40))
        return [row | self._lost(spec, named[row["_id"]]) for row in found]
