"""Columns of models that a client adds, changes and removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.models.spec import SQL_TYPES
from cargo_source.sandbox.operations import Operation
from cargo_source.sandbox.routes.storage import refusable
from cargo_source.sandbox.shapes import (
    LARGEST_INTEGER,
    boolean,
    integer,
    loose_object,
    one_of,
    required,
    several,
    structure,
    text,
    uuid,
)
from cargo_source.sandbox.variants import nullable, tagged

if TYPE_CHECKING:
    from cargo_source.sandbox.shapes import Fields


def _create(call: Call) -> Answer:
    call.store.world.column_writing.create(call.params["modelUuid"], call.params["column"])
    return Answer(b"", status=204)


def _update(call: Call) -> Answer:
    call.store.world.column_writing.update(call.params["modelUuid"], call.params["column"])
    return Answer(b"", status=204)


def _remove(call: Call) -> Answer:
    call.store.world.column_writing.remove(call.params["modelUuid"], call.params["columnSlug"])
    return Answer(b"", status=204)


_HEAD: Fields = {
    "slug": required(text()),
    "type": required(one_of(*SQL_TYPES)),
    "label": required(text()),
    "properties": several(text()),
    "description": text(),
}
_FILTER: Fields = {"filter": nullable(loose_object())}
_RECIPE = structure(
    {"uuid": required(uuid()), "version": required(integer(-LARGEST_INTEGER)), "variables": required(loose_object())}
)
_EXPRESSION = structure(
    {
        "expression": required(text()),
        "instructTo": required(one_of("ai", "none")),
        "kind": required(one_of("jsExpression", "templateExpression")),
        "fromRecipe": required(boolean()),
        "recipe": _RECIPE,
    }
)
_AGGREGATION = structure(
    {"function": required(one_of("AVG", "COUNT", "MAX", "MIN", "SUM")), "columnSlug": required(text())}
)
_JOIN = structure(
    {"toModelUuid": required(uuid()), "fromColumnSlug": required(text()), "toColumnSlug": required(text())}
)
_ADDED: dict[str, Fields] = {
    "custom": _HEAD,
    "computed": {**_HEAD, "expression": required(_EXPRESSION), "columnsUsed": several(text())},
    "metric": {**_HEAD, **_FILTER, "relationshipUuid": required(uuid()), "aggregation": required(_AGGREGATION)},
    "lookup": {**_HEAD, **_FILTER, "join": required(_JOIN), "extractColumnSlug": required(text())},
}
_ANY = {**_ADDED, "original": {**_HEAD, "originalSlug": required(text())}}
_MODEL: Fields = {"modelUuid": required(uuid())}

OPERATIONS = (
    Operation("POST", "/storage/columns", refusable(_create), {**_MODEL, "column": required(tagged("kind", _ADDED))}),
    Operation("PUT", "/storage/columns", refusable(_update), {**_MODEL, "column": required(tagged("kind", _ANY))}),
    Operation("DELETE", "/storage/columns", refusable(_remove), {**_MODEL, "columnSlug": required(text())}),
)
