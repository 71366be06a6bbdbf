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
_COSTS: tuple[list[Wire], ...] = (
    [{"type": "fixed", "cost": 0.5}],
    [{"type": "unit", "cost": 0.125, "unit": "record", "unitsCount": 1, "fixedCost": 0.25}],
    [{"type": "package", "cost": 4, "unitsCount": 100, "config": {"roundUp": True}}, {"type": "fixed", "cost": 0}],
)
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
    actions = {
        slug: action | {"category": NATIVE_CATEGORIES[slug], "childrenCount": 2 if slug == "branch" else 1}
        for slug, action in _actions(NATIVE, 0).items()
    }
    extractors = {slug: _native_extractor(slug) for slug in NATIVE.extractors.split()}
    return {"actions": actions, "extractors": extractors}


def _integration(app: App, place: int) -> Wire:
    more: Wire = {
        "icon": f"https://icons.example/{app.slug}.svg",
        "color": f"#{place * 4321 % 0xFFFFFF:06x}",
        "url": f"https://{app.slug.replace('_', '-')}.example",
        "subCategories": ["b2b", app.category][: 1 + place % 2],
        "documentationPath": f"/integrations/{app.slug}",
        "autocompletes": [{"slug": "listFields", "params": {"objectType": "string"}}],
        "dynamicSchemas": {"fields": {"dependsOn": ["objectType"]}},
    }
    return {
        "slug": app.slug,
        "name": app.name,
        "description": f"{app.name} for {app.category} teams",
        "category": app.category,
        **(more if place % 6 else {"icon": more["icon"]}),
        "connector": {"config": _settings(place + 1), "rateLimit": {"unit": "second", "max": 10}},
        "actions": _actions(app, place),
        "extractors": {slug: _extractor(app, slug, place + turn) for turn, slug in enumerate(app.extractors.split())},
    }


def _settings(place: int) -> Wire:
    """Return the settings of something as schemas, as large as they are in such manifests."""
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
    return {"jsonSchema": shape, "schema": {"kind": "form", "fields": names}, "uiSchema": widgets}


def _actions(app: App, place: int) -> dict[str, Wire]:
    slugs = app.actions.split()
    return {slug: _action(slug, place + turn) for turn, slug in enumerate(slugs)}


def _action(slug: str, place: int) -> Wire:
    action: Wire = {"name": words(slug), "description": f"{words(slug)}, once per record", "config": _settings(place)}
    if place % 2:
        costs = {"costs": _COSTS[place // 2 % len(_COSTS)], "rateLimits": [{"unit": "minute", "max": 60}]}
        action |= {"icon": f"https://icons.example/{slug}.svg", "isSerialized": place % 4 == 1, "credits": costs}
    if place % 3:
        limits = [{"unit": "second", "max": 5}]
        action |= {"meta": {"version": place}, "rateLimits": limits, "isRateLimited": True, "caching": {"ttl": 60_000}}
    if place % 4:
        timing = {"retry": {"maximumAttempts": 3}, "executing": {"timeout": 30_000}}
        action |= timing | {"children": [{"slug": "next"}], "output": {"jsonSchema": {"type": "object"}}}
    return action


def _extractor(app: App, slug: str, place: int) -> Wire:
    kind = "query" if slug == "query" else "file" if slug in {"fetchFiles", "fetchPages"} else "record"
    extractor: Wire = {"name": words(slug), "kind": kind, "config": _settings(place), "mode": _mode(app, slug, place)}
    if place % 2:
        extractor |= {
            "description": f"{words(slug)} from {app.name}",
            "icon": f"https://icons.example/{app.slug}.svg",
            "category": "object" if place % 4 == 1 else "unify",
            "meta": {"version": place},
            "columns": {"jsonSchema": {"type": "object"}},
            "credits": {"costs": _COSTS[0]},
        }
    if place % 3:
        limits = {"rateLimits": [{"unit": "day", "max": 10_000}], "retry": {"maximumAttempts": 5}}
        extractor |= limits | {"fetching": {"pageSize": 100}, "unifications": [{"type": "account"}]}
    return extractor | {"preview": ("none", "records", "count")[place % 3]}


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
    """Records of native models are written through the API: their extractors have no mode."""
    kind = "file" if slug == "uploadFiles" else "record"
    return {"name": words(slug), "kind": kind, "config": _settings(len(slug)), "preview": "none"}


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
