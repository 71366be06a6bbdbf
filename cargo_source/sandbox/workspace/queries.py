"""The warehouse's query log: what the platform itself asked, with physical table names and cells in the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, MINUTE, SECOND, iso

if TYPE_CHECKING:
    from collections import Counter

    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.workspace.happening import Stretch
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

LOGGED_DAYS = 9
"""The log reaches back so far."""
PER_DAY = 36


def log_history(world: World) -> None:
    """Write the log of the days before the start."""
    stream = Stream(world.seed, "queries")
    for moment in stream.moments(PER_DAY * LOGGED_DAYS, world.moment - LOGGED_DAYS * DAY, world.moment - MINUTE):
        _log(world, moment, stream)


def keep_logging(world: World, within: Stretch) -> Counter[str]:
    """Append what was asked meanwhile."""
    for moment in within.stream.moments(within.often(PER_DAY), within.before + 1, within.after):
        _log(world, moment, within.stream)
        within.counts["queriesLogged"] += 1
    return within.counts


def _log(world: World, moment: int, stream: Stream) -> None:
    """Write one entry; its query has begun and ended by then."""
    synced = [world.spec_of(uuid) for uuid, model in world.tables["models"].items() if model["lastEmittedAt"]]
    began = moment - stream.whole(50, 20 * SECOND)
    spec = stream.pick(synced)
    uuid = stream.uuid()
    query = _query(world, spec, uuid, stream)
    wrong = stream.chance(0.08)
    world.tables["warehouse_queries"][uuid] = {
        "uuid": uuid,
        "workspaceUuid": world.team.workspace_uuid,
        "systemOfRecordUuid": uuid_for(world.seed, "system of record"),
        "query": query.replace("`_id`", "`_idd`") if wrong else query,
        "status": "error" if wrong else "success",
        "processedBytesCount": 0 if wrong else 1024 * stream.whole(1, 90_000),
        "errorMessage": "Unrecognized name: _idd; Did you mean _id?" if wrong else None,
        "startedAt": iso(began),
        "finishedAt": iso(moment - 1),
        "createdAt": iso(moment),
    }


def _query(world: World, spec: ModelSpec, uuid: str, stream: Stream) -> str:
    """Return a query over a model's table, as the platform or a person may have written it."""
    table = world.warehouse.physical_name(spec, world.team.workspace_uuid)
    person = world.team.personal("query", uuid)
    return stream.pick(
        (
            f"SELECT `_id`, `_title` FROM `{table}` WHERE `_title` = '{person}'",
            f"SELECT count(DISTINCT `_id`) AS n FROM `{table}`",
            f"SELECT * FROM `{table}` WHERE `_id` = '{person}' OR `_title` LIKE '%{stream.whole(1, 99)}%' LIMIT 100",
            f"SELECT t.`_id` FROM `{table}` AS t WHERE t.`_title` IS NOT NULL ORDER BY t.`_id` LIMIT 50",
        )
    )
