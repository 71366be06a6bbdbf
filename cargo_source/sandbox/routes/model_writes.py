"""Models that a client makes, changes, removes and has fetched, and the runs that fetch them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.operations import Operation, post
from cargo_source.sandbox.routes.storage import refusable
from cargo_source.sandbox.shapes import boolean, loose_object, one_of, required, several, structure, text, uuid
from cargo_source.sandbox.variants import nullable, number, tagged

if TYPE_CHECKING:
    from cargo_source.sandbox.shapes import Fields

NOTHING = b""


def _create(call: Call) -> Answer:
    return Answer({"model": call.store.world.modelling.create(call.params)})


def _update(call: Call) -> Answer:
    return Answer({"model": call.store.world.modelling.update(call.path["uuid"], call.params)})


def _remove(call: Call) -> Answer:
    call.store.world.modelling.remove(call.path["uuid"])
    return Answer(NOTHING, status=204)


def _refresh(call: Call) -> Answer:
    world = call.store.world
    model = world.refreshing.refresh(call.path["uuid"])
    return Answer({"model": model, "isRefreshing": world.is_refreshing(model["uuid"])})


def _run(call: Call) -> Answer:
    asked: dict[str, Any] = call.params
    resets, forced = asked.get("isReset", False), asked.get("isForce", False)
    return Answer({"run": call.store.world.refreshing.create(asked["modelUuid"], resets=resets, forced=forced)})


def _cancel(call: Call) -> Answer:
    call.store.world.refreshing.cancel(call.path["uuid"])
    return Answer(NOTHING, status=204)


_SCHEDULE = tagged("type", {"cron": {"cron": required(text())}, "dbt": {"jobId": required(text())}})
_UNIFICATION = tagged(
    "source",
    {
        "integration": {},
        "custom": {
            "type": required(one_of("account", "contact", "accountEvent", "contactEvent")),
            "uniqueColumns": required(
                several(structure({"slug": required(text()), "reference": required(text())})),
            ),
            "selectedColumnSlugs": several(text()),
            "timeColumnSlug": text(),
            "parent": loose_object(),
            "filter": loose_object(),
        },
    },
)
_NEW: Fields = {
    "slug": required(text()),
    "name": required(text()),
    "description": text(),
    "datasetUuid": required(uuid()),
    "extractorSlug": required(text()),
    "config": required(loose_object()),
    "schedule": _SCHEDULE,
    "folderUuid": uuid(),
}
_CHANGED: Fields = {
    "name": text(),
    "description": nullable(text()),
    "position": structure({"x": required(number()), "y": required(number())}),
    "config": loose_object(),
    "unification": nullable(_UNIFICATION),
    "schedule": nullable(_SCHEDULE),
    "folderUuid": nullable(uuid()),
}
_RUN: Fields = {"modelUuid": required(uuid()), "isReset": boolean(), "isForce": boolean()}

OPERATIONS = (
    post("/storage/models", refusable(_create), _NEW),
    Operation("PUT", "/storage/models/{uuid}", refusable(_update), _CHANGED),
    Operation("DELETE", "/storage/models/{uuid}", refusable(_remove)),
    post("/storage/models/{uuid}/refresh", refusable(_refresh), {}),
    post("/storage/runs", refusable(_run), _RUN),
    post("/storage/runs/{uuid}/cancel", refusable(_cancel), {}),
)
