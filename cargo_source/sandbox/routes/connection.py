"""What the workspace is connected to, and what it could be connected to."""

from __future__ import annotations

from typing import Any

from cargo_source.sandbox.answers import Answer, Call
from cargo_source.sandbox.listings import Getting, Listing, contains
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import Fields, boolean, text
from cargo_source.sandbox.workspace.integrations import native_integration

Wire = dict[str, Any]


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

OPERATIONS = (
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
