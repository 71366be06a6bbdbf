"""The rows of the table: what is run, and what is read off it."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from entrants import (
    AIRBYTE,
    DEFAULTS,
    DLT_RUNS,
    FASTER,
    LEAST,
    LIMITS,
    OUR_RUNS,
    OURS,
    SINGER,
    TUNED,
    Entrant,
    Place,
    ask,
)
from measure import Run, made, server
from pushing import push
from racing import Bench, Line, peak_of, ratio, seconds_of, trouble_of


def against_peers(bench: Bench) -> None:
    """All contenders on the same rows."""
    rows = bench.size(100_000)
    peers = {TUNED: ((4, 5), (5, 7)), DEFAULTS: ((12, 15), (15, 20))}
    if bench.with_peers:
        peers |= {SINGER: ((4.5, 6), (5.5, 8)), AIRBYTE: ((6.5, 9), (8, 12))}
    name = f"{rows:,} rows"
    with bench.place(rows, ("lines", "parquet", "csv")) as place:
        entrants = [*LIMITS.values(), *LEAST.values(), *OURS.values(), FASTER, *peers]
        runs = bench.race(name, entrants, bench.rounds, place.take)
    bench.check(name, runs, bench.truth(rows))
    for ours, least, which in ((OURS["pages"], LEAST["httpx"], 0), (FASTER, LEAST["pycurl"], 1)):
        for peer, bounds in peers.items():
            floor, goal = bounds[which]
            told = f"{ours.name}, {rows:,} rows: times as quick as {peer.name}"
            bench.lines.append(ratio(told, runs[peer.name], runs[ours.name], floor=floor, goal=goal))
            # What nothing that rests on dlt and this client can reach is no fault of what is checked and kept.
            told = f"{least.name}, {rows:,} rows: times as quick as {peer.name}"
            bench.lines.append(ratio(told, runs[peer.name], runs[least.name]))
        told = f"{ours.name}, {rows:,} rows: times as long as the {least.name}"
        bench.lines.append(ratio(told, runs[ours.name], runs[least.name], most=True))
    for peer in () if bench.with_peers else (SINGER, AIRBYTE):
        bench.lines.append(
            Line(f"{OURS['pages'].name}: times as quick as {peer.name}", None, why="in `make bench-all`")
        )


def against_limits(bench: Bench) -> None:
    """Our lanes on many rows, against what is physically possible."""
    rows = bench.size(500_000)
    bounds = {"pages": (4, 3), "export": (2.3, 1.7), "csv": (None, None)}
    name = f"{rows:,} rows"
    with bench.place(rows, ("lines", "parquet", "csv")) as place:
        entrants = [each for lane in bounds for each in (OURS[lane], LIMITS[lane])]
        runs = bench.race(name, [*entrants, FASTER], bench.rounds, place.take)
        flat = bench.race(f"server, {rows:,} rows", [FLAT_OUT], bench.rounds, place.take)[FLAT_OUT.name]
    bench.check(name, runs, bench.truth(rows))
    for lane, (floor, goal) in bounds.items():
        told = f"{OURS[lane].name}, {rows:,} rows: times as long as the {LIMITS[lane].name}"
        pair = runs[OURS[lane].name], runs[LIMITS[lane].name]
        bench.lines.append(ratio(told, *pair, floor=floor, goal=goal, most=True))
    told = f"{FASTER.name}, {rows:,} rows: times as long as the {LIMITS['pages'].name}"
    bench.lines.append(ratio(told, runs[FASTER.name], runs[LIMITS["pages"].name], most=True))
    quickest = min((s for each in (OURS["pages"], FASTER) if (s := seconds_of(runs[each.name]))), default=None)
    served = median(run.said["seconds"] for run in flat) if not trouble_of(flat) else None
    value = quickest / served if quickest and served else None
    told = f"the server gives these pages flat out, times as quick as our quickest ({rows:,} rows)"
    bench.lines.append(Line(told, value, floor=3, why=trouble_of(flat)))


FLAT_OUT = Entrant("raw fetch, thrown away", "flat_out.py", ("{rows}",))


def memory(bench: Bench) -> None:
    """How memory grows with the number of rows, by lane."""
    sizes = [bench.size(100_000), bench.size(2_000_000)]
    sizes += [bench.size(10_000_000)] if bench.ten_million else []
    peaks: dict[str, list[Any]] = {lane: [] for lane in OURS}
    troubles = dict.fromkeys(OURS, "")
    for rows in sizes:
        name = f"memory, {rows:,} rows"
        with bench.place(rows, ("lines", "parquet", "csv")) as place:
            rounds = bench.rounds if rows < 5_000_000 else 1
            runs = bench.race(name, list(OURS.values()), rounds, place.take)
        bench.check(name, runs, bench.truth(rows))
        for lane, ours in OURS.items():
            peaks[lane].append(peak_of(runs[ours.name]))
            troubles[lane] = troubles[lane] or trouble_of(runs[ours.name])
    for lane, (small, large, *largest) in peaks.items():
        told = f"peak memory, {lane}, {sizes[1]:,} rows"
        growth = large / small if small and large else None
        bench.lines.append(Line(f"{told} to {sizes[0]:,}", growth, 1.6, 1.3, most=True, why=troubles[lane]))
        bench.lines.append(Line(told, large, 800, 600, unit=" MB", most=True, why=troubles[lane]))
        again = largest[0] / large if largest and largest[0] and large else None
        why = troubles[lane] if bench.ten_million else "with `--ten-million`"
        bench.lines.append(Line(f"peak memory, {lane}, 10 million rows to 2 million", again, 1.15, most=True, why=why))


def merging(bench: Bench) -> None:
    """Requests of a large export, a sync without news, and a tenth of the rows merged, against a plain insert."""
    rows = bench.size(1_000_000)
    ours, insert = OURS["export"], Entrant("dlt, plain insert", "insert.py", ("2026-03-01 11:00:00+00:00",))
    base, folder = bench.work / "base", bench.work / "run"
    shutil.rmtree(base, ignore_errors=True)
    with bench.place(rows, ("parquet", "delta-parquet")) as place:
        first = place.take(ours)
        quiet = place.take(ours, keep=True)
        bench.check(f"first sync of {rows:,} rows", {ours.name: [first]}, bench.truth(rows))
        calls = sum(number for path, number in first.asked["paths"].items() if path.startswith("/v1/"))
        why = first.trouble or quiet.trouble
        bench.lines.append(
            Line(f"API calls for {rows:,} rows by export", None if why else calls, 10, 5, unit="", most=True, why=why)
        )
        moved = None if why else quiet.said["rows"]
        bench.lines.append(Line("rows that a second sync moves, nothing new", moved, 0, unit="", most=True, why=why))
        folder.rename(base)
        ask(place.urls[True], "advance")

        def again(entrant: Entrant) -> Run:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base, folder)
            return place.take(entrant, keep=True)

        name = f"{rows // 10:,} rows onto {rows:,}"
        runs = bench.race(name, [ours, insert], bench.rounds, again)
    shutil.rmtree(base)
    bench.check(name, {ours.name: runs[ours.name]}, bench.truth(rows, "merged"))
    for run in runs[insert.name]:
        if not run.trouble and run.landed["rows"] != rows + rows // 10:
            run.trouble = f"failed: {run.landed['rows']} rows"
        if run.trouble:
            bench.note(f"{name}: {insert.name}: {run.trouble}")
    told = f"merge of {name}: times as long as a plain insert"
    bench.lines.append(ratio(told, runs[ours.name], runs[insert.name], floor=3, goal=1.5, most=True))


def nested(bench: Bench) -> None:
    """Runs with their executions, as two tables."""
    count = bench.size(100_000)
    made(["rows.py", str(bench.cache), "runs", str(count)])
    name = f"{count:,} runs with {3 * count:,} executions"
    with bench.place(0, (), "--runs", count) as place:
        runs = bench.race(name, [OUR_RUNS, DLT_RUNS], bench.rounds, lambda entrant: place.take(entrant, "runs"))
    bench.check(name, runs, bench.truth(count, "runs"))
    told = f"{name}: times as quick as dlt's normaliser"
    bench.lines.append(ratio(told, runs[DLT_RUNS.name], runs[OUR_RUNS.name], floor=3, goal=5))


def in_flight(bench: Bench) -> None:
    """Pages in flight against one at a time, where each answer takes 50 ms: from the first page to the last."""
    rows = bench.size(50_000)
    entrants = {
        number: Entrant(f"{number} in flight", "ours.py", ("pages",), sql=False, more={"CARGO_IN_FLIGHT": str(number)})
        for number in (1, 8)
    }
    name = f"{rows:,} rows at 50 ms"
    with bench.place(rows, ("lines", "parquet"), "--latency", 0.05) as place:
        runs = bench.race(name, list(entrants.values()), bench.rounds, place.take)
    bench.check(name, runs, bench.truth(rows))
    spans = {n: [_reading(run) for run in runs[each.name] if not run.trouble] for n, each in entrants.items()}
    value = median(spans[1]) / median(spans[8]) if spans[1] and spans[8] else None
    told = f"8 pages in flight at 50 ms, {rows:,} rows: times as quick as one"
    bench.lines.append(Line(told, value, 5, 7, why=trouble_of(*runs.values())))


def _reading(run: Run) -> float:
    """Give the seconds from the first page that was asked for to the last."""
    moments = [moment for moment, _, path in run.asked["moments"] if path.endswith("/records/list")]
    return float(moments[-1] - moments[0])


LIMIT = 10
"""Requests per second that the hidden limit allows, and as many at once."""


def hidden_limit(bench: Bench) -> None:
    """What one process makes of a limit that nobody tells it: in its first minute, and in the one after.

    Rounds run side by side: they wait.
    """
    minute = max(60 * min(bench.scale, 1.0), 4)
    rows = int((2 * minute + 10) * LIMIT * 100)
    made(["rows.py", str(bench.cache), "companies", str(rows), "lines", "parquet"])

    def one(number: int) -> Run:
        work = bench.work / f"limit-{number}"
        with server(bench.cache, "--rows", rows, "--rate", LIMIT, "--no-sql") as url:
            place = Place(bench.cache, work, bench.peers, rows, {False: url})
            found = place.take(OURS["pages"], patience=2 * minute + 6)
        shutil.rmtree(work, ignore_errors=True)
        return found

    with ThreadPoolExecutor(bench.rounds) as pool:
        runs = list(pool.map(one, range(bench.rounds)))
    for run in runs:
        moments = run.asked["moments"]
        if not moments or moments[-1][0] < 2 * minute:
            bench.note(f"hidden limit: failed: a sync stopped asking too early ({run.trouble or 'it was done'})")
    for name, start, full, bounds in (
        (f"the first {minute:.0f} s", 0.0, 1.0, ((None, None), (None, None))),
        (f"after {minute:.0f} s", minute, 0.0, ((95, 98), (1, 0.5))),
    ):
        used, refused = [], []
        for run in runs:
            seen = [allowed for at, allowed, _ in run.asked["moments"] if start <= at < start + minute]
            # The bucket is full at first.
            used.append(100 * sum(seen) / (LIMIT * (minute + full)))
            refused.append(100 * seen.count(False) / max(len(seen), 1))
            print(f"hidden limit, {name}: {used[-1]:.1f} % used, {refused[-1]:.2f} % refused", flush=True)
        told = f"hidden limit of {LIMIT} requests/s, {name}"
        bench.lines.append(Line(f"{told}: used", median(used), *bounds[0], unit=" %"))
        bench.lines.append(Line(f"{told}: answered 429", median(refused), *bounds[1], unit=" %", most=True))


EXPERIMENTS: dict[str, Callable[[Bench], None]] = {
    "peers": against_peers,
    "limits": against_limits,
    "memory": memory,
    "merge": merging,
    "runs": nested,
    "flight": in_flight,
    "rate": hidden_limit,
    "push": push,
}
