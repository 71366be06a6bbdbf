"""What a workspace holds, as a notebook shows it: models with their columns, segments and changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from cargo_source.errors import BadSettings, suggest
from cargo_source.explore import FOLD
from cargo_source.pull.records import Model
from cargo_source.pull.shapes import Shape
from cargo_source.tabular import Grid

MOST_SHOWN = 100
"""Things that are shown of a long list."""


class Held(Protocol):
    """Something that is found by any of its names and shown as a row. The first of ``names`` is its own alone."""

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""

    @property
    def cells(self) -> tuple[object, ...]:
        """What is shown of it."""


T = TypeVar("T", bound=Held)


class Holding(Sequence[T], Generic[T]):
    """Things of one kind: iterate over them, count them, or take one by name or position."""

    def __init__(
        self, kind: str, items: Sequence[T], headers: Sequence[str], find: Callable[[str], T] | None = None
    ) -> None:
        self._kind, self._items, self._headers = kind, list(items), headers
        self._by_name = find or self._found

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, key: int | str) -> T: ...

    @overload
    def __getitem__(self, key: slice) -> "Holding[T]": ...

    def __getitem__(self, key: int | str | slice) -> "T | Holding[T]":
        if isinstance(key, slice):
            return Holding(self._kind, self._items[key], self._headers)
        return self._items[key] if isinstance(key, int) else self._by_name(key)

    def __contains__(self, item: object) -> bool:
        return any(item is each or item in each.names for each in self._items)

    def _found(self, name: str) -> T:
        found = [item for item in self._items if name in item.names]
        if not found:
            known = [name for item in self._items for name in item.names]
            raise BadSettings(f"none of the {self._kind} is called {name!r}{suggest(name, known)}")
        if len(found) > 1:
            options = ", ".join(item.names[0] for item in found[:10])
            raise BadSettings(f"{len(found)} {self._kind} are called {name!r}: say which of {options}")
        return found[0]

    def _ipython_key_completions_(self) -> list[str]:
        return sorted({name for item in self._items for name in item.names})

    def _grid(self) -> Grid:
        more = len(self._items) - MOST_SHOWN
        note = f"and {more} more {self._kind}" if more > 0 else "" if self._items else f"no {self._kind}"
        return Grid(self._headers, [item.cells for item in self._items[:MOST_SHOWN]], note)

    def __repr__(self) -> str:
        return self._grid().text()

    def _repr_html_(self) -> str:
        return self._grid().html()


@dataclass(frozen=True)
class ColumnInfo:
    """A column of a model as it is declared in Cargo. ``kind`` is original, custom, computed, metric or lookup."""

    slug: str
    type: str
    kind: str
    label: str
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return tuple(dict.fromkeys((f"{self.kind}.{self.slug}", self.slug, self.label)))

    @property
    def cells(self) -> tuple[object, ...]:
        """What is shown of it."""
        return (self.slug, self.type, self.kind, self.label)

    HEADERS: ClassVar = ("slug", "type", "kind", "label")


@dataclass(frozen=True)
class ModelInfo:
    """A model: a table of Cargo."""

    model: Model

    HEADERS: ClassVar = ("dataset", "slug", "name", "kind", "columns", "table")

    @property
    def uuid(self) -> str:
        """Its uuid."""
        return self.model.uuid

    @property
    def slug(self) -> str:
        """Its slug, unique in its dataset only."""
        return self.model.slug

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.model.row.get("name") or self.slug)

    @property
    def kind(self) -> str:
        """Who fills it, such as native or connector."""
        return str(self.model.row.get("kind") or "")

    @property
    def dataset(self) -> str:
        """The slug of its dataset."""
        return self.model.dataset

    @property
    def table(self) -> str:
        """The table that a sync loads it into."""
        return self.model.table

    @property
    def label(self) -> str:
        """How it is told apart from all others."""
        return f"{self.dataset}.{self.slug}"

    @property
    def columns(self) -> Holding[ColumnInfo]:
        """Its columns as they are declared."""
        row = self.model.row
        declared = [*(row.get("columns") or []), *(row.get("additionalColumns") or [])]
        return Holding("columns", [_column(column) for column in declared], ColumnInfo.HEADERS)

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return (self.label, self.slug, self.table, self.uuid)

    @property
    def cells(self) -> tuple[object, ...]:
        """What is shown of it."""
        return (self.dataset, self.slug, self.name, self.kind, len(self.columns), self.table)

    def __repr__(self) -> str:
        return f"<Model {self.label}, {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        return self.columns._repr_html_()


def _column(row: dict[str, Any]) -> ColumnInfo:
    slug = str(row["slug"])
    return ColumnInfo(
        slug,
        str(row.get("type") or "any"),
        str(row.get("kind") or "original"),
        str(row.get("label") or slug),
        str(row.get("description") or ""),
    )


@dataclass(frozen=True)
class Segment:
    """A saved filter over a model, or the one that a play made for itself. ``row`` is what the API says of it."""

    row: dict[str, Any]
    model: Model
    play: str | None = None
    """The name of the play that made it; None for a saved one, and where plays may not be listed."""
    nickname: str | None = None
    """The same, where nothing else is called so."""

    HEADERS: ClassVar = ("name", "kind", "model", "records", "evaluated", "slug")

    @property
    def uuid(self) -> str:
        """Its uuid."""
        return str(self.row["uuid"])

    @property
    def name(self) -> str:
        """Its name; segments that plays made for themselves share one, and are shown by their play."""
        return str(self.row.get("name") or "")

    @property
    def slug(self) -> str:
        """Its slug."""
        return str(self.row.get("slug") or "")

    @property
    def records(self) -> int | None:
        """How many records were in it when it was last evaluated; None where it never was."""
        count = self.row.get("recordsCount") if self.row.get("syncedAt") else None
        return count if isinstance(count, int) else None

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"segment {self.name!r}"

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return tuple(name for name in (self.uuid, self.name, self.slug, self.nickname) if name)

    @property
    def cells(self) -> tuple[object, ...]:
        """What is shown of it."""
        model = f"{self.model.dataset}.{self.model.slug}"
        kind = "play" if self.row.get("fromPlay") else "saved"
        evaluated = str(self.row.get("syncedAt") or "")[:16].replace("T", " ")
        return (self.play or self.name, kind, model, self.records, evaluated, self.slug or self.uuid)

    def __repr__(self) -> str:
        return f"<Segment {self.name!r} of {self.model.dataset}.{self.model.slug}>"


@dataclass(frozen=True)
class Change:
    """What an evaluation of a segment found. ``row`` is what the API says of it."""

    row: dict[str, Any]
    segment: Segment

    HEADERS: ClassVar = ("created", "added", "updated", "removed", "uuid")

    @property
    def uuid(self) -> str:
        """Its uuid."""
        return str(self.row["uuid"])

    @property
    def model(self) -> Model:
        """The model of its segment."""
        return self.segment.model

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"change {self.uuid} of {self.segment.label}"

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it."""
        return (self.uuid, str(self.row.get("createdAt")))

    @property
    def cells(self) -> tuple[object, ...]:
        """What is shown of it."""
        counts = (self.row.get(f"{kind}RecordsCount") for kind in ("added", "updated", "removed"))
        return (self.row.get("createdAt"), *counts, self.uuid)

    def __repr__(self) -> str:
        return f"<Change of {self.segment.label} at {self.row.get('createdAt')}>"


def also_called(model: Model, shape: Shape) -> dict[str, str]:
    """Map bare slugs and labels of a model's columns to their fields; those that two share to none."""
    declared = ModelInfo(model).columns
    found: dict[str, set[str]] = {}
    fields = shape.fields
    for column in declared:
        field = column.slug if column.kind == "original" else _added(column.slug, column.kind, fields)
        for name in (column.slug, FOLD(column.slug), column.label):
            found.setdefault(name, set()).add(field)
    return {name: next(iter(fields)) for name, fields in found.items() if len(fields) == 1}


def _added(slug: str, kind: str, fields: frozenset[str]) -> str:
    likely = f"{kind}__{slug}"
    return likely if likely in fields else next((f for f in sorted(fields) if f.endswith(f"__{slug}")), likely)
