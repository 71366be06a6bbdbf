"""How a plan is made: the source is brought in, the model is read, both are compared. Nothing is sent."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from cargo_source.errors import BadSettings, DestinationRefused
from cargo_source.pull import sql
from cargo_source.pull.records import Model
from cargo_source.pull.session import Session, Watch
from cargo_source.pull.times import format_time
from cargo_source.push.batches import Incoming, LeftOut
from cargo_source.push.compare import MODES, PAIRED, Comparison, Mode
from cargo_source.push.door import incoming
from cargo_source.push.facts import Counts, Facts
from cargo_source.push.hooks import add_digests, hooked, mapped_key
from cargo_source.push.ledger import Ledger
from cargo_source.push.present import Meanwhile, Present
from cargo_source.push.radius import Touched, watchers
from cargo_source.push.room import asked
from cargo_source.push.staging import Taken, stage, taken
from cargo_source.push.store import PlanStore
from cargo_source.push.target import Columns, Mapped, Target

log = logging.getLogger("cargo_source")

NULLS = ("write", "skip", "error")
LEDGER_KEYS = ("hash", "clear")


@dataclass(frozen=True)
class Wish:
    """What somebody wants to push: how, by which key, which columns, and what else is allowed.

    ``columns`` lists the source's columns to push, or maps them to the model's. ``nulls`` says what a null in the
    source is: written, skipped as if it was not given, or an error. ``remove_untracked`` lets a mirror remove records
    that are not this ledger's own, ``try_dates`` lets dates be written to a native model, of which the first is read
    back. ``only_rejected`` keeps those rows of the source that were rejected when they were last pushed.
    ``ledger_keys`` says how the ledger remembers keys: by their digest ("hash"), or as they are ("clear").
    """

    key: str
    mode: Mode = "upsert"
    columns: Columns = None
    nulls: str = "write"
    allow_connector_models: bool = False
    remove_untracked: bool = False
    try_dates: bool = False
    only_rejected: bool = False
    ledger_keys: str = "hash"

    def __post_init__(self) -> None:
        if not self.key:
            raise BadSettings("key: name the column that rows are told apart by")
        if self.ledger_keys not in LEDGER_KEYS:
            raise BadSettings(f"ledger_keys: {self.ledger_keys!r} is not known; take one of {', '.join(LEDGER_KEYS)}")
        if self.mode not in MODES:
            raise BadSettings(f"mode: {self.mode!r} is not known; take one of {', '.join(MODES)}")
        if self.nulls not in NULLS:
            raise BadSettings(f"nulls: {self.nulls!r} is not known; take one of {', '.join(NULLS)}")


@dataclass
class Planning:
    """Makes a plan for a model. ``watch`` is told how many rows have come."""

    session: Session
    target: Target
    models: Sequence[Model]
    ledger: Ledger
    wish: Wish
    watch: Watch = lambda _what, _rows, _total: None
    notes: list[str] = field(default_factory=list)

    def plan(self, data: Any, database: Any = None) -> tuple[PlanStore, Facts]:
        """Make the plan. Raises what says that the settings, the source or the model are not as they should be."""
        self.target.check(allow_connector_models=self.wish.allow_connector_models)
        now, workspace = self.session.now, str(self.session.state.get("workspace"))
        came = incoming(data, database)
        if self.target.takes_ingest:
            self.target = hooked(self.target, came.schema, self.wish.mode)
        mapping, key, left = mapped(self.target, self.wish, came.schema.names)
        if left and self.wish.columns is None:
            self.notes.append(f"not pushed: {', '.join(left)}, which a load has added")
        self._check(mapping, key, workspace)
        columns = taken(came, mapping)
        store = PlanStore()
        try:
            place = next(place for place, each in enumerate(columns) if each.name == key)
            self.let_settle()
            comparison = self._comparison(store, [each.mapped for each in columns], place, workspace)
            bring_in = partial(self._bring_in, store.db, came, columns, place)
            found = self._compared(store, comparison, bring_in, came.left_out)
            facts = Facts(
                plan_id=uuid.uuid4().hex,
                made_at=format_time(now),
                workspace=workspace,
                model_uuid=self.target.model.uuid,
                model=self.target.label,
                mode=self.wish.mode,
                nulls=self.wish.nulls,
                key=key,
                columns={name: mapped.slug for name, mapped in mapping.items()},
                notes=tuple(self.notes),
                ledger_keys=self.wish.ledger_keys,
                allow_connector_models=self.wish.allow_connector_models,
                **found,
            )
            store.keep(facts)
        except BaseException:
            store.close()
            raise
        return store, facts

    def _check(self, mapping: Mapping[str, Mapped], key: str, workspace: str) -> None:
        dates = [mapped.slug for mapped in mapping.values() if mapped.column.type == "timestamp"]
        if dates and self.target.is_native and not self.wish.try_dates:
            raise BadSettings(
                f"{self.target.label}: Cargo may not keep dates that are written to a native model"
                f" ({', '.join(dates)}): push them into a column of texts, or say try_dates=True (--try-dates): one row"
                " is then written and read back before all others"
            )
        if self.wish.mode == "mirror" and self.wish.columns is None:
            last = self.ledger.last_columns(workspace, self.target.model.uuid, mapping[key].slug)
            if lost := sorted(last - {mapped.slug for mapped in mapping.values()}):
                raise BadSettings(
                    f"the source has no column for {', '.join(lost)} any more, which the last push wrote: name the"
                    " columns to push with columns=[...] (--columns) if that is meant"
                )

    def _bring_in(
        self,
        db: duckdb.DuckDBPyConnection,
        came: Incoming,
        columns: Sequence[Taken],
        place: int,
        check: Callable[[], object],
    ) -> None:
        """Write the source's rows into ``db``. ``check`` raises what makes it vain to go on."""

        def watch(rows: int) -> None:
            check()
            self.watch("source", rows, None)

        stage(db, came, columns, self.wish.nulls, watch, place)
        if self.wish.only_rejected:
            self._keep_rejected(db, place)
        if self.target.takes_ingest:
            add_digests(db, len(columns), place)

    def _keep_rejected(self, db: duckdb.DuckDBPyConnection, place: int) -> None:
        """Keep the rows that were rejected the last time: their keys are known by digest, or as they are."""
        known = self.ledger.rejected(str(self.session.state.get("workspace")), self.target.model.uuid)
        salt = self.session.pseudonym.reveal_salt()
        db.register("known", pa.table({"key": pa.array(known, pa.string())}))
        text = f"v{place}::VARCHAR"
        db.execute(
            f"DELETE FROM source WHERE coalesce({text} NOT IN (FROM known) AND sha256(? || {text}) NOT IN (FROM known),"
            " true)",
            [salt],
        )
        db.unregister("known")

    def unanswered(self) -> list[dict[str, Any]]:
        """Give the rows of earlier pushes of which nobody knows yet what became of them."""
        try:
            return self.ledger.unknown(str(self.session.state.get("workspace")), self.target.model.uuid)
        except DestinationRefused as refused:
            log.info("what became of rows without an answer is found by another push: %s", refused)
            return []

    def let_settle(self) -> None:
        """Wait for what an earlier push has sent last, if that was never answered."""
        self.ledger.let_settle(self.target.model.uuid, self.session.sleep)

    def _settle(self, db: duckdb.DuckDBPyConnection, comparison: Comparison) -> None:
        """Find what became of rows that an earlier push sent without an answer, and that need nothing now."""
        rows = self.unanswered()
        known = {name: pa.array([row[name] for row in rows], pa.string()) for name in ("key", "kind", "record_id")}
        db.register("known", pa.table(known))
        db.execute("CREATE TABLE settled (row BIGINT, id VARCHAR, key VARCHAR, kind VARCHAR)")
        if rows:
            text = f"v{comparison.key}::VARCHAR"
            keys = f"SELECT row, {text} AS key FROM source UNION ALL SELECT row, sha256(? || {text}) FROM source"
            db.execute(
                f"INSERT INTO settled SELECT s.row, p._id, k.key, k.kind FROM known k JOIN ({keys}) d ON d.key = k.key"
                f" JOIN source s ON s.row = d.row JOIN present p ON {comparison.match}"
                " ANTI JOIN changes c ON c.row = s.row ANTI JOIN refused r ON r.row = s.row"
                " WHERE k.kind <> 'remove'",
                [self.session.pseudonym.reveal_salt()],
            )
            db.execute(
                "INSERT INTO settled SELECT NULL, k.record_id, k.key, k.kind FROM known k"
                " ANTI JOIN present p ON p._id = k.record_id WHERE k.kind = 'remove'"
            )
        db.unregister("known")

    def _comparison(self, store: PlanStore, columns: list[Mapped], place: int, workspace: str) -> Comparison:
        db = store.db
        if self.target.takes_ingest:
            columns, place = [*columns, mapped_key()], len(columns)
        store.keep_columns(columns, place)
        tracked = None if self.wish.remove_untracked else "tracked"
        if self.wish.mode == "mirror" and tracked:
            ids = self.ledger.tracked(workspace, self.target.model.uuid, columns[place].slug)
            known = pa.table({"id": pa.array(ids, pa.string())})
            db.register("known", known)
            db.execute("CREATE TABLE tracked AS SELECT id FROM known")
            db.unregister("known")
        by_identity = self.target.is_identity(columns[place].slug)
        return Comparison(db, columns, place, self.wish.mode, self.wish.nulls, by_identity, tracked)

    def _compared(
        self, store: PlanStore, comparison: Comparison, bring_in: Meanwhile, left_out: LeftOut | None
    ) -> dict[str, Any]:
        watched = watchers(self.session, self.target.model, self.models, self.target.shape)
        columns = [mapped.column for mapped in comparison.columns]
        present = Present(self.session, self.target, watch=self.watch)
        # What comes from both sides comes side by side: each waits for something else.
        with present.view(store.db, "present", columns, watched.fields, bring_in) as picked:
            comparison.make("changes", "refused")
            counts = with_left_out(count(store, comparison), left_out)
            self._settle(store.db, comparison)
            if left_out is not None:
                comparison.keep_rest("rest")
            touched(store.db, comparison, sorted(watched.fields - {"_id"}))
            radius = watched.radius(Touched(store.db, "present", "after", "removed"))
        for table in ("after", "removed"):
            store.db.execute(f"DROP TABLE {table}")
        if self.wish.mode == "mirror":
            if comparison.unreadable_keys:
                self.notes.append("nothing is removed: the source has rows whose key cannot be read")
            elif counts.untracked:
                self.notes.append(
                    f"{counts.untracked:,} records are not in the source, and stay: they are not this ledger's own"
                    " (remove_untracked=True removes them too)"
                )
        changed = "SELECT unnest(changed) AS what FROM changes WHERE kind = 'update'"
        why = "SELECT column_name || ': ' || reason AS what FROM refused"
        return {
            "lane": picked.landing.lane,
            "counts": counts,
            "radius": radius,
            "cells": _counted(store.db, changed),
            "reasons": _counted(store.db, why),
        }


def mapped(target: Target, wish: Wish, names: Sequence[str]) -> tuple[dict[str, Mapped], str, list[str]]:
    """Find where each of the source's columns goes, its key, and what is left out of it. Raises BadSettings."""
    found, left = target.mapping(names, _with_key(wish.columns, wish.key, names), wish.key)
    return found, target.key_of(found, wish.key), left


def _with_key(columns: Columns, key: str, names: Sequence[str]) -> Columns:
    """Take the key along where only other columns were named."""
    if columns is None or key not in names or key in columns:
        return columns
    if isinstance(columns, Mapping):
        return columns if key in columns.values() else {key: key, **columns}
    return [key, *columns]


def _counted(db: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    found = db.execute(f"SELECT what, count(*) FROM ({query}) GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
    return {str(what): int(rows) for what, rows in found}


def count(store: PlanStore, comparison: Comparison) -> Counts:
    """Count what a comparison has found."""
    kinds = {str(k): int(n) for k, n in store.db.execute("SELECT kind, count(*) FROM changes GROUP BY 1").fetchall()}
    source, refused, known = store.count("source"), store.count("refused"), comparison.known
    creates, updates = kinds.get("create", 0), kinds.get("update", 0)
    matched = store.db.execute(f"SELECT count(*) FROM {PAIRED} ANTI JOIN refused USING (row)").fetchall()[0][0]
    untracked = 0
    if comparison.mode == "mirror" and comparison.tracked:
        others = f"FROM present p ANTI JOIN source s ON {comparison.match} ANTI JOIN tracked t ON p._id = t.id"
        untracked = store.db.execute(f"SELECT count(*) {others}").fetchall()[0][0]
    return Counts(
        source=source,
        target=store.count("present"),
        creates=creates,
        updates=updates,
        removes=kinds.get("remove", 0),
        unchanged=matched - updates,
        unmatched=source - refused - matched - creates,
        refused=refused,
        known=known,
        untracked=untracked,
    )


def with_left_out(counts: Counts, left_out: LeftOut | None) -> Counts:
    """Add the rows that were compared before."""
    if left_out is None:
        return counts
    return replace(
        counts,
        source=counts.source + left_out.known + left_out.unmatched,
        known=counts.known + left_out.known,
        unchanged=counts.unchanged + left_out.known,
        unmatched=counts.unmatched + left_out.unmatched,
    )


def touched(db: duckdb.DuckDBPyConnection, comparison: Comparison, fields: Sequence[str]) -> None:
    """Make the tables of rows as they would be afterwards, and of the records that would be gone."""
    places = {mapped.column.field: (place, mapped.slug) for place, mapped in enumerate(comparison.columns)}
    cells = []
    for name in fields:
        cell = f"p.{sql.name(name)}"
        if name in places:
            place, slug = places[name]
            cell = f"CASE WHEN list_contains(c.changed, {sql.text(slug)}) THEN s.v{place} ELSE {cell} END"
        cells.append(f"{cell} AS {sql.name(name)}")
    slugs = {mapped.slug: mapped.column.field for mapped in comparison.columns}
    renamed = "changed"
    if any(slug != name for slug, name in slugs.items()):
        pairs = ", ".join(f"{sql.text(slug)}: {sql.text(name)}" for slug, name in slugs.items())
        renamed = f"list_transform(changed, lambda x: (MAP {{{pairs}}})[x])"
    asked(
        db,
        f"CREATE TABLE after AS SELECT c.seq, c.id AS _id, {', '.join([*cells, f'{renamed} AS changed'])}"
        " FROM changes c JOIN source s ON c.row = s.row LEFT JOIN present p ON p._id = c.id",
    )
    db.execute("CREATE TABLE removed AS SELECT id AS _id FROM changes WHERE kind = 'remove'")
