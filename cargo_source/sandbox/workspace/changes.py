"""Changes: what the evaluation of a segment found, compared with the evaluation before."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.filters import membership
from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, MINUTE, iso
from cargo_source.sandbox.workspace.audiences import AUDIENCES
from cargo_source.sandbox.workspace.plays import segment_uuid
from cargo_source.sandbox.workspace.warehouse import listed_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]
Rows = dict[str, Wire]

KINDS = ("added", "updated", "removed", "unchanged")
OUTSIDERS = 12
"""How many records that are not in a segment today were in it once."""
UPDATED = 0.07
"""How many of a tracked segment's records were updated between two evaluations of the past."""
_META = frozenset({"_id", "_title", "_emitted_at"})


class Changes:
    """Evaluates segments; remembers who was in each of them last, as unchanged change rows."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._members: dict[str, Rows] = {}

    def write_history(self) -> None:
        """Give every evaluated segment the changes that led to what it holds at the start."""
        inside: dict[str, list[str]] = {}
        once: dict[str, list[str]] = {}
        streams: dict[str, Stream] = {}
        for place, audience in enumerate(AUDIENCES):
            uuid = segment_uuid(self._world.seed, place)
            if audience.changes:
                segment = self._world.tables["segments"][uuid]
                streams[uuid] = Stream(self._world.seed, "history", place)
                inside[uuid] = self._ids_in(segment)
                once[uuid] = self._ids_out(segment, set(inside[uuid]), streams[uuid])
        pools = self._change_rows({uuid: inside[uuid] + once[uuid] for uuid in inside})
        counts = {segment_uuid(self._world.seed, place): audience.changes for place, audience in enumerate(AUDIENCES)}
        for uuid, pool in pools.items():
            self._members[uuid] = {key: pool[key] for key in inside[uuid]}
            self._write_history(self._world.tables["segments"][uuid], pool, counts[uuid], streams[uuid])

    def _write_history(self, segment: Wire, pool: Rows, count: int, stream: Stream) -> None:
        """Let records join, be updated and leave, so that the last evaluation finds today's members."""
        inside = self._members[segment["uuid"]]
        joins = {key: max(0, stream.whole(-count, count - 1)) for key in inside}
        joins |= {key: stream.whole(0, max(0, count - 2)) for key in pool if key not in inside}
        leaves = {
            key: stream.whole(joins[key] + 1, max(count - 1, joins[key] + 1)) for key in pool if key not in inside
        }
        before: Rows = {}
        end = self._world.moment - MINUTE
        for turn, moment in enumerate(stream.moments(count, end - min(100, 10 + count) * DAY, end)):
            last = turn == count - 1
            now = inside if last else {k: row for k, row in pool.items() if joins[k] <= turn < leaves.get(k, count)}
            touched = {k for k in now if stream.chance(UPDATED)} if segment["trackingColumnSlugs"] else set()
            self._record(segment, _compared(before, now, touched), moment, stream)
            before = now
        segment["recordsCount"] = len(inside)

    def evaluate(self, due: dict[str, int], stream: Stream) -> dict[str, list[tuple[str, Wire]]]:
        """Evaluate segments, each at its moment, and write down their changes; return the rows of each, with kinds."""
        segments = self._world.tables["segments"]
        inside = self._change_rows({uuid: self._ids_in(segments[uuid]) for uuid in due})
        found = {}
        for uuid, moment in due.items():
            before = self._members.get(uuid, {})
            # What did not move stays the very object that earlier changes hold.
            now = {key: before[key] if before.get(key) == row else row for key, row in inside[uuid].items()}
            tracked = segments[uuid]["trackingColumnSlugs"] or ()
            touched = {k for k in now if k in before and any(before[k].get(c) != now[k].get(c) for c in tracked)}
            found[uuid] = _compared(before, now, touched)
            self._members[uuid] = now
            self._record(segments[uuid], found[uuid], moment, stream)
            segments[uuid]["recordsCount"] = len(now)
        return found

    def _record(self, segment: Wire, rows: list[tuple[str, Wire]], moment: int, stream: Stream) -> None:
        world = self._world
        uuid = stream.uuid()
        kinds = Counter(kind for kind, _ in rows)
        head = {
            "uuid": uuid,
            "slug": f"change_{uuid[:8]}",
            "totalRecordsCount": len(rows),
            **{f"{kind}RecordsCount": kinds[kind] for kind in KINDS},
            "createdAt": iso(moment),
        }
        whose = {"workspaceUuid": segment["workspaceUuid"], "segmentUuid": segment["uuid"]}
        world.tables["changes"][uuid] = head | whose
        world.change_rows[uuid] = [row if kind == "unchanged" else row | {"_kind": kind} for kind, row in rows]
        segment |= {"lastChange": head, "syncedAt": iso(moment)}
        segment["updatedAt"] = max(segment["updatedAt"], iso(moment))

    def _ids_in(self, segment: Wire) -> list[str]:
        found = self._world.db.execute(f"SELECT _id FROM ({membership(segment, self._world)}) ORDER BY _id")
        return [row[0] for row in found.fetchall()]

    def _ids_out(self, segment: Wire, inside: set[str], stream: Stream) -> list[str]:
        spec = self._world.spec_of(segment["modelUuid"])
        drawn = self._world.warehouse.draw_ids(spec, 4 * OUTSIDERS, stream.uuid())
        return [key for key in drawn if key not in inside][:OUTSIDERS]

    def _change_rows(self, wanted: dict[str, list[str]]) -> dict[str, Rows]:
        """Return change rows by segment and id; a model's rows are read once for all its segments."""
        segments = self._world.tables["segments"]
        by_model: dict[str, dict[str, None]] = {}
        for uuid, keys in wanted.items():
            by_model.setdefault(segments[uuid]["modelUuid"], {}).update(dict.fromkeys(keys))
        read = {model: self._read(model, keys) for model, keys in by_model.items()}
        found = {}
        for uuid, keys in wanted.items():
            model = segments[uuid]["modelUuid"]
            spec, rows = self._world.spec_of(model), read[model]
            found[uuid] = {key: _change_row(spec, segments[uuid], rows[key]) for key in keys}
        return found

    def _read(self, model: str, keys: Iterable[str]) -> Rows:
        spec = self._world.spec_of(model)
        rows = self._world.warehouse.wire_rows(spec, f"WHERE t._id IN ({listed_ids(keys)})")
        return {row["_id"]: row for row in rows}


def _change_row(spec: ModelSpec, segment: Wire, row: Wire) -> Wire:
    shown: Iterable[str] = segment["columnSlugs"] or (name for name in row if name not in _META)
    time = row[spec.time] if spec.time else None
    head = {"_kind": "unchanged", "_id": row["_id"], "_title": row["_title"], "_time": time}
    # A column that a segment names may have been removed since.
    return head | {name: row[name] for name in shown if name in row}


def _compared(before: Rows, now: Rows, touched: set[str]) -> list[tuple[str, Wire]]:
    """Return every record that is or was in a segment with what became of it, in the order of their ids."""
    kinds = {
        key: "removed"
        if key not in now
        else "added"
        if key not in before
        else "updated"
        if key in touched
        else "unchanged"
        for key in sorted(before.keys() | now.keys())
    }
    return [(kind, now.get(key) or before[key]) for key, kind in kinds.items()]
