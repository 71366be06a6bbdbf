"""Segments: who is meant to be in them, as the API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, HOUR, iso
from cargo_source.sandbox.workspace.audiences import AUDIENCES, Audience
from cargo_source.sandbox.workspace.plays import segment_uuid

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]


def make_segments(world: World) -> dict[str, Wire]:
    """Return every segment by uuid; none is evaluated yet."""
    names = {audience.name: segment_uuid(world.seed, place) for place, audience in enumerate(AUDIENCES)}
    segments = [_segment(world, place, audience, names) for place, audience in enumerate(AUDIENCES)]
    return {segment["uuid"]: segment for segment in segments}


def _segment(world: World, place: int, audience: Audience, names: dict[str, str]) -> Wire:
    stream = Stream(world.seed, "segment", place)
    made = world.team.created + stream.whole(HOUR, 20 * DAY)
    uuid = segment_uuid(world.seed, place)
    return {
        "uuid": uuid,
        "workspaceUuid": world.team.workspace_uuid,
        "userUuid": stream.pick(world.team.users),
        "modelUuid": uuid_for(world.seed, "model", audience.model),
        "slug": f"segment_{uuid[:8]}",
        "name": audience.name,
        "filter": _resolved(audience.filter(), world.seed, names),
        "sort": [{"columnSlug": slug, "kind": kind} for slug, kind in audience.sort] or None,
        "limit": audience.limit,
        "recordsCount": 0,
        "fromPlay": audience.from_play,
        "trackingColumnSlugs": list(audience.tracking) if audience.tracking else None,
        "columnSlugs": list(audience.columns) if audience.columns else None,
        "syncedAt": None,
        "createdAt": iso(made),
        "updatedAt": iso(made + stream.whole(0, HOUR)),
        "deletedAt": iso(world.moment - DAY) if audience.deleted else None,
        "lastChange": None,
    }


def _resolved(tree: Wire, seed: int, names: dict[str, str]) -> Wire:
    """Put uuids where the definition names a segment, model or workflow."""
    for group in tree["groups"]:
        group["conditions"] = [_condition(condition, seed, names) for condition in group["conditions"]]
    return tree


def _condition(condition: Wire, seed: int, names: dict[str, str]) -> Wire:
    found = dict(condition)
    if "segmentUuid" in found:
        found["segmentUuid"] = names[found["segmentUuid"]]
    for field, thing in (("relatedModelUuid", "model"), ("workflowUuid", "workflow")):
        if field in found:
            found[field] = uuid_for(seed, thing, found[field])
    return found


def count_uses(world: World) -> None:
    """Set how many segments and plays each model has; deleted ones do not count."""
    for name in ("segments", "plays"):
        for model in world.tables["models"].values():
            model[f"{name}Count"] = 0
        for each in world.tables[name].values():
            world.tables["models"][each["modelUuid"]][f"{name}Count"] += each["deletedAt"] is None
