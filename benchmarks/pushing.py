"""What a push is measured on: sources made of the rows that the server has, and the lines of the table.

    python benchmarks/pushing.py FOLDER new|changed|long ROWS

``new`` are rows that are not in the model, ``changed`` are its own of which one in a hundred differs, ``long`` are new
rows of two columns with 200 characters each.
"""

import sys
from pathlib import Path
from statistics import median

import duckdb
from entrants import Entrant
from measure import Run, made
from racing import Bench, Line, peak_of, ratio, trouble_of

COLUMNS = (
    *("domain", "name", "industry", "country", "city", "stage", "description", "owner", "phone", "url"),
    *("employees", "revenue", "customer", "founded_at", "address"),
)
"""The key, and 14 others: texts, numbers, a yes or no, a time and an object."""
LONG = ("domain", "description")
OTHER = {
    "new": "'new-' || domain AS domain",
    "changed": "CASE WHEN sequence % 100 = 7 THEN 'other' ELSE stage END AS stage",
}
"""What of a source is not as it is in the model, by its kind."""
FEW = 300
"""Rows that a model has that is filled with new ones."""
FEWER = 20
"""One in flight sends so many times fewer rows: its seconds are in proportion."""


def source(home: Path, kind: str, rows: int) -> Path:
    """Make the parquet file of a source, unless it is there, and give its path."""
    target = home / f"push-{kind}-{rows}.parquet"
    if not target.exists():
        making = target.with_suffix(".making")
        with duckdb.connect() as db:
            db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false; SET memory_limit = '1GB'")
            db.execute(f"COPY ({_select(home, kind, rows)}) TO '{making}' (FORMAT parquet, ROW_GROUP_SIZE 20000)")
        making.rename(target)
    return target


def _select(home: Path, kind: str, rows: int) -> str:
    if kind == "long":
        cells = (f"rpad('{name}-' || range || '-', 200, '{name} ') AS {name}" for name in LONG)
        return f"SELECT {', '.join(cells)} FROM range({rows})"
    other = (
        "'new-' || domain AS domain"
        if kind == "new"
        else "CASE WHEN sequence % 100 = 7 THEN 'other' ELSE stage END AS stage"
    )
    return (
        f"SELECT {', '.join(COLUMNS)} FROM (SELECT * REPLACE ({other})"
        f" FROM read_parquet('{home}/companies-{rows}/parquet/*'))"
    )


def push(bench: Bench) -> None:
    """Rows created, many requests at once and one; processor time of it; a plan of few changes; memory of many rows."""
    _in_flight(bench)
    _plan(bench)
    _memory(bench)


def _entrant(bench: Bench, name: str, what: str, kind: str, rows: int, *, in_flight: int = 16) -> Entrant:
    columns = LONG if kind == "long" else COLUMNS
    if kind != "long":
        made(["rows.py", str(bench.cache), "companies", str(rows), "parquet"])
    made(["pushing.py", str(bench.cache), kind, str(rows)])
    path = str(bench.cache / f"push-{kind}-{rows}.parquet")
    return Entrant(name, "push.py", (what, path, *columns), more={"CARGO_IN_FLIGHT": str(in_flight)})


def _check(bench: Bench, name: str, runs: dict[str, list[Run]]) -> None:
    """Hold what was said to be done against what the server was sent."""
    for entrant, its in runs.items():
        for run in its:
            if not run.trouble and (created := run.said.get("created")) is not None:
                written = run.asked["written"]["create"]
                if not run.said["rows"] == run.said["creates"] == created == written or run.said["altered"]:
                    run.trouble = f"failed: of {run.said['rows']} rows {written} came, and {created} are told of"
            run.landed = {"rows": run.said.get("rows", "")}
            if run.trouble:
                bench.note(f"{name}: {entrant}: {run.trouble}")


def _in_flight(bench: Bench) -> None:
    rows = bench.size(200_000)
    fewer = max(rows // FEWER, FEW)
    many = _entrant(bench, f"{rows:,} new rows, 16 in flight", "apply", "new", rows)
    one = _entrant(bench, f"{fewer:,} new rows, one in flight", "apply", "new", fewer, in_flight=1)
    name = f"push at 200 ms, {len(COLUMNS)} columns"
    with bench.place(FEW, ("parquet",), "--latency", 0.2) as place:
        runs = bench.race(name, [many, one], bench.rounds, place.take)
    _check(bench, name, runs)
    why = trouble_of(*runs.values())
    all_of = None if why else median(run.said["apply"] for run in runs[many.name])
    # Of the one in flight what was sent counts alone; of the many all of it, with the look at the model before.
    in_turn = None if why else median(run.said["sending"] for run in runs[one.name]) * rows / fewer
    told = f"16 in flight at 200 ms, {rows:,} rows x {len(COLUMNS)}: applied times as quick as one"
    if fewer < rows:
        told += f" (its seconds for {fewer:,}, times {rows / fewer:g})"
    bench.lines.append(Line(told, in_turn / all_of if in_turn and all_of else None, 12, why=why))
    cpu = None if why else median(run.cpu for run in runs[many.name]) * 100_000 / rows
    told = f"processor time of planning and applying {rows:,} new rows, for each 100,000"
    bench.lines.append(Line(told, cpu, 5, unit=" s", most=True, why=why))


def _plan(bench: Bench) -> None:
    rows = bench.size(1_000_000)
    plan = _entrant(bench, "plan", "plan", "changed", rows)
    read = _entrant(bench, "limit: the same columns read", "read", "changed", rows)
    name = f"plan over {rows:,} rows of which 1 % differ"
    with bench.place(rows, ("parquet",)) as place:
        # The server makes the files of these columns when it is first asked for them.
        place.take(read)
        runs = bench.race(name, [plan, read], bench.rounds, place.take)
    _check(bench, name, runs)
    told = f"{name}: times as long as reading their columns"
    bench.lines.append(ratio(told, runs[plan.name], runs[read.name], floor=2, most=True))


def _memory(bench: Bench) -> None:
    peaks: list[float | None] = []
    sizes = [bench.size(100_000), bench.size(2_000_000)]
    all_runs: list[list[Run]] = []
    for rows in sizes:
        entrant = _entrant(bench, f"{rows:,} new rows", "apply", "long", rows)
        name = f"push of two columns of 200 characters, {rows:,} rows"
        with bench.place(FEW, ("parquet",)) as place:
            # It takes minutes, and memory hardly varies.
            runs = bench.race(name, [entrant], min(bench.rounds, 3), place.take)
        _check(bench, name, runs)
        all_runs.append(runs[entrant.name])
        peaks.append(peak_of(runs[entrant.name]))
    small, large = peaks
    told = f"peak memory of a push of two columns of 200 characters, {sizes[1]:,} rows to {sizes[0]:,}"
    bench.lines.append(
        Line(told, large / small if small and large else None, 1.3, most=True, why=trouble_of(*all_runs))
    )


if __name__ == "__main__":
    source(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
