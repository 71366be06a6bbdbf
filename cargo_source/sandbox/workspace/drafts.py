"""What a client says of a model that it makes or changes, and the columns and settings that follow from it.

What the reference leaves open is chosen here: the id column of a model that is filled by hand is called `id`, and is
its title too, unless the model is of a kind that has names; columns declare a slug and a type, and may have a label.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.models import ModelSpec
from cargo_source.sandbox.models.cells import id_at, uuid_at
from cargo_source.sandbox.models.spec import SQL_TYPES, Col
from cargo_source.sandbox.workspace.writing import Unwritable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Wire = dict[str, Any]

SLUG = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
"""What a table or a column of a warehouse can be called."""
ID, HOOK_ID = "id", "_ingest_id"
OWN_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "defineAccount": (
        ("name", "string"), ("website", "string"), ("industry", "string"), ("number_of_employees", "number"),
        ("description", "string"), ("owner_id", "string"), ("parent_id", "string"),
    ),
    "defineContact": (
        ("name", "string"), ("account_id", "string"), ("first_name", "string"), ("last_name", "string"),
        ("title", "string"), ("email", "string"), ("linkedin_url", "string"), ("lead_source", "string"),
    ),
    "defineDeal": (
        ("name", "string"), ("account_id", "string"), ("amount", "number"), ("stage_name", "string"),
        ("close_date", "date"), ("next_step", "string"), ("is_closed", "boolean"), ("is_won", "boolean"),
    ),
}  # fmt: skip
"""Columns of the kinds of models that bring their own; the first is the title."""
_IDS = {"string": uuid_at, "number": id_at}
_CRON_FIELDS = 5
_SHORTEST = 5
"""Minutes between two runs of a schedule: what the extractors of the catalogue allow."""
_STEP = re.compile(r"(\*|\d+-\d+|\d+)(?:/(\d+))?")


def empty(slug: str, type_: str, *, kind: str = "original", shown: Wire | None = None) -> Col:
    """Return a column whose cells are null until somebody writes them."""
    return Col(slug, type_, f"NULL::{SQL_TYPES[type_]}", kind=kind, shown=shown or {})


def checked_slug(slug: str) -> str:
    """Give a slug that a warehouse can take, or refuse it."""
    if not SLUG.fullmatch(slug):
        raise Unwritable(f"Invalid slug: {slug[:128]!r}")
    return slug


def drafted(dataset: str, sent: Wire, *, is_hook: bool, origin: str) -> ModelSpec:
    """Return how a model is made that a client describes; `origin` names it for all time."""
    extractor = sent["extractorSlug"]
    cols: tuple[Col, ...]
    if is_hook:
        cols, title = (Col(HOOK_ID, "string", uuid_at(origin)),), "_emitted_at"
    else:
        cols, title = _own(extractor, sent["config"], origin), OWN_COLUMNS.get(extractor, ((ID, "string"),))[0][0]
    return ModelSpec(
        dataset, sent["slug"], sent["name"], extractor, cols[0].slug, title, cols, at_least=0, origin=origin
    )


def _own(extractor: str, config: Wire, origin: str) -> tuple[Col, ...]:
    """Return the columns of a model that is not a hook, its id first."""
    named = [empty(slug, kind) for slug, kind in OWN_COLUMNS.get(extractor, ())]
    if extractor == "defineCustom":
        named = declared(config)
    key = next((col.type for col in named if col.slug == ID), "string")
    if key not in _IDS:
        raise Unwritable(f"Column {ID} cannot be of type {key}")
    first = Col(ID, key, _IDS[key](origin), big=key == "number")
    return (first, *(col for col in named if col.slug != ID))


def declared(config: Wire, known: Collection[str] = ()) -> list[Col]:
    """Return the columns that a config declares; slugs that are `known` already may be of any form.

    Raises:
        Unwritable: A column has no slug or type that there is, or two have one name.
    """
    columns = config.get("columns", [])
    if not isinstance(columns, list):
        raise Unwritable("Invalid config: columns is not a list")
    found = [_declared(column, known) for column in columns]
    refuse_twins(col.name for col in found)
    return found


def _declared(column: Any, known: Collection[str]) -> Col:
    if not isinstance(column, dict) or not isinstance(slug := column.get("slug"), str):
        raise Unwritable("Invalid config: a column has no slug")
    kind = column.get("type")
    if not isinstance(kind, str) or kind not in SQL_TYPES:
        raise Unwritable(f"Invalid config: column {slug[:128]} has no type that there is")
    if slug not in known:
        checked_slug(slug)
    label = column.get("label")
    shown = {"slug": slug, "type": kind, "label": label if isinstance(label, str) else slug}
    return empty(slug, kind, shown={**shown, "kind": "original", "originalSlug": slug})


def refuse_twins(names: Iterable[str]) -> None:
    """Refuse two columns that a warehouse takes for one, which does not tell capitals from small letters."""
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise Unwritable(f"Duplicate column: {name}")
        seen.add(name.casefold())


def checked_schedule(schedule: Wire | None, *, is_fetched: bool) -> None:
    """Refuse a schedule that does not suit a model, runs too often, or says nothing."""
    if schedule is None:
        return
    if not is_fetched:
        raise Unwritable(reason="scheduleNotCompatible")
    if schedule["type"] != "cron":
        return
    fields = schedule["cron"].split()
    if len(fields) != _CRON_FIELDS:
        raise Unwritable(reason="failedToSchedule")
    minutes, _, gap = _ticks(fields[0], 60), _ticks(fields[1], 24), 60
    if len(minutes) > 1:
        gap = min(after - before for before, after in zip(minutes, [*minutes[1:], minutes[0] + 60], strict=True))
    if gap < _SHORTEST:
        raise Unwritable(reason="scheduleIntervalTooShort")


def _ticks(text: str, end: int) -> list[int]:
    """Give the numbers that a field of a cron line stands for."""
    found: set[int] = set()
    for part in text.split(","):
        match = _STEP.fullmatch(part)
        if match is None:
            raise Unwritable(reason="failedToSchedule")
        low, _, high = ("0-" + str(end - 1) if match[1] == "*" else match[1]).partition("-")
        step = int(match[2] or 1)
        if not step or int(high or low) >= end:
            raise Unwritable(reason="failedToSchedule")
        found.update(range(int(low), int(high or (end - 1 if match[2] else low)) + 1, step))
    if not found:
        raise Unwritable(reason="failedToSchedule")
    return sorted(found)
