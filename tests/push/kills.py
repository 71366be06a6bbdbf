"""A push in a process of its own that is killed at a chosen point, and the next one that goes on."""

import random
import tempfile
from functools import partial
from pathlib import Path
from unittest.mock import patch

from cargo_source.errors import StopAndLook, TryLater
from tests.properties.kills import Door, Kill, Point, killed
from tests.push.mirrors import COLUMNS, expected
from tests.push.playing import (
    UNLIMITED,
    as_given,
    as_it_was,
    check_journal,
    check_same,
    model_of,
    new_row,
    opened,
    push_before,
    random_frame,
    stored,
    written,
)

PACE = 0.01
POINTS = {
    "staged": Point("cargo_source.push.planning", "stage", "after", 1),
    "compared": Point("cargo_source.push.compare", "Comparison.make", "after", 2),
    "journal begun": Point("cargo_source.push.journal", "Journal.begin", "after", 1),
    "intent written": Point("cargo_source.push.journal", "Journal.send", "after", 1),
    "sent": Point("cargo_source.push.applying", "send", "before", 1),
    "answered": Point("cargo_source.push.applying", "send", "after", 1),
    "fate written": Point("cargo_source.push.journal", "Journal.tell", "after", 1),
    "end written": Point("cargo_source.push.journal", "Journal.end", "after", 1),
    "ledger not written": Point("cargo_source.push.ledger_places", "DuckDbFile.replace", "before", 1),
    "ledger written": Point("cargo_source.push.ledger_places", "DuckDbFile.replace", "after", 1),
}
FEW = {"create": 2, "update": 3, "remove": 2}
"""Rows of one request here, so that there are several."""


def push(door, data, called, wish):
    """Push, a few rows a request."""
    from cargo_source.push import applying

    # It is played in this process, too, where other tests come after it.
    with patch.object(applying, "MOST", FEW), opened(door, PACE) as ws:
        return ws.push(data, called, **wish).apply()


def kill_one(seed, box, *, slug="companies", key="domain"):
    """Kill a push somewhere, go on until all is done, and hold the model and the journal against what had to be."""
    chance = random.Random(seed)
    point = sorted(POINTS)[seed % len(POINTS)]
    model, called = model_of(box, "default", slug), f"default.{slug}"
    mode = chance.choice(["upsert", "mirror", "insert"])
    with tempfile.TemporaryDirectory() as folder, as_it_was(box, model):
        ledger = Path(folder) / "ledger.duckdb"
        with opened(box, PACE) as ws:
            tracked = push_before(chance, ws, box, model, called, key, ledger) if mode == "mirror" else set()
        before = stored(box, model)
        columns, rows = random_frame(chance, before, key)
        rows += [new_row(chance, columns, key) for _ in range(3 + chance.randrange(8))]
        wanted = expected(before, rows, key, mode, tracked=tracked)
        since, started = len(box.world.writing.journal), len(box.world.writing.started)
        wish = {"key": key, "mode": mode, "columns": columns, "ledger": ledger, "limits": UNLIMITED}
        data = as_given(chance, columns, rows, folder, ["arrow", "pandas", "parquet", "polars"])
        box.world.writing.delay = chance.choice([0.0, 0.1])
        kill = Kill(point, chance.random(), chance.choice([1, 3]), POINTS)
        try:
            door = Door(box.url, box.token)
            passed = killed(partial(push, door, data, called, wish), Path(folder), kill, POINTS)
            report = None
            for _ in range(5):
                try:
                    report = push(door, data, called, wish)
                    break
                except (TryLater, StopAndLook):
                    continue
            assert report is not None
        finally:
            box.world.writing.delay = 0.0
            box.world.writing.settle(at_once=True)
        known, new = wanted.applied(before)
        after = stored(box, model)
        assert len(after) == len(known) + len(new), "rows were lost, or created twice"
        check_same((after[each] for each in after.keys() & known.keys()), known.values(), [*COLUMNS, "domain"])
        check_same((after[each] for each in after.keys() - known.keys()), new, [*COLUMNS, "domain"])
        noted = written(box, since)
        check_journal(noted, wanted)
        # Done once each: nothing that was done is done again.
        assert len(noted) == len({(kind, key) for kind, key, _ in noted})
        assert len(box.world.writing.started) == started
        return passed[point] >= kill.turn
