"""What the workspace stores: datasets, models, their columns, and how models are related."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.answers import Answer, Call, Refusal, not_found
from cargo_source.sandbox.listings import PAGING, Getting, Listing, among
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import Fields, one_of, required, several, text, uuid

if TYPE_CHECKING:
    from cargo_source.sandbox.store import Store

RUN_STATUSES = ("pending", "running", "cancelling", "cancelled", "error", "success")
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


def _column_exists(call: Call) -> Answer:
    model = known_model(call.store, call.params["modelUuid"])
    slugs = {column["slug"] for column in (*model["columns"], *model["additionalColumns"])}
    return Answer({"exists": call.params["slug"] in slugs})


def _model_exists(call: Call) -> Answer:
    if call.params["datasetUuid"] not in call.store.world.tables["datasets"]:
        raise not_found("datasetNotFound")
    models = call.store.world.tables["models"].values()
    slugs = {model["slug"] for model in models if model["datasetUuid"] == call.params["datasetUuid"]}
    return Answer({"exists": call.params["slug"] in slugs})


RUNS = Listing("storage_runs", "runs", paged=True, parent="modelUuid", tests={"statuses": among("status")})

_RUNS: Fields = {**PAGING, "modelUuid": uuid(), "statuses": several(one_of(*RUN_STATUSES))}
_SLUG: Fields = {"slug": required(text())}

OPERATIONS = (
    get("/storage/datasets/list", Listing("datasets", "datasets")),
    get("/storage/datasets/{uuid}", Getting("datasets", "dataset", "datasetNotFound")),
    get("/storage/models/list", Listing("models", "models")),
    get("/storage/models/existsBySlug", _model_exists, {**_SLUG, "datasetUuid": required(uuid())}),
    get("/storage/models/{uuid}", MODEL),
    get("/storage/models/{uuid}/ddl", _ddl),
    get("/storage/columns/existsBySlug", _column_exists, {**_SLUG, "modelUuid": required(uuid())}),
    get("/storage/columns/list", _columns, {"modelUuid": required(uuid())}),
    get("/storage/relationships/list", Listing("relationships", "relationships", newest=None)),
    get("/storage/relationships/{uuid}", Getting("relationships", "relationship", "relationshipNotFound")),
    get("/storage/runs/list", RUNS, _RUNS),
)
