"""What the workspace stores: datasets, models, their columns, and how models are related."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.answers import Answer, Call, Refusal, not_found
from cargo_source.sandbox.listings import Getting, Listing
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import required, uuid

if TYPE_CHECKING:
    from cargo_source.sandbox.store import Store

MODEL = Getting("models", "model", "modelNotFound")


def known_model(store: Store, model_uuid: str) -> dict[str, Any]:
    """Give a model, or refuse with modelNotFound."""
    found: dict[str, Any] | None = store.world.tables["models"].get(model_uuid)
    if found is None:
        raise not_found("modelNotFound")
    return found


def _ddl(call: Call) -> Answer:
    model = MODEL.found(call)
    if model["lastEmittedAt"] is None:
        raise Refusal(400, {"reason": "failedToGetDdl"})
    return Answer({"ddl": call.store.world.ddl(model["uuid"]), "language": "bigQuery"})


def _columns(call: Call) -> Answer:
    """List the names in the warehouse, as the vendor's client types them."""
    model = known_model(call.store, call.params["modelUuid"])
    names = [column.name for column in call.store.world.columns_of(model["uuid"])]
    return Answer({"columns": names}, "columns", len(names))


OPERATIONS = (
    get("/storage/datasets/list", Listing("datasets", "datasets")),
    get("/storage/datasets/{uuid}", Getting("datasets", "dataset", "datasetNotFound")),
    get("/storage/models/list", Listing("models", "models")),
    get("/storage/models/{uuid}", MODEL),
    get("/storage/models/{uuid}/ddl", _ddl),
    get("/storage/columns/list", _columns, {"modelUuid": required(uuid())}),
    get("/storage/relationships/list", Listing("relationships", "relationships", newest=None)),
    get("/storage/relationships/{uuid}", Getting("relationships", "relationship", "relationshipNotFound")),
)
