"""Connectors: the workspace's accounts at other systems, with their credentials."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, MINUTE, iso
from cargo_source.sandbox.workspace.manifests import APPS
from cargo_source.sandbox.workspace.writing import Unwritable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cargo_source.sandbox.workspace.team import Team
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

SOURCES = ("google_drive", "notion", "sharepoint", "confluence", "dropbox")
"""Where libraries get their files from."""
_SECOND = (
    ("hubspot_emea", "hubspot"), ("slack_support", "slack"), ("openai_own", "openai"), ("stripe_us", "stripe"),
    ("salesforce_sandbox", "salesforce"), ("postgres_replica", "postgres"), ("gmail", "gmail"), ("lemlist", "lemlist"),
)  # fmt: skip
"""Connectors that nothing refers to, each with its integration."""
_INTEGRATIONS = {"agent": "airtable", "agent_": "airtable"}
"""The integrations of connectors that are not called after them."""
_BILLED = frozenset({"clearbit", "apollo", "outreach", "openai", "anthropic"})
"""Connectors that use the platform's own accounts, and so its credits: they have no credentials."""
_RATE_LIMITS: tuple[Wire | None, ...] = (
    None,
    {"unit": "second", "max": 10, "strategy": "spread"},
    {"unit": "minute", "max": 100, "strategy": "burst"},
    {"unit": "hour", "max": 5000, "strategy": "burst"},
    {"unit": "day", "max": 100_000, "strategy": "spread"},
)


def source_uuid(team: Team, slug: str) -> str:
    """Return the uuid of a connector that libraries get their files through."""
    return uuid_for(team.seed, "connector", slug)


def connectors(team: Team) -> dict[str, Wire]:
    """Return every connector by uuid."""
    stream = Stream(team.seed, "connectors")
    known = [(slug, _INTEGRATIONS.get(slug, slug), uuid) for slug, uuid in team.connectors.items()]
    known += [(slug, slug, source_uuid(team, slug)) for slug in SOURCES]
    known += [(slug, integration, stream.uuid()) for slug, integration in _SECOND]
    found = {}
    for place, (slug, integration, uuid) in enumerate(known):
        row = _connector(team, (uuid, slug, integration), place, team.created + place * 1000, stream)
        row["updatedAt"] = iso(team.created + MINUTE + stream.whole(0, 100 * DAY))
        found[uuid] = row
    for slug in ("bigquery", "lemlist"):  # the dataset of the first is deleted too
        gone = next(row for row in found.values() if row["slug"] == slug)
        gone["deletedAt"] = gone["updatedAt"] = iso(team.created + 50 * DAY)
    return found


def _connector(team: Team, head: tuple[str, str, str], place: int, moment: int, stream: Stream) -> Wire:
    uuid, slug, integration = head
    billed = slug in _BILLED
    return {
        "uuid": uuid,
        "workspaceUuid": team.workspace_uuid,
        "userUuid": stream.pick(team.users),
        "name": slug.replace("_", " ").strip().title(),
        "slug": slug,
        "rateLimit": _RATE_LIMITS[place % len(_RATE_LIMITS)],
        "cacheTtlMilliseconds": 3_600_000 if place % 3 == 0 else None,
        "integrationSlug": integration,
        "isDefault": slug == integration,
        "playsCount": 0,
        "toolsCount": 0,
        "modelsCount": 0,
        "useCredits": billed,
        "config": None if billed else _config(team, uuid, place),
        "createdAt": iso(moment),
        "updatedAt": iso(moment),
        "deletedAt": None,
    }


def _config(team: Team, uuid: str, place: int) -> Wire:
    """Return settings with two credentials: one in the open, one marked as encrypted; at the top, or deep inside."""
    token = team.secret("connector", uuid, "token")
    key = team.encrypted("connector", uuid, "key")
    kinds: tuple[Wire, ...] = (
        {"authentication": {"kind": "oauth2", "tokens": {"access": token, "refresh": key}}, "region": "eu1"},
        {"apiKey": key, "headers": [{"name": "x-signature", "value": token}]},
        {"host": "db.marsh.example", "port": 5432, "password": token, "tunnel": {"privateKey": key}},
    )
    return kinds[place % len(kinds)]


def add(world: World, stream: Stream, moment: int) -> Wire:
    """Connect another system, or another account at one."""
    app = stream.pick(APPS)
    slug = f"{app.slug}_{stream.whole(10_000, 99_999)}"
    return _connector(world.team, (stream.uuid(), slug, app.slug), stream.whole(0, 14), moment, stream)


def connect(world: World, sent: Wire) -> tuple[Wire, Wire]:
    """Connect what a client describes, and give the connector with its dataset, which holds nothing yet.

    Raises:
        Unwritable: There is no such integration, or the slug is one of another connector or dataset.
    """
    slug, integration, team = sent["slug"], sent["integrationSlug"], world.team
    if integration not in world.tables["integrations"]:
        raise Unwritable(reason="integrationNotFound")
    if any(row["slug"] == slug for name in ("connectors", "datasets") for row in world.tables[name].values()):
        raise Unwritable(f"Slug {slug} is taken")
    world.tick()
    head = (uuid_for(team.seed, "connected", slug), slug, integration)
    connector = _connector(team, head, 0, world.moment, Stream(team.seed, "connected", slug))
    connector |= {"name": sent["name"], "config": sent.get("config", {}), "useCredits": False, "isDefault": False}
    connector |= {"rateLimit": sent.get("rateLimit"), "cacheTtlMilliseconds": sent.get("cacheTtlMilliseconds")}
    dataset = {
        "uuid": uuid_for(team.seed, "dataset", slug),
        "workspaceUuid": team.workspace_uuid,
        "slug": slug,
        "kind": "connector",
        "connectorUuid": connector["uuid"],
        "createdAt": connector["createdAt"],
        "updatedAt": connector["createdAt"],
        "deletedAt": None,
    }
    world.tables["connectors"][connector["uuid"]] = connector
    world.tables["datasets"][dataset["uuid"]] = dataset
    world.revision += 1
    return connector, dataset


def retune(connector: Wire, stream: Stream, _moment: int) -> None:
    """Give a connector another rate limit."""
    # One that a client made may have any limit.
    place = _RATE_LIMITS.index(connector["rateLimit"]) if connector["rateLimit"] in _RATE_LIMITS else 0
    connector["rateLimit"] = _RATE_LIMITS[(place + stream.whole(1, len(_RATE_LIMITS) - 1)) % len(_RATE_LIMITS)]


def is_loose(world: World, connector: Wire) -> bool:
    """Tell whether nothing refers to a connector."""
    team = world.team
    named = {*team.connectors.values(), *(source_uuid(team, slug) for slug in SOURCES)}
    held = any(dataset["connectorUuid"] == connector["uuid"] for dataset in world.tables["datasets"].values())
    return not held and connector["uuid"] not in named


def count_uses(world: World) -> None:
    """Set how many plays, tools and models use each connector; deleted ones do not count, nor do archived nodes."""
    uses: dict[str, Counter[str]] = {"plays": Counter(), "tools": Counter(), "models": Counter()}
    for model in world.tables["models"].values():
        uses["models"][model["connectorUuid"]] += model["deletedAt"] is None
    for name in ("plays", "tools"):
        for row in world.tables[name].values():
            named = set(_named(world.tables["workflows"][row["workflowUuid"]]["nodes"]))
            uses[name].update(named if row["deletedAt"] is None else ())
    for uuid, connector in world.tables["connectors"].items():
        for name, counted in uses.items():
            connector[f"{name}Count"] = counted[uuid]


def _named(nodes: list[Wire]) -> Iterator[str]:
    for node in nodes:
        if node.get("connectorUuid") and not node["isArchived"]:
            yield node["connectorUuid"]
        yield from _named(node.get("nodes", []))
