"""The columns by which segments know the rows of a model, and what becomes of each when a row is written."""

from dataclasses import dataclass
from typing import Literal

from cargo_source.pull.pages import Row
from cargo_source.pull.shapes import Shape

Fate = Literal["kept", "doubtful", "made", "stamped", "derived"]
"""What a write does to a column.

``kept``: it holds what is written, or else what it held. ``doubtful``: so it should, but what is written may be lost.
``made``: the server makes it when a row is created. ``stamped``: it holds the time of the write. ``derived``: the
platform computes it from who knows what.
"""


@dataclass(frozen=True)
class WatchedColumn:
    """A column: its field in rows, its type in Cargo, and what a write does to it."""

    field: str
    type: str
    fate: Fate
    place: int

    @property
    def before(self) -> str:
        """The SQL name of its value before the push."""
        return f"b{self.place}"

    @property
    def after(self) -> str:
        """The SQL name of its value after the push."""
        return f"a{self.place}"


def watched_columns(model: Row, shape: Shape) -> dict[str, WatchedColumn]:
    """Give the columns that can be read, by every name that a filter may call them.

    Names of the platform's own go before slugs, and of slugs that two columns share the original one's.
    """
    landed = {column.field: place for place, column in enumerate(shape.columns)}
    id_slug = model.get("idColumnSlug")
    found: dict[str, WatchedColumn] = {}
    for column in [*(model.get("additionalColumns") or []), *(model.get("columns") or [])]:
        kind, slug = column.get("kind") or "original", str(column["slug"])
        field = slug if kind == "original" else _added(kind, slug, landed)
        if field not in landed:
            # What is not read cannot be judged; the slug must not lead to another column instead.
            found.pop(slug, None)
            continue
        fate: Fate = "made" if kind == "original" and slug == id_slug else _fate(model, column)
        found[slug] = found[field] = WatchedColumn(field, str(column.get("type")), fate, landed[field])
    return found | _meta(model, found, landed)


def _fate(model: Row, column: Row) -> Fate:
    if (column.get("kind") or "original") not in {"original", "custom"}:
        return "derived"
    # Dates that were written into native models were seen to come back as empty objects.
    return "doubtful" if column.get("type") == "date" and model.get("kind") == "native" else "kept"


def _added(kind: str, slug: str, landed: dict[str, int]) -> str:
    """Find how an added column is called in rows: only custom__ is documented."""
    likely = f"{kind}__{slug}"
    return likely if likely in landed else next((f for f in sorted(landed) if f.endswith(f"__{slug}")), likely)


def _meta(model: Row, found: dict[str, WatchedColumn], landed: dict[str, int]) -> dict[str, WatchedColumn]:
    meta = {"_id": WatchedColumn("_id", "string", "made", landed["_id"])} if "_id" in landed else {}
    if "_emitted_at" in landed:
        meta["_emitted_at"] = WatchedColumn("_emitted_at", "date", "stamped", landed["_emitted_at"])
    title = found.get(str(model.get("titleColumnSlug")))
    # How a title is made of anything but a text is not documented.
    if title is not None and title.type == "string":
        meta["_title"] = title
    return meta
