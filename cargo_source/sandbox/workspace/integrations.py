"""The catalogue of integrations as the API shows it, and the integrations that the workspace made itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, iso
from cargo_source.sandbox.workspace.manifests import APPS, NATIVE, NATIVE_CATEGORIES, App

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.team import Team

Wire = dict[str, Any]

_PROPERTIES = ("domain", "email", "objectType", "properties", "limit", "companyName", "linkedinUrl", "isDryRun")
_TYPES = {"properties": "object", "limit": "integer", "isDryRun": "boolean"}
_SUB_CATEGORIES = (
    "websiteVisit", "listBuilding", "newHire", "jobOffer", "socialSelling", "ecommerce", "webScraper", "developer",
)  # fmt: skip
_SMALL: Wire = {"type": "object", "properties": {"id": {"type": "string"}}}
_RETRY = {"maximumAttempts": 3, "initialInterval": 1000, "backoffCoefficient": 2}
_COSTS: tuple[list[Wire], ...] = (
    [{"type": "fixed", "cost": 0.5}],
    [{"type": "unit", "cost": 0.125, "unit": "record", "fixedCost": 0.25}],
    [
        {"type": "package", "cost": 4, "unit": "token", "unitsCount": 100, "config": {"jsonSchema": _SMALL}},
        {"type": "fixed", "cost": 0},
    ],
)
_UNIFICATION = {
    "type": "account",
    "config": {"jsonSchema": _SMALL},
    "uniqueColumns": [{"slug": "website", "reference": "domain"}],
    "isDefault": True,
}
_CUSTOM = (
    "harvest_erp", "pricing_desk", "quote_archive", "lead_scorer", "territory_map", "contract_vault", "price_book",
    "event_badge", "partner_portal", "usage_meter", "churn_model", "seat_counter", "geo_lookup", "vat_checker",
    "call_router", "chat_widget", "offer_letter", "credit_check", "stock_feed", "fleet_api", "old_bridge", "lab_test",
)  # fmt: skip


def words(slug: str) -> str:
    """Write a slug in camelCase as words."""
    return re.sub(r"([A-Z])", lambda found: f" {found[1].lower()}", slug).replace("_", " ").capitalize()


def integrations() -> dict[str, Wire]:
    """Return the whole catalogue by slug; it is the same in every workspace."""
    return {app.slug: _integration(app, place) for place, app in enumerate(APPS)}


def native_integration() -> Wire:
    """Return what the platform does by itself."""
    return {
        "actions": {slug: _native_action(slug, place) for place, slug in enumerate(NATIVE.actions.split())},
        "extractors": {slug: _native_extractor(slug) for slug in NATIVE.extractors.split()},
    }


def _integration(app: App, place: int) -> Wire:
    more: Wire = {
        "subCategories": [_SUB_CATEGORIES[(place + turn) % len(_SUB_CATEGORIES)] for turn in range(1 + place % 2)],
        "documentationPath": f"/integrations/{app.slug}",
    }
    return {
        "slug": app.slug,
        "name": app.name,
        "description": f"{app.name} for {app.category} teams",
        "icon": f"https://icons.example/{app.slug}.svg",
        "color": f"#{place * 4321 % 0xFFFFFF:06x}",
        "url": f"https://{app.slug.replace('_', '-')}.example",
        "category": app.category,
        **(more if place % 6 else {}),
        "connector": {"config": _settings(place + 1), "rateLimit": _rate_limit("second", 10)},
        "autocompletes": [{"slug": "listFields", "params": {"jsonSchema": _SMALL}}],
        "dynamicSchemas": {"fields": {"params": {"schema": _SMALL}}},
        "actions": {slug: _action(slug, place + turn) for turn, slug in enumerate(app.actions.split())},
        "extractors": {slug: _extractor(app, slug, place + turn) for turn, slug in enumerate(app.extractors.split())},
    }


def _rate_limit(unit: str, most: int) -> Wire:
    return {"unit": unit, "max": most, "strategy": "burst" if unit == "day" else "spread"}


def _rate_limits(unit: str, most: int) -> list[Wire]:
    """Return limits that hold where the settings are of a certain shape."""
    return [_rate_limit(unit, most) | {"config": {"schema": _SMALL}}]


def _settings(place: int) -> Wire:
    """Return the settings of something as a schema, as large as they are in such manifests."""
    names = [_PROPERTIES[(place + turn) % len(_PROPERTIES)] for turn in range(3 + place % 4)]
    shape = {
        "type": "object",
        "properties": {
            name: {"type": _TYPES.get(name, "string"), "title": words(name), "description": f"{words(name)} to use"}
            for name in names
        },
        "required": names[:1],
        "additionalProperties": False,
    }
    widgets = {name: {"ui:widget": "expression", "ui:placeholder": f"{{{{ record.{name} }}}}"} for name in names}
    return {"schema": shape, "uiSchema": widgets}


def _settings_twice(place: int) -> Wire:
    """Return settings whose schema is there in its older place too."""
    settings = _settings(place)
    return {"jsonSchema": settings["schema"], **settings}


def _action(slug: str, place: int) -> Wire:
    action: Wire = {
        "name": words(slug),
        "description": f"{words(slug)}, once per record",
        "config": _settings_twice(place),
    }
    if place % 2:
        costs = {"costs": _COSTS[place // 2 % len(_COSTS)], "rateLimits": _rate_limits("minute", 60)}
        action |= {"isSerialized": place % 4 == 1, "credits": costs}
    if place % 3:
        limits = {"rateLimits": _rate_limits("second", 5), "isRateLimited": True}
        action |= limits | {"meta": {"schema": _SMALL}, "caching": {"isCompatible": place % 3 == 1}}
    if place % 4:
        timing = {"retry": _RETRY, "executing": {"retry": _RETRY, "withRateLimit": True}}
        action |= timing | {"children": [{"text": "Found"}, {"text": "Not found"}], "output": {"schema": _SMALL}}
    return action


def _native_action(slug: str, place: int) -> Wire:
    """Return something that the platform does: it calls nobody, so that nothing limits or repeats it."""
    action: Wire = {
        "name": words(slug),
        "description": f"{words(slug)}, once per record",
        "category": NATIVE_CATEGORIES[slug],
        "icon": f"https://icons.example/native/{slug}.svg",
        "config": _settings(place),
        "childrenCount": 2 if slug == "branch" else 1,
    }
    if place % 2:
        action |= {"isSerialized": place % 4 == 1, "credits": {"costs": _COSTS[place // 2 % len(_COSTS)]}}
    return action | ({"meta": {"schema": _SMALL}, "output": {"schema": _SMALL}} if place % 4 else {})


def _extractor(app: App, slug: str, place: int) -> Wire:
    kind = "query" if slug == "query" else "file" if slug in {"fetchFiles", "fetchPages"} else "record"
    extractor: Wire = {
        "name": words(slug),
        "description": f"{words(slug)} from {app.name}",
        "kind": kind,
        "config": _settings_twice(place),
        "meta": {"schema": _SMALL},
        "mode": _mode(app, slug, place),
        "preview": ("none", "records", "count")[place % 3],
    }
    if place % 2:
        extractor |= {"columns": {"schema": _SMALL}, "credits": {"costs": _COSTS[0]}}
    if place % 3:
        limits = {"rateLimits": _rate_limits("day", 10_000), "retry": _RETRY}
        extractor |= limits | {"fetching": {"retry": _RETRY, "withRateLimit": False}, "unifications": [_UNIFICATION]}
    return extractor


def _mode(app: App, slug: str, place: int) -> Wire:
    if slug.startswith("listen"):
        # Whatever is posted to an HTTP hook comes from outside; the others register their hook themselves.
        return {"kind": "ingest", "autoIngest": app.slug != "http"}
    mode: Wire = {"kind": "fetch", "isIncremental": place % 2 == 0}
    if place % 3 == 0:
        return mode
    strategy = "append" if place % 2 else "overwrite"
    return mode | {
        "isWatchable": place % 4 == 1, "minIntervalInSeconds": 300, "autoFetch": True, "writeStrategy": strategy
    }  # fmt: skip


def _native_extractor(slug: str) -> Wire:
    """Return how a native model or library gets what it holds; its records are written through the API."""
    is_file = slug == "uploadFiles"
    return {
        "name": words(slug),
        "description": words(slug),
        "kind": "file" if is_file else "record",
        "icon": f"https://icons.example/native/{slug}.svg",
        "category": "unify" if slug in {"defineAccount", "defineContact"} else "object",
        "config": _settings(len(slug)),
        "meta": {"schema": _SMALL},
        "mode": {"kind": "fetch", "isIncremental": False},
        "preview": "none",
    }


def custom_integrations(team: Team) -> dict[str, Wire]:
    """Return every integration that the workspace made itself, by uuid; the first ones are in the catalogue."""
    stream = Stream(team.seed, "custom integrations")
    found = {}
    for place, slug in enumerate(_CUSTOM):
        uuid = uuid_for(team.seed, "custom integration", slug)
        made = team.created + stream.whole(0, 30 * DAY)
        kind = "worker" if place % 3 == 2 else "external"
        moved = made + stream.whole(0, 60 * DAY)
        where = (
            {"workerUuid": stream.uuid()}
            if kind == "worker"
            else {"baseUrl": f"https://{slug.replace('_', '-')}.marsh.example/v1"}
        )
        found[uuid] = {
            "uuid": uuid,
            "workspaceUuid": team.workspace_uuid,
            "slug": slug,
            "kind": kind,
            **where,
            "createdAt": iso(made),
            "updatedAt": iso(moved),
            "deletedAt": iso(moved) if place == len(_CUSTOM) - 2 else None,
        }
    return found
