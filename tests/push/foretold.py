"""A random push through the front door, whose plan is held against what the workspace then sets off."""

import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa

from cargo_source.sandbox.workspace.reacting import react
from tests.push.playing import UNLIMITED, model_of, opened, stored
from tests.small import small_box

MODELS = {
    "default.companies": (
        "domain",
        {"stage": ["lead", "qualified", "customer", "churned"], "country": ["France", None]},
    ),
    "default.contacts": ("email", {"isSubscribed": [True, False, None], "jobTitle": ["CEO", "Ops", None]}),
    "default.deals": ("id", {"amount": [1.0, 130_000.0, 240_000.0, None], "stage": ["won", "lost", "proposal"]}),
    "default.targets": ("externalId", {"priority": [1, 2, 5, None], "score": [0.5, 0.25]}),
}


def play(random, seed):
    """Push into a workspace of its own; give how many forecasts of plays were sure, and how many were not."""
    called = random.choice(sorted(MODELS))
    key, choices = MODELS[called]
    with small_box(seed) as box, opened(box) as ws, tempfile.TemporaryDirectory() as folder:
        model = model_of(box, *called.split("."))
        world = box.world
        # Segments know who is in them now: a plan foretells what it sets off itself.
        react(world, {model}, "settle")
        rows = sorted(stored(box, model).values(), key=lambda row: row["_id"])
        there = [row for row in rows if row[key] is not None and sum(each[key] == row[key] for each in rows) == 1]
        mode = random.choice(["update", "upsert"]) if key not in {"id", "externalId"} else "update"
        frame = [
            {key: row[key], **{name: random.choice(values) for name, values in choices.items()}}
            for row in random.sample(there, min(len(there), random.randrange(1, 25)))
        ]
        if mode == "upsert":
            news = [f"new-{n}.example" for n in range(random.randrange(6))]
            frame += [{key: name, **{n: random.choice(v) for n, v in choices.items()}} for name in news]
        wish = {"key": key, "mode": mode, "ledger": Path(folder) / "ledger.duckdb", "limits": UNLIMITED}
        plan = ws.push(pa.Table.from_pylist(frame), called, **wish)
        radius = plan.facts.radius
        before = {uuid: segment["lastChange"] for uuid, segment in world.tables["segments"].items()}
        plan.apply()
        started = Counter(each.play for each in world.writing.react())
        check_plays(radius, started)
        check_segments(radius, world, before)
        assert radius.line.split(" ")[0] in {"would", "starts", "what"}
        return sum(each.runs is not None for each in radius.plays), sum(each.runs is None for each in radius.plays)


def check_plays(radius, started):
    """Hold the runs that were foretold against those that were started."""
    foretold = {each.uuid: each for each in radius.plays}
    assert set(started) <= set(foretold), "a play that was not foretold has started"
    for uuid, each in foretold.items():
        if each.runs is not None:
            assert each.runs == started[uuid], each
        elif each.at_most is not None:
            assert started[uuid] <= each.at_most, each


def check_segments(radius, world, before):
    """Hold the records that were to enter, leave and change against the last change of each segment."""
    for each in radius.segments:
        segment = world.tables["segments"][each.uuid]
        change = segment["lastChange"] if segment["lastChange"] != before[each.uuid] else None
        for kind, count in (("added", each.entering), ("removed", each.leaving), ("updated", each.changed)):
            found = change[f"{kind}RecordsCount"] if change else 0
            if count is not None:
                assert count == found, (each, kind, found)
