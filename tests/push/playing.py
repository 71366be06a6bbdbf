"""One random push, held against what it has to do: planned, sometimes met by another writer, applied, applied again."""

import json
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

from cargo_source import Workspace
from cargo_source.errors import Braked, ReportBug, StalePlan, StopAndLook, TryLater, WriteDiffers
from cargo_source.push.brakes import Limits
from tests.push.mirrors import COLUMNS, as_source, canonical, expected

MODES = ("insert", "update", "upsert", "mirror", "fill_empty")
UNLIMITED = Limits(None, None, None, allow_empty=True, allow_no_known_key=True)
ARROW = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "json": pa.string()}


def model_of(box, dataset, slug):
    """Give the uuid of a model."""
    spec = box.world.warehouse.specs[f"{dataset}.{slug}"]
    return next(uuid for uuid in box.world.tables["models"] if box.world.spec_of(uuid) is spec)


def stored(box, model):
    """Give the rows that a model truly holds, by identifier."""
    return {row["_id"]: row for row in box.truth_rows(model)}


@contextmanager
def as_it_was(box, model):
    """Put the rows of a model back afterwards, as if nobody had written to it."""
    spec = box.world.spec_of(model)
    table, copy = box.world.warehouse.table(spec), f'attic.main."copy of {spec.key}"'
    with box._desk.store.lock:
        box.world.db.execute(f"CREATE TABLE {copy} AS FROM {table}")
    try:
        yield
    finally:
        with box._desk.store.lock:
            box.world.writing.settle(at_once=True)
            box.world.db.execute(f"DELETE FROM {table}")
            box.world.db.execute(f"INSERT INTO {table} FROM {copy}")
            box.world.db.execute(f"DROP TABLE {copy}")


TEXTS = ("plain", "", "Zoë 'Q' \"x\"", "日本\n\ttab", "a\\b", "null", "1", '{"a":1}', "x\u2028y😀", " space ", "a'b;--")


def random_cell(random, name):
    """Give a value of a column, null now and then."""
    if random.random() < 0.15:
        return None
    match name:
        case "employeesCount" | "sequence":
            return random.choice([0, -1, random.randrange(10_000), 2**53 + 1, 2**63 - 1, -(2**63) + 1])
        case "annualRevenue":
            return random.choice([0.0, 0.1, -2.5, 1e300, 5e-324, random.random() * 1e6, float(2**53)])
        case "isCustomer":
            return random.random() < 0.5
        case "address":
            return {"city": random.choice(TEXTS), "geo": {"lat": random.choice([1, 1.5, -0.25])}, "none": None}
        case "technologies":
            return [random.choice(TEXTS) for _ in range(random.randrange(3))]
        case "embedding":
            return [random.choice([0.5, 1, -2.25]) for _ in range(random.randrange(4))]
        case "signal":
            return random.choice([1, "hiring", True, [1, {"b": 2, "a": None}], {"z": 1, "a": [0.5]}, 0.25])
    return random.choice(TEXTS) if random.random() < 0.4 else f"value {random.randrange(50)}"


def new_row(random, columns, key):
    """Draw a row whose key nobody has."""
    return {name: random_cell(random, name) for name in columns} | {key: f"new-{random.randrange(10**9)}.example"}


def random_frame(random, before, key):
    """Draw rows: some that are as they are, some that differ, some that are new, some that cannot be pushed."""
    others = [name for name in COLUMNS if name != key]
    columns = [key, *random.sample(others, random.randrange(0, len(others) + 1))]
    # By key: identifiers of rows that were pushed before are others each time.
    known = sorted((row for row in before.values() if row[key] is not None), key=lambda row: row[key])
    rows = []
    for row in random.sample(known, min(len(known), random.randrange(0, 8))):
        kept = random.random() < 0.4
        rows.append({name: row[name] if kept or name == key else random_cell(random, name) for name in columns})
    rows += [new_row(random, columns, key) for _ in range(random.randrange(0, 5))]
    if rows and random.random() < 0.25:
        rows.append({**random.choice(rows), **({} if random.random() < 0.5 else {key: None})})
    random.shuffle(rows)
    return columns, rows


FORMS = ("arrow", "pandas", "objects", "polars", "duckdb", "parquet", "reader")


def as_given(random, columns, rows, folder, forms=FORMS):
    """Give the rows in one of the forms that people have them in."""
    source = as_source(rows, columns)
    schema = pa.schema([(name, ARROW[COLUMNS.get(name, "text")]) for name in columns])
    table = pa.table(source, schema=schema)
    match random.choice(forms):
        case "pandas":
            types = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
            return table.to_pandas(types_mapper=types.get)
        case "objects":
            return pd.DataFrame(
                {
                    name: pd.Series(
                        [row[name] if COLUMNS.get(name) != "json" else _object(row[name]) for row in rows], dtype=object
                    )
                    for name in columns
                }
            )
        case "polars":
            return pl.from_arrow(table)
        case "duckdb":
            return duckdb.connect().from_arrow(table)
        case "parquet":
            path = Path(folder) / "source.parquet"
            pa.parquet.write_table(table, path)
            return path
        case "reader":
            return pa.RecordBatchReader.from_batches(schema, table.to_batches(max_chunksize=3))
    return table


def _object(value):
    """Give a nested value as Python has it; a text stands for JSON, so one in a column of any type is written so."""
    return json.dumps(value) if isinstance(value, str) else value


def written(box, since):
    """Give what was written since then, as the sandbox noted it: kind, identifier and columns."""
    return [(each.kind, each.id, frozenset(each.columns)) for each in box.world.writing.journal[since:]]


def meddle(random, box, model, before):
    """Let another writer change a row or two. Gives whether anything changed."""
    there = sorted(before, key=lambda each: str(before[each]["domain"]))
    rows = random.sample(there, min(2, len(there)))
    if not rows:
        return False
    if random.random() < 0.3:
        box.world.writing.remove(model, rows[:1])
    else:
        box.world.writing.update(model, [(key, {"industry": f"meddled {random.randrange(10**9)}"}) for key in rows])
    return True


@contextmanager
def opened(box, pace=0.01):
    """Open the workspace, in which all pauses take a part of their time."""
    with Workspace(box.token, box.url) as ws:
        with ws._asking() as session:
            session.sleep = session.client._sleep = lambda seconds: time.sleep(seconds * pace)
        yield ws


def play(random, box, *, dataset="default", slug="companies", key="domain"):
    """Play one push. Raises AssertionError where it does anything else than it has to."""
    model = model_of(box, dataset, slug)
    mode, nulls = random.choice(MODES), random.choice(["write", "write", "skip", "error"])
    with tempfile.TemporaryDirectory() as folder, opened(box) as ws, as_it_was(box, model):
        ledger = Path(folder) / "ledger.duckdb"
        tracked = set()
        if mode == "mirror":
            tracked = push_before(random, ws, box, model, f"{dataset}.{slug}", key, ledger)
        before = stored(box, model)
        columns, rows = random_frame(random, before, key)
        wish = {"key": key, "mode": mode, "nulls": nulls, "columns": columns, "ledger": ledger, "limits": UNLIMITED}
        plan = ws.push(as_given(random, columns, rows, folder), f"{dataset}.{slug}", **wish)
        if random.random() < 0.1 and plan.counts.changes and meddle(random, box, model, before):
            now = stored(box, model)
            same = expected(before, rows, key, mode, nulls, tracked) == expected(now, rows, key, mode, nulls, tracked)
            since = len(box.world.writing.journal)
            try:
                plan.apply()
            except StalePlan:
                assert not written(box, since), "a stale plan has sent something"
                plan = ws.push(as_given(random, columns, rows, folder), f"{dataset}.{slug}", **wish)
            else:
                assert same, "a plan was applied though what it changes has changed"
                plan = None
            before = now
        check_applied(box, model, plan, expected(before, rows, key, mode, nulls, tracked), before, rows, columns)
        again = ws.push(as_given(random, columns, rows, folder), f"{dataset}.{slug}", **wish)
        since = len(box.world.writing.journal)
        assert again.counts.changes == 0, again
        again.apply()
        assert not written(box, since)


def push_before(random, ws, box, model, called, key, ledger):
    """Push some rows that a mirror may remove afterwards, and give their identifiers."""
    rows = [{key: f"tracked-{random.randrange(10**9)}.example", "name": "t"} for _ in range(random.randrange(0, 4))]
    if not rows:
        return set()
    ws.push(pa.Table.from_pylist(rows), called, key=key, ledger=ledger, limits=UNLIMITED).apply()
    pushed = {row[key] for row in rows}
    return {row["_id"] for row in stored(box, model).values() if row[key] in pushed}


def check_applied(box, model, plan, wanted, before, rows, columns):
    """Apply a plan, unless it was applied, and hold everything against what was to happen."""
    if plan is not None:
        counts = plan.counts
        assert (counts.creates, counts.updates, counts.removes, counts.refused) == (
            len(wanted.creates),
            len(wanted.updates),
            len(wanted.removes),
            len(wanted.refused),
        ), (counts, wanted)
        assert {each["row"] for each in plan.refused(len(rows))} == wanted.refused
        since = len(box.world.writing.journal)
        report = plan.apply()
        assert (report.created, report.updated, report.removed) == (counts.creates, counts.updates, counts.removes)
        assert (report.rejected, report.unknown, report.unsent, report.altered) == (counts.refused, 0, 0, 0), report
        noted = written(box, since)
        assert sorted((kind, key) for kind, key, _ in noted if kind != "create") == sorted(
            [("update", key) for key in wanted.updates] + [("remove", key) for key in wanted.removes]
        )
        assert {key: names for kind, key, names in noted if kind == "update"} == {
            key: frozenset(cells) for key, cells in wanted.updates.items()
        }
    known, new = wanted.applied(before)
    after = stored(box, model)
    names = list(COLUMNS)
    check_same((after[key] for key in after.keys() & known.keys()), known.values(), [*names, "domain", "country"])
    check_same((after[key] for key in after.keys() - known.keys()), new, [*names, "domain"])


def check_same(rows, wanted, names):
    """Hold rows against those that are wanted, whatever their order."""
    found, due = ({repr([canonical(row.get(name)) for name in names]) for row in each} for each in (rows, wanted))
    assert found == due, f"too many: {sorted(found - due)[:2]}; lacking: {sorted(due - found)[:2]}"


WRITES = "storage/records/*Bulk"


def random_faults(random):
    """Draw what goes wrong with writes: answers lost, halves done, calls too large, servers failing."""
    kinds = [
        {"kind": "lost_answer"},
        {"kind": "late_commit", "seconds": 0.03},
        {"kind": "reset"},
        {"kind": "half_done"},
        {"kind": "5xx", "status": random.choice([500, 502, 503])},
        {"kind": "too_large", "rows": random.choice([1, 2, 3, 7])},
        {"kind": "429", "retry_after": "seconds", "seconds": 1},
        {"kind": "invalid_json"},
        {"kind": "cut"},
        {"kind": "html_200"},
    ]
    found = []
    for fault in random.sample(kinds, random.randrange(1, 4)):
        path = random.choice([WRITES, "storage/records/createBulk", "storage/records/updateBulk"])
        every = {} if fault["kind"] == "too_large" else {"probability": random.choice([0.2, 0.5]), "count": 6}
        found.append({"path": path, **every, **fault})
    return found


def play_faults(random, box, *, dataset="default", slug="companies", key="domain"):
    """Play one push while answers are lost and writes show late. Raises AssertionError where it shows in the model."""
    model, called = model_of(box, dataset, slug), f"{dataset}.{slug}"
    mode = random.choice(["upsert", "upsert", "mirror", "insert", "update"])
    writing = box.world.writing
    with tempfile.TemporaryDirectory() as folder, as_it_was(box, model):
        ledger = Path(folder) / "ledger.duckdb"
        with opened(box) as ws:
            tracked = push_before(random, ws, box, model, called, key, ledger) if mode == "mirror" else set()
            before = stored(box, model)
            columns, rows = random_frame(random, before, key)
            rows += [new_row(random, columns, key) for _ in range(random.randrange(8))]
        wanted = expected(before, rows, key, mode, tracked=tracked)
        since = len(writing.journal)
        wish = {"key": key, "mode": mode, "columns": columns, "ledger": ledger, "limits": UNLIMITED}
        # Longer than the first look at what became of a lost creation.
        writing.delay = random.choice([0.0, 0.05])
        faults = random_faults(random)
        for fault in faults:
            box.faults.add(**fault)
        # What is done later has to be done within the time in which it is looked for, also on a busy machine.
        pace = 0.05 if any(fault["kind"] == "late_commit" for fault in faults) else 0.01
        try:
            for _ in range(8):
                with opened(box, pace) as ws:
                    try:
                        plan = ws.push(as_given(random, columns, rows, folder), called, **wish)
                        report = plan.apply()
                    except (Braked, WriteDiffers):
                        raise
                    except (TryLater, StopAndLook, ReportBug):
                        continue
                    if report.unknown == report.unsent == 0:
                        break
            else:
                raise AssertionError("it never comes to an end")
        finally:
            box.faults.clear()
            writing.delay = 0.0
            writing.settle(at_once=True)
        known, new = wanted.applied(before)
        after = stored(box, model)
        assert len(after) == len(known) + len(new), "rows were lost, or created twice"
        check_same(
            (after[each] for each in after.keys() & known.keys()), known.values(), [*COLUMNS, "domain", "country"]
        )
        check_same((after[each] for each in after.keys() - known.keys()), new, [*COLUMNS, "domain"])
        check_journal(written(box, since), wanted)


def check_journal(noted, wanted):
    """Hold what was written against what had to be: nothing that did not differ, nothing created twice."""
    assert {key for kind, key, _ in noted if kind == "update"} <= wanted.updates.keys()
    assert {key for kind, key, _ in noted if kind == "remove"} == wanted.removes
    assert sum(kind == "create" for kind, _, _ in noted) == len(wanted.creates)
    for kind, key, names in noted:
        if kind == "update":
            assert names == frozenset(wanted.updates[key])
