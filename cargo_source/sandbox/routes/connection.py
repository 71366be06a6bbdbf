"""What the workspace is connected to, and what it could be connected to."""

from __future__ import annotations

import re
from typing import Any

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.listings import Getting, Listing, contains
from cargo_source.sandbox.operations import get, post
from cargo_source.sandbox.routes.storage import refusable
from cargo_source.sandbox.shapes import (
    LARGEST_INTEGER,
    Fields,
    boolean,
    integer,
    loose_object,
    one_of,
    required,
    structure,
    text,
)
from cargo_source.sandbox.workspace.connectors import connect
from cargo_source.sandbox.workspace.integrations import native_integration

Wire = dict[str, Any]


def _connect(call: Call) -> Answer:
    connector, dataset = connect(call.store.world, call.params)
    return Answer({"connector": connector, "dataset": dataset})


def _native(_call: Call) -> Answer:
    return Answer({"nativeIntegration": native_integration()})


def _has_actions(integration: Wire, wanted: bool) -> bool:
    return bool(integration["actions"]) == wanted


def _has_extractors(integration: Wire, wanted: bool) -> bool:
    return bool(integration["extractors"]) == wanted


INTEGRATIONS = Listing(
    "integrations",
    "integrations",
    newest=None,
    tests={
        "search": contains("slug", "name", "description"),
        "hasActions": _has_actions,
        "hasExtractors": _has_extractors,
    },
)

_INTEGRATIONS: Fields = {
    **dict.fromkeys(("category", "slug", "search"), text()),
    **dict.fromkeys(("hasActions", "hasExtractors"), boolean()),
}

_SLUG = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
_LIMIT = structure(
    {
        "unit": required(one_of("day", "hour", "minute", "second")),
        "max": required(integer(-LARGEST_INTEGER)),
        "strategy": one_of("spread", "burst"),
    }
)
_CONNECTOR: Fields = {
    "name": required(text()),
    "slug": required(text(pattern=_SLUG, called="slug")),
    "integrationSlug": required(text()),
    "config": loose_object(),
    "rateLimit": _LIMIT,
    "cacheTtlMilliseconds": integer(-LARGEST_INTEGER),
}

OPERATIONS = (
    post("/connection/connectors", refusable(_connect), _CONNECTOR),
    get("/connection/connectors/list", Listing("connectors", "connectors"), {"integrationSlug": text()}),
    get("/connection/connectors/{uuid}", Getting("connectors", "connector", "connectorNotFound")),
    get("/connection/integrations/list", INTEGRATIONS, _INTEGRATIONS),
    get(
        "/connection/integrations/{slug}",
        Getting("integrations", "integration", "integrationNotFound", by="slug"),
    ),
    get("/connection/nativeIntegrations", _native),
    get("/connection/customIntegrations/list", Listing("custom_integrations", "customIntegrations")),
)
