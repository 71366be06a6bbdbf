"""The model that is written to: which of its columns take values, and which column of a source goes where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cargo_source.catalog.columns import Column
from cargo_source.errors import BadSettings, suggest
from cargo_source.pull.records import Model
from cargo_source.pull.shapes import META, Shape

NATIVE = frozenset({"defineCustom", "defineAccount", "defineContact", "defineDeal"})
"""Extractors of models that are filled by hand."""
INGEST = frozenset({"listenHook"})
"""Extractors of models that take rows by a hook alone, and only new ones."""
LEFT_OUT = ("_dlt_", "_cargo_")
"""How the columns begin that a load adds to rows."""
KEYS = frozenset({"text", "integer", "number", "decimal"})
"""Types of columns that rows can be told apart by."""

Columns = Sequence[str] | Mapping[str, str] | None


@dataclass(frozen=True)
class Mapped:
    """A column of the model that is written to: its slug, what Cargo calls its type, and how a pull types it."""

    slug: str
    cargo_type: str
    column: Column


@dataclass(frozen=True)
class Target:
    """A model that rows are written to."""

    model: Model
    shape: Shape

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.model.dataset}.{self.model.slug}"

    @property
    def extractor(self) -> str:
        """What fills it."""
        return str(self.model.row.get("extractorSlug") or "")

    @property
    def is_native(self) -> bool:
        """Whether it is filled by hand, in Cargo itself."""
        return self.extractor in NATIVE

    @property
    def takes_ingest(self) -> bool:
        """Whether it takes rows by a hook, and only new ones."""
        return self.extractor in INGEST

    @property
    def id_slug(self) -> str:
        """The column that holds the identifiers of its rows."""
        return self.shape.id_slug

    @property
    def declared(self) -> list[dict[str, Any]]:
        """All its columns as they are declared, added ones too."""
        return [*(self.model.row.get("columns") or []), *(self.model.row.get("additionalColumns") or [])]

    @property
    def writable(self) -> dict[str, Mapped]:
        """The columns that take values, by slug: those that the model itself declares, but for its identifiers."""
        by_field = {column.field: column for column in self.shape.columns}
        return {
            str(row["slug"]): Mapped(str(row["slug"]), str(row.get("type") or "any"), by_field[row["slug"]])
            for row in self.declared
            if (row.get("kind") or "original") == "original" and row["slug"] != self.id_slug and row["slug"] in by_field
        }

    def check(self, *, allow_connector_models: bool) -> None:
        """Raise BadSettings where nobody should write into this model, or only by a switch."""
        if self.is_native or self.takes_ingest or allow_connector_models:
            return
        raise BadSettings(
            f"{self.label} is filled by a connector ({self.extractor or 'of an unknown kind'}): what is written there"
            " may go on to its source; say allow_connector_models=True (--allow-connector-models) if that is wanted"
        )

    def find(self, name: str) -> Mapped:
        """Give the column that takes values and is called ``name``. Raises BadSettings that says what there is."""
        takes = self.writable
        if name in takes:
            return takes[name]
        labels = [slug for slug, each in takes.items() if name in {each.column.name, self._label(slug)}]
        alike = labels or [slug for slug in takes if slug.casefold() == name.casefold()]
        if len(alike) == 1:
            return takes[alike[0]]
        raise BadSettings(f"{self.label}: {self._why_not(name, alike)}")

    def _label(self, slug: str) -> str | None:
        return next((row.get("label") for row in self.declared if row["slug"] == slug), None)

    def _why_not(self, name: str, alike: Sequence[str]) -> str:
        if alike:
            return f"{len(alike)} columns are called {name!r}: say which of {', '.join(alike)}"
        if name == self.id_slug or name in META:
            return f"column {name!r} is Cargo's own and cannot be written; leave it out with columns=[...]"
        bare = name.partition("__")[2] or name
        for row in self.declared:
            kind = str(row.get("kind") or "original")
            if kind != "original" and row["slug"] in {name, bare}:
                if kind == "custom":
                    return (
                        f"column {name!r} was added to the model ({kind}), which refuses it in writes: declare it in"
                        " the model's own columns in Cargo, or leave it out with columns=[...]"
                    )
                return f"column {name!r} is {kind}: Cargo makes its values; leave it out with columns=[...]"
        return f"there is no column {name!r}{suggest(name, self.writable)}; name those to push with columns=[...]"

    def mapping(self, names: Sequence[str], columns: Columns, key: str) -> tuple[dict[str, Mapped], list[str]]:
        """Find which column of the model each of the source's ``names`` goes to, and what is left out of it.

        ``columns`` lists the names to push, or maps them to columns of the model; None: all of them. Raises BadSettings
        for names that are not there, with a suggestion, and for two that go to one column.
        """
        if isinstance(columns, str):
            raise BadSettings(f"columns: a list of names is wanted, such as columns=[{columns!r}]")
        wanted = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns or names}
        for name in wanted:
            if name not in names:
                raise BadSettings(
                    f"columns: the source has no column {name!r}{suggest(name, names)}; name those to push"
                )
        left = [name for name in names if name not in wanted]
        if columns is None:
            # What a pull adds to rows is no part of them.
            own = [name for name in wanted if (name in META or name.startswith(LEFT_OUT)) and name != key]
            left += own
            wanted = {name: slug for name, slug in wanted.items() if name not in own}
        found: dict[str, Mapped] = {}
        for name, slug in wanted.items():
            found[name] = self.identity(slug) if self.is_identity(slug) and key in {name, slug} else self.find(slug)
        taken: dict[str, str] = {}
        for name, mapped in found.items():
            if mapped.slug in taken:
                raise BadSettings(
                    f"columns: {taken[mapped.slug]!r} and {name!r} both go to {mapped.slug!r}; name one of them"
                )
            taken[mapped.slug] = name
        return found, left

    def is_identity(self, name: str) -> bool:
        """Say whether a name is that of the records' identifiers."""
        return name in {"_id", self.id_slug}

    def identity(self, name: str) -> Mapped:
        """Give the identifiers of the records as a key: as texts, or as the model's own column of them."""
        kind = next((str(row.get("type")) for row in self.declared if row["slug"] == name), "string")
        return Mapped(name, kind, next(column for column in self.shape.columns if column.field == name))

    def key_of(self, found: Mapping[str, Mapped], key: str) -> str:
        """Give the source's column that rows are told apart by. Raises BadSettings where none will do."""
        names = [name for name, mapped in found.items() if key in {name, mapped.slug, self._label(mapped.slug)}]
        if self.is_identity(key):
            names = [name for name, mapped in found.items() if self.is_identity(mapped.slug)]
        if not names:
            raise BadSettings(
                f"key: no column that is pushed is called {key!r}{suggest(key, found)}; name one that the source has"
            )
        if len(names) > 1:
            raise BadSettings(
                f"key: {key!r} may be any of the source's {', '.join(map(repr, names))}, by its name or by where it"
                " goes: rename one of them"
            )
        chosen = names[0]
        if found[chosen].column.type not in KEYS:
            raise BadSettings(f"key: {key!r} is of type {found[chosen].cargo_type}; take a text or a number")
        return chosen
