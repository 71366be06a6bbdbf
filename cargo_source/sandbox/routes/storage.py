"""What the workspace stores: datasets, models, their columns, and how models are related."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.answers import Answer, Call, Refusal, failed, not_found
from cargo_source.sandbox.listings import PAGING, Getting, Listing, among
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import Fields, one_of, required, several, text, uuid
from cargo_source.sandbox.workspace.writing import Unwritable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cargo_source.sandbox.store import Store

RUN_STATUSES = ("pending", "running", "cancelling", "cancelled", "error", "success")
MODEL = Getting("models", "model", "modelNotFound")


def known_model(store: Store, model_uuid: str) -> dict[str, Any]:
    """Give a model, or refuse with modelNotFound."""
    found: dict[str, Any] | None = store.world.tables["models"].get(model_uuid)
    if found is None:
        raise not_found("modelNotFound")
    return found


def refusable(act: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
    """Make the answer of an operation that the workspace may refuse."""

    def answer(call: Call) -> Answer:
        try:
            return act(call)
        except Unwritable as refused:
            if refused.reason.endswith("NotFound"):
                raise not_found(refused.reason) from refused
            raise (Refusal(400, {"reason": refused.reason}) if refused.reason else failed(refused.text)) from refused

    return answer


def _ddl(call: Call) -> Answer:
    model = MODEL.found(call)
    if not call.store.world.has_table(model["uuid"]):
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
    return Answer({"exists": call.store.world.modelling.is_taken(call.params["datasetUuid"], call.params["slug"])})


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
