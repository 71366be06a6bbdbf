"""How people change models while rows are in them: columns that come, go or change their type; models likewise.

A change of columns moves no row, so `_emitted_at` and `lastEmittedAt` stay; a model's `updatedAt` moves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.models.cells import text
from cargo_source.sandbox.models.spec import SQL_TYPES, Col, ModelSpec
from cargo_source.sandbox.moments import iso
from cargo_source.sandbox.workspace import storage
from cargo_source.sandbox.workspace.columns import column
from cargo_source.sandbox.workspace.stirring import remember_emission
from cargo_source.sandbox.workspace.warehouse import model_uuid, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


class Reshaping:
    """Changes models by the name `<dataset>.<slug>`.

    Raises ValueError where there is no such model or column, or where something else rests on it.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def add_column(self, model: str, slug: str, kind: str = "string", value: str | None = "new") -> None:
        """Add a column with the same value in every row, or with none."""
        spec = self._spec(model)
        if slug in {col.slug for col in spec.cols}:
            raise ValueError(f"{model} has a column {slug} already")
        self.add(spec, Col(slug, kind, f"{'NULL' if value is None else text(value)}::{SQL_TYPES[kind]}"))

    def add(self, spec: ModelSpec, added: Col) -> ModelSpec:
        """Add a column to a model, with the same cell in every row."""
        for table in self._tables(spec):
            self._run(f"ALTER TABLE {table} ADD COLUMN {quoted(added.name)} {added.sql_type}")
            self._run(f"UPDATE {table} SET {quoted(added.name)} = {added.sql}")
        return self._become(spec, replace(spec, cols=(*spec.cols, added)))

    def remove_column(self, model: str, slug: str) -> None:
        """Take a column away."""
        self.drop(self._spec(model), self._column(model, slug))

    def drop(self, spec: ModelSpec, gone: Col) -> ModelSpec:
        """Take a column of a model away."""
        for table in self._tables(spec):
            self._run(f"ALTER TABLE {table} DROP COLUMN {quoted(gone.name)}")
        return self._become(spec, replace(spec, cols=tuple(col for col in spec.cols if col is not gone)))

    def retype_column(self, model: str, slug: str, kind: str, sql: str) -> None:
        """Give a column another type; `sql` makes a cell out of the old one, in DuckDB's SQL."""
        spec, old = self._spec(model), self._column(model, slug)
        new = replace(old, type=kind, big=False, moves=False, nulls=0.0, sql=f"NULL::{SQL_TYPES[kind]}")
        self.swap(spec, old, new, sql)

    def swap(self, spec: ModelSpec, old: Col, new: Col, sql: str | None = None) -> ModelSpec:
        """Put a column of a model in the place of another of the same name; its cells stay, unless `sql` makes them."""
        for table in self._tables(spec) if sql else ():
            self._run(f"ALTER TABLE {table} ALTER {quoted(old.name)} TYPE {new.sql_type} USING {sql}")
        return self._become(spec, replace(spec, cols=tuple(new if col is old else col for col in spec.cols)))

    def rename_model(self, model: str, slug: str) -> None:
        """Give a model another slug; its uuid stays."""
        spec = self._unplayed(model)
        self._run(f"ALTER TABLE {self._world.warehouse.table(spec)} RENAME TO {quoted(slug)}")
        self._become(spec, replace(spec, slug=slug, origin=spec.key))

    def add_model(self, model: str, columns: Iterable[tuple[str, str]], rows: int) -> None:
        """Make a native or connector model in a dataset that is there, with an id column and some of these types."""
        dataset, _, slug = model.partition(".")
        cols = (
            Col("id", "string", f"{text(slug)} || '-' || i"),
            *(Col(name, kind, f"NULL::{SQL_TYPES[kind]}") for name, kind in columns),
        )
        # Another model than one of that name before it, so of another uuid.
        origin = f"{model} of {self._world.moment}"
        spec = ModelSpec(dataset, slug, slug.title(), "defineCustom", "id", "id", cols, origin=origin)
        world = self._world
        if dataset not in {row["slug"] for row in world.tables["datasets"].values()} or self._find(model):
            raise ValueError(f"{model}: there is no such dataset, or there is such a model")
        world.warehouse.make(spec)
        world.warehouse.add(spec, rows, world.moment, world.moment)
        world.remember_model(spec)
        world.tables["models"][model_uuid(world.seed, spec)] = storage.new_model(
            world.team, len(world.tables["models"]), spec, world.moment
        )
        remember_emission(world, spec, world.moment)
        world.revision += 1

    def remove_model(self, model: str) -> None:
        """Take a model away, with its rows, segments and relationships."""
        spec, tables = self._unplayed(model), self._world.tables
        for table in self._tables(spec):
            self._run(f"DROP TABLE {table}")
        gone = model_uuid(self._world.seed, spec)
        del tables["models"][gone]
        for name in ("segments", "relationships"):
            for uuid, row in list(tables[name].items()):
                if gone in {row.get("modelUuid"), row.get("fromModelUuid"), row.get("toModelUuid")}:
                    del tables[name][uuid]
        self._world.warehouse.forget(spec)
        self._world.revision += 1

    def _find(self, model: str) -> ModelSpec | None:
        specs = (self._world.spec_of(uuid) for uuid in self._world.tables["models"])
        return next((spec for spec in specs if f"{spec.dataset}.{spec.slug}" == model), None)

    def _spec(self, model: str) -> ModelSpec:
        if (spec := self._find(model)) is None:
            raise ValueError(f"there is no model {model}")
        return spec

    def _column(self, model: str, slug: str) -> Col:
        spec = self._spec(model)
        found = next((col for col in spec.cols if col.slug == slug and col.kind == "original"), None)
        if found is None or slug in {spec.id, spec.title, spec.time}:
            raise ValueError(f"{model} has no column {slug}, or cannot do without it")
        return found

    def _unplayed(self, model: str) -> ModelSpec:
        """Give a model that no play watches."""
        spec = self._spec(model)
        uuid = model_uuid(self._world.seed, spec)
        watching = sum(play["modelUuid"] == uuid for play in self._world.tables["plays"].values())
        if watching:
            raise ValueError(f"{watching} plays watch {model}")
        return spec

    def _tables(self, spec: ModelSpec) -> list[str]:
        return self._world.warehouse.tables_of(spec)

    def _become(self, before: ModelSpec, after: ModelSpec) -> ModelSpec:
        world = self._world
        world.remember_model(after)
        world.warehouse.specs[before.key] = after
        row = world.tables["models"][model_uuid(world.seed, after)]
        row |= {
            "slug": after.slug,
            "columns": [column(world.team, after, col) for col in after.cols if col.kind == "original"],
            "additionalColumns": [column(world.team, after, col) for col in after.cols if col.kind != "original"],
            "updatedAt": iso(world.moment),
        }
        world.revision += 1
        return after

    def _run(self, statement: str) -> None:
        self._world.db.execute(statement)
