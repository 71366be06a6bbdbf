"""Columns that a client adds to a model, changes and removes.

They come on top of what the model's extractor declares, so no write fills them: a custom column waits for the platform,
and the cells of one that is computed stay null, for nothing here works them out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.models.spec import SQL_TYPES
from cargo_source.sandbox.workspace.drafts import checked_slug, empty
from cargo_source.sandbox.workspace.modelling import recast
from cargo_source.sandbox.workspace.writing import Unwritable

if TYPE_CHECKING:
    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.models.spec import Col
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


class ColumnWriting:
    """Adds, changes and removes columns by their slug.

    Raises Unwritable with the reason, or with a text where none is documented.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, model: str, column: Wire) -> None:
        """Add a column that the model's extractor does not declare."""
        spec, slug = self._spec(model), checked_slug(column["slug"])
        added = empty(slug, column["type"], kind=column["kind"], shown=column)
        taken = {name.casefold() for col in spec.cols for name in (col.slug, col.name)}
        if taken & {slug.casefold(), added.name.casefold()}:
            raise Unwritable(reason="duplicateSlug")
        self._check(model, column)
        self._begin()
        self._world.reshape.add(spec, added)

    def update(self, model: str, column: Wire) -> None:
        """Put another definition in the place of a column's own; what its extractor declares keeps its type."""
        spec = self._spec(model)
        old = next((c for c in spec.cols if (c.slug, c.kind) == (column["slug"], column["kind"])), None)
        if old is None:
            raise Unwritable(reason="columnNotFound")
        is_retyped = old.type != column["type"]
        if old.kind == "original" and is_retyped:
            raise Unwritable(f"The type of column {old.slug} is what its extractor says")
        self._check(model, column)
        self._begin()
        new = replace(old, shown=column | ({"originalSlug": old.slug} if old.kind == "original" else {}))
        if is_retyped:
            new = replace(new, type=column["type"], big=False, nulls=0.0, moves=False)
            new = replace(new, sql=f"NULL::{SQL_TYPES[new.type]}")
        self._world.reshape.swap(spec, old, new, recast(old, new) if is_retyped else None)

    def remove(self, model: str, slug: str) -> None:
        """Take a column away that was added; what an extractor declares goes with the model's config."""
        spec = self._spec(model)
        found: list[Col] = [col for col in spec.cols if col.slug == slug]
        gone = next((col for col in found if col.kind != "original"), None)
        if gone is None and found:
            raise Unwritable(f"Column {slug} is declared by the model's extractor")
        if gone is None:
            raise Unwritable(reason="columnNotFound")
        self._begin()
        self._world.reshape.drop(spec, gone)

    def _spec(self, model: str) -> ModelSpec:
        return self._world.spec_of(self._world.modelling.living(model)["uuid"])

    def _begin(self) -> None:
        # Rows that do not show yet lie in a table of their own, which has the old columns.
        self._world.writing.settle(at_once=True)
        self._world.tick()

    def _check(self, model: str, column: Wire) -> None:
        """Refuse a column that rests on what is not there, or on the model itself."""
        match column["kind"]:
            case "computed":
                if column["expression"]["instructTo"] == "ai" and not column["expression"]["fromRecipe"]:
                    raise Unwritable(reason="aiExpressionNotAllowed")
            case "metric":
                self._check_ends(model, self._other_end(model, column), (), [column["aggregation"]["columnSlug"]])
            case "lookup":
                join = column["join"]
                theirs = [join["toColumnSlug"], column["extractColumnSlug"]]
                self._check_ends(model, join["toModelUuid"], [join["fromColumnSlug"]], theirs)

    def _other_end(self, model: str, column: Wire) -> str:
        """Give the model at the other end of a metric's relationship."""
        edge = self._world.tables["relationships"].get(column["relationshipUuid"])
        ends = [edge["fromModelUuid"], edge["toModelUuid"]] if edge else []
        if model not in ends:
            raise Unwritable(reason="invalidRelationship")
        ends.remove(model)
        return str(ends[0])

    def _check_ends(self, model: str, other: str, own: list[str] | tuple[()], theirs: list[str]) -> None:
        known = self._world.tables["models"].get(other)
        if model == other or known is None or known["deletedAt"]:
            raise Unwritable(reason="invalidRelationship")
        for uuid, slugs in ((model, own), (other, theirs)):
            names = {name for column in self._world.columns_of(uuid) for name in (column.name, column.slug)}
            if not names.issuperset(slugs):
                raise Unwritable(reason="invalidRelationship")
