"""Writes to the rows of models: one at a time or many, created, updated and removed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.answers import Answer, Call, not_found
from cargo_source.sandbox.operations import Operation
from cargo_source.sandbox.routes.storage import known_model, refusable
from cargo_source.sandbox.shapes import loose_object, one_or_several, required, several, structure, text, uuid

if TYPE_CHECKING:
    from collections.abc import Callable

    from cargo_source.sandbox.shapes import Fields
    from cargo_source.sandbox.workspace.writing import Writing

Wire = dict[str, Any]

MOST_ROWS = 1000
"""Rows in one call: documented for updates and removals, and taken for creations too."""


def _written(act: Callable[[Writing, str, Wire], Answer]) -> Callable[[Call], Answer]:
    """Make the answer of an operation that writes into a model."""

    def answer(call: Call) -> Answer:
        model = known_model(call.store, call.params["modelUuid"])
        if model["deletedAt"]:
            raise not_found("modelNotFound")
        return act(call.store.world.writing, model["uuid"], call.params)

    return refusable(answer)


def _create(writing: Writing, model: str, params: Wire) -> Answer:
    return Answer({"record": writing.create(model, [params["data"]])[0]})


def _create_bulk(writing: Writing, model: str, params: Wire) -> Answer:
    found = writing.create(model, [record["data"] for record in params["records"]])
    return Answer({"records": found}, "records", len(found))


def _update(writing: Writing, model: str, params: Wire) -> Answer:
    found = writing.update(model, [(params["id"], params["data"])])
    if not found:
        raise not_found("recordNotFound")
    return Answer({"record": found[0]})


def _update_bulk(writing: Writing, model: str, params: Wire) -> Answer:
    found = writing.update(model, [(record["id"], record["data"]) for record in params["records"]])
    return Answer({"records": found}, "records", len(found))


def _remove(writing: Writing, model: str, params: Wire) -> Answer:
    writing.remove(model, [params["id"]])
    return Answer(b"", status=204)


def _remove_bulk(writing: Writing, model: str, params: Wire) -> Answer:
    writing.remove(model, params["ids"])
    return Answer(b"", status=204)


def _ingest(call: Call) -> Answer:
    body = call.params["body"]
    if isinstance(body, dict) and body.get("type") == "url_verification":
        # A hook answers those who only ask whether it is there, and keeps nothing of what they say.
        return Answer({"message": "OK"})
    params = {"modelUuid": call.path["uuid"], "rows": body if isinstance(body, list) else [body]}
    return _written(_ingested)(replace(call, params=params))


def _ingested(writing: Writing, model: str, params: Wire) -> Answer:
    writing.ingest(model, params["rows"])
    return Answer({"message": "OK"})


MOST_POSTED = 100
"""Rows in one call of a hook."""
_ID = required(text(least=1))
_DATA = {"data": required(loose_object())}


def _many(item: Any) -> Any:
    return required(several(item, least=1, most=MOST_ROWS))


def _operation(method: str, name: str, act: Callable[[Writing, str, Wire], Answer], fields: Fields) -> Operation:
    shape = {"modelUuid": required(uuid()), **fields}
    return Operation(method, f"/storage/records/{name}", _written(act), shape)


OPERATIONS = (
    _operation("POST", "create", _create, _DATA),
    _operation("POST", "createBulk", _create_bulk, {"records": _many(structure(_DATA))}),
    _operation("PUT", "update", _update, {"id": _ID, **_DATA}),
    _operation("PUT", "updateBulk", _update_bulk, {"records": _many(structure({"id": _ID, **_DATA}))}),
    _operation("DELETE", "remove", _remove, {"id": _ID}),
    _operation("DELETE", "removeBulk", _remove_bulk, {"ids": _many(text(least=1))}),
    Operation(
        "POST",
        "/models/{uuid}/records/ingest",
        _ingest,
        whole=one_or_several(loose_object(), least=1, most=MOST_POSTED),
        anybody=True,
    ),
)
