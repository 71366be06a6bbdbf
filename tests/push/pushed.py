"""Random pushes into a sandbox: what they would change, as the blast radius takes it, and what they set off."""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import duckdb
import httpx
import pyarrow as pa

from cargo_source.api import CargoClient
from cargo_source.explore import FOLD
from cargo_source.pull.options import Options
from cargo_source.pull.records import Model, choose, list_models, shape_model
from cargo_source.pull.session import Session
from cargo_source.push.radius import Radius, Touched, Watchers, watchers
from cargo_source.sandbox import Sandbox
from cargo_source.sandbox.workspace.reacting import react
from cargo_source.settings import Secret, Settings

TYPES = {"text": "VARCHAR", "json": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "decimal": "DECIMAL(38, 9)"}
TYPES |= {"boolean": "BOOLEAN", "timestamp": "TIMESTAMPTZ"}
if TYPE_CHECKING:
    from cargo_source.pull.shapes import Shape

Wire = dict[str, Any]


@dataclass
class Writes:
    """What a push would do to a model: rows to create, cells to update by id, ids to remove."""

    creates: list[Wire] = field(default_factory=list)
    updates: dict[str, Wire] = field(default_factory=dict)
    removes: list[str] = field(default_factory=list)


class Pusher:
    """Writes into one model of a sandbox, and foretells it before."""

    def __init__(self, box: Sandbox, name: str, token: str | None = None) -> None:
        self.box = box
        self.session = Session(CargoClient(Settings(Secret(token or box.token), box.url)), Options(), "r", {}, None)
        self.models = list_models(self.session, FOLD)
        self.model: Model = choose(self.models, [name])[0]
        self.shape: Shape = shape_model(self.session, self.model, FOLD)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def rows(self) -> dict[str, Wire]:
        """Give the rows of the model as they are now, by id."""
        return {row["_id"]: row for row in self.box.truth_rows(self.model.uuid)}

    def settle(self) -> None:
        """Have every segment know who is in it now."""
        react(self.box.world, {self.model.uuid}, f"settle {self.box.world.revision}")

    def watch(self, conditions: list[Wire], **more: Any) -> str:
        """Have a new segment watch the model, and give its uuid."""
        world = self.box.world
        uuid = str(uuid4())
        join = more.pop("conjonction", "and")
        tree = {"conjonction": "and", "groups": [{"conjonction": join, "conditions": conditions}]}
        like = next(iter(world.tables["segments"].values()))
        plain = {"filter": tree if conditions else {"conjonction": "and", "groups": []}, "sort": None, "limit": None}
        plain |= {"trackingColumnSlugs": None, "columnSlugs": None, "deletedAt": None, "lastChange": None}
        own = {"uuid": uuid, "modelUuid": self.model.uuid, "name": uuid[:8], "syncedAt": like["createdAt"]}
        world.tables["segments"][uuid] = like | plain | own | more
        world.revision += 1
        return uuid

    def watchers(self) -> Watchers:
        """Find out who watches the model."""
        return watchers(self.session, self.model, self.models, self.shape)

    def foretell(self, writes: Writes) -> Radius:
        """Give the radius of writes."""
        watching = self.watchers()
        with duckdb.connect(config={"threads": 1}) as db:
            return watching.radius(self.touched(db, writes, watching.fields))

    def touched(self, db: duckdb.DuckDBPyConnection, writes: Writes, fields: frozenset[str]) -> Touched:
        """Put what writes would change into tables as the engine does."""
        db.execute("SET TimeZone = 'UTC'")
        present = self.rows()
        afterwards = [(None, row, dict.fromkeys(next(iter(present.values()), {})) | row) for row in writes.creates]
        afterwards += [(key, cells, present[key] | cells) for key, cells in writes.updates.items()]
        self._fill(db, "present", [*present.values()], fields)
        self._fill(db, "later", [row | {"_id": key} for key, _, row in afterwards], fields)
        changed = pa.array([list(cells) for _, cells, _ in afterwards], pa.list_(pa.string()))
        db.register("named", pa.table({"changed": changed}))
        db.execute(
            "CREATE TABLE after AS SELECT row_number() OVER () AS seq, l.*, n.changed "
            "FROM later l POSITIONAL JOIN named n"
        )
        db.register("gone", pa.table({"_id": pa.array(writes.removes, pa.string())}))
        db.execute("CREATE TABLE removed AS FROM gone")
        return Touched(db, "present", "after", "removed")

    def _fill(self, db: duckdb.DuckDBPyConnection, table: str, rows: list[Wire], fields: frozenset[str]) -> None:
        types = {column.field: column.type for column in self.shape.columns if column.field in fields | {"_id"}}
        cells = {name: [_told(row.get(name), kind) for row in rows] for name, kind in types.items()}
        db.register("told", pa.table({name: pa.array(each, pa.string()) for name, each in cells.items()}))
        typed = ", ".join(f'CAST("{name}" AS {TYPES[kind]}) AS "{name}"' for name, kind in types.items())
        db.execute(f"CREATE TABLE {table} AS SELECT {typed} FROM told")

    def apply(self, writes: Writes) -> None:
        """Write for real."""
        headers = {"authorization": f"Bearer {self.box.token}"}
        whose = {"modelUuid": self.model.uuid}
        with httpx.Client(base_url=f"{self.box.url}/v1/storage/records", headers=headers, timeout=20) as http:
            if writes.creates:
                sent = [{"data": row} for row in writes.creates]
                assert http.post("/createBulk", json=whose | {"records": sent}).status_code == 200
            if writes.updates:
                sent = [{"id": key, "data": cells} for key, cells in writes.updates.items()]
                assert http.put("/updateBulk", json=whose | {"records": sent}).status_code == 200
            if writes.removes:
                sent = whose | {"ids": writes.removes}
                assert http.request("DELETE", "/removeBulk", json=sent).status_code == 204

    def outcome(self) -> tuple[dict[str, Counter], Counter]:
        """Give what the writes set off: changes by segment, and runs by play."""
        started = Counter(each.play for each in self.box.world.writing.react())
        newest = {row["uuid"]: row["lastChange"] for row in self.box.truth("segments") if row["lastChange"]}
        kinds = {"entering": "added", "leaving": "removed", "changed": "updated"}
        found = {
            uuid: Counter({told: change[f"{kind}RecordsCount"] for told, kind in kinds.items()})
            for uuid, change in newest.items()
        }
        return found, started

    def draw(self, lot: random.Random, creates: int, updates: int, removes: int) -> Writes:
        """Draw writes of cells that other rows have, so that segments move."""
        rows = self.rows()
        pool = list(rows.values())
        own = sorted({column["slug"] for column in self.model.row["columns"]} - {self.model.row["idColumnSlug"]})
        new = [{slug: _like(lot.choice(pool)[slug], lot) for slug in own if lot.random() < 0.8} for _ in range(creates)]
        chosen = lot.sample(sorted(rows), min(len(rows), updates + removes))
        changes = {}
        for key in chosen[:updates]:
            cells = {
                slug: _like(lot.choice(pool)[slug], lot) for slug in lot.sample(own, lot.randint(1, min(4, len(own))))
            }
            cells = {slug: None if lot.random() < 0.1 else cell for slug, cell in cells.items()}
            changed = {slug: cell for slug, cell in cells.items() if cell != rows[key][slug]}
            if changed:
                changes[key] = changed
        return Writes(new, changes, chosen[updates:])


def _like(cell: Any, lot: random.Random) -> Any:
    """Give a cell, or where it is a number mostly another one like it, so that few rows are level."""
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell + lot.choice([0, 1, 1, 1]) * lot.randint(1, 50)
    return cell * lot.choice([1, lot.uniform(0.5, 1.5)]) if isinstance(cell, float) else cell


def _told(cell: Any, kind: str) -> str | None:
    if cell is None:
        return None
    if kind == "json":
        return json.dumps(cell)
    return str(cell)
