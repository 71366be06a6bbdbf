"""What the workspace used and pays, for administrators only."""

from __future__ import annotations

from typing import Any

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.listings import Listing
from cargo_source.sandbox.moments import iso
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import Fields, day, one_of, required, text, uuid
from cargo_source.sandbox.workspace.billing import subscription
from cargo_source.sandbox.workspace.usage import DIMENSIONS, UNITS, days_between, whole

Wire = dict[str, Any]

_FILTERS = {
    "unit": "unit",
    "slug": "slug",
    "integrationSlug": "integration_slug",
    "connectorUuid": "connector_uuid",
    "modelUuid": "model_uuid",
    "workflowUuid": "workflow_uuid",
    "agentUuid": "agent_uuid",
}
"""The filters of usage metrics, each with what it compares."""


def _metrics(call: Call) -> Answer:
    """Give an entry per day of the window that the workspace has lived, also for days without any use.

    Both ends are days that are included. Without a unit all three are in one list, as the API mixes them.
    """
    world, params = call.store.world, call.params
    wanted = {_FILTERS[name]: value for name, value in params.items() if name in _FILTERS}
    uses = {
        use: count
        for use, count in world.usage.uses().items()
        if all(getattr(use, field) == value for field, value in wanted.items())
    }
    first = max(f"{params['from']}T00:00:00.000Z", iso(world.team.created))
    last = min(f"{params['to']}T00:00:00.000Z", iso(world.moment))
    items: dict[str, list[Wire]] = {each: [] for each in days_between(first, last)}
    for (when, _, slug, value), count in world.usage.by(params.get("groupBy"), uses).items():
        if when in items:
            items[when].append({"slug": slug, "count": whole(count), "groupBy": value})
    metrics = [{"date": when, "items": found} for when, found in items.items()]
    return Answer({"metrics": metrics}, "metrics", len(metrics))


def _subscription(call: Call) -> Answer:
    return Answer({"subscription": subscription(call.store.world)})


_METRICS: Fields = {
    **dict.fromkeys(("from", "to"), required(day())),
    "groupBy": one_of(*DIMENSIONS),
    "unit": one_of(*UNITS),
    **dict.fromkeys(("workflowUuid", "modelUuid", "connectorUuid", "agentUuid"), uuid()),
    **dict.fromkeys(("integrationSlug", "slug"), text()),
}

OPERATIONS = (
    get("/billing/usage/metrics", _metrics, _METRICS, admin=True),
    get("/billing/subscriptions", _subscription, admin=True),
    get("/billing/subscriptions/invoices", Listing("invoices", "invoices", newest=None), admin=True),
)
