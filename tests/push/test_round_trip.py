"""What is pushed from a frame and pulled again is the same frame, and what was pulled is pushed without a change."""

import datetime as dt
import json
import random

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cargo_source.catalog.columns import snake_case
from cargo_source.errors import FixTheData
from cargo_source.push.brakes import Limits
from tests.push.mirrors import canonical
from tests.push.playing import TEXTS, as_it_was, model_of, opened
from tests.small import small_box

ROWS = 5_000
UNLIMITED = Limits(None, None, None, allow_empty=True, allow_no_known_key=True)
NATIVE = ["companies", "contacts", "deals", "campaigns", "accountPlans", "targets", "web_visits", "scorecards"]
SCHEMA = pa.schema(
    {
        "domain": pa.string(),
        "name": pa.string(),
        "employeesCount": pa.int64(),
        "annualRevenue": pa.float64(),
        "isCustomer": pa.bool_(),
        "foundedAt": pa.timestamp("us", "UTC"),
        "address": pa.string(),
        "technologies": pa.string(),
        "embedding": pa.string(),
        "signal": pa.string(),
    }
)
COLUMNS = [snake_case(name) for name in SCHEMA.names]
"""What a pull calls them."""
JSON = {"address", "technologies", "embedding", "signal"}


@pytest.fixture(scope="module")
def own():
    """A workspace that these tests write to, which keeps dates."""
    with small_box(23) as box:
        box.world.writing.keeps_dates = True
        yield box


def drawn(random, place):
    """Draw a row of all types, with nulls and edges."""
    moment = dt.datetime(1, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=random.randrange(9_998 * 365 * 86_400_000))
    text = "".join(random.choice("aZ09 \t\n'\"\\,;{}[]é日😀\u2028") for _ in range(random.randrange(12)))
    row = {
        "name": random.choice([*TEXTS, text]),
        "employeesCount": random.choice([0, -(2**63) + 1, 2**63 - 1, 2**53 + 1, random.randrange(-(2**62), 2**62)]),
        "annualRevenue": random.choice([-0.0, 5e-324, 1.7e308, 0.1, random.random(), random.gauss(0, 1e12)]),
        "isCustomer": random.random() < 0.5,
        "foundedAt": moment,
        "address": json.dumps({text: random.random(), "in": {"none": None, "no": [], "t": text}}),
        "technologies": json.dumps([text, None, random.randrange(99), {"a": 1.5}]),
        "embedding": json.dumps([random.gauss(0, 1) for _ in range(random.randrange(4))]),
        "signal": json.dumps(random.choice([text, 1, 0.25, True, [text], {"a": {}}])),
    }
    return {"domain": f"r{place}.example"} | {name: None if random.random() < 0.1 else row[name] for name in row}


NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}


def from_pandas(rows):
    return pa.Table.from_pandas(rows.df(), preserve_index=False)


FORMS = {
    "pandas": (lambda table: table.to_pandas(types_mapper=NULLABLE.get), from_pandas),
    "polars": (pl.from_arrow, lambda rows: rows.pl().to_arrow()),
    "arrow": (lambda table: table, lambda rows: rows.arrow()),
}


def plain(table):
    """Give the rows of a table by key, with nested values as what they say."""

    def say(name, value):
        return canonical(json.loads(value)) if name in JSON and value is not None else value

    return {row["domain"]: {name: say(name, value) for name, value in row.items()} for row in table.to_pylist()}


@pytest.mark.parametrize("form", FORMS)
def test_5000_random_rows_come_back_as_they_were_pushed(own, form, tmp_path):
    """Texts of any character, 64-bit integers, subnormals, times since the year 1, nested values: all equal."""
    make, take = FORMS[form]
    dice = random.Random(form)
    table = pa.Table.from_pylist([drawn(dice, place) for place in range(ROWS)], schema=SCHEMA)
    wish = {"key": "domain", "ledger": tmp_path / "ledger.duckdb", "limits": UNLIMITED, "try_dates": True}
    with opened(own) as ws, as_it_was(own, model_of(own, "default", "companies")):
        plan = ws.push(make(table), "default.companies", **wish)
        assert (plan.counts.creates, plan.counts.refused) == (ROWS, 0)
        report = plan.apply()
        assert (report.created, report.rejected, report.unknown, report.unsent) == (ROWS, 0, 0, 0)
        found = (
            take(ws.read("default.companies", columns=list(COLUMNS))).select(list(COLUMNS)).rename_columns(SCHEMA.names)
        )
        pushed, there = plain(table), plain(found)
        assert pushed == {key: there[key] for key in pushed}


def test_rows_that_cannot_be_pushed_are_told_by_row_and_column_before_anything_is_written(own, tmp_path):
    """A fraction for an integer, no JSON, microseconds, an endless number: refused, and nothing was written."""
    frame = pa.table(
        {
            "domain": ["a.example", "b.example", "c.example", "d.example", "e.example"],
            "employeesCount": [1.0, 1.5, 1.0, 1.0, 1.0],
            "address": ["{}", "{}", "[secret", "{}", "{}"],
            "foundedAt": pa.array([0, 0, 0, 1, 0], pa.timestamp("us")),
            "annualRevenue": [0.0, 0.0, 0.0, 0.0, float("inf")],
        }
    )
    since = len(own.world.writing.journal)
    with opened(own) as ws:
        plan = ws.push(frame, "default.companies", key="domain", ledger=tmp_path / "l.duckdb", try_dates=True)
        refused = [(each["row"], each["column"]) for each in plan.refused(10)]
        assert refused == [(1, "employeesCount"), (2, "address"), (3, "foundedAt"), (4, "annualRevenue")]
        assert "secret" not in str(plan.refused(10)[1]["reason"])
        with pytest.raises(FixTheData, match="does not fit"):
            ws.push(pa.table({"domain": ["a"], "isCustomer": ["yes"]}), "default.companies", key="domain")
    assert own.world.writing.journal[since:] == []


@pytest.mark.parametrize("seed", [3, 31])
def test_what_was_pulled_is_pushed_without_a_change(seed, tmp_path):
    """Every native model, as df(), pl() and arrow(): a plan of its own columns changes nothing and refuses nothing."""
    with small_box(seed) as box, opened(box) as ws:
        for slug in NATIVE:
            declared = ws.model(f"default.{slug}")
            columns = [column.slug for column in declared.columns if column.kind == "original"]
            rows = ws.read(f"default.{slug}")
            for frame in (rows.df(), rows.pl(), rows.arrow()):
                wish = {"columns": ["_id", *mine(frame, columns)], "key": "_id", "mode": "update", "try_dates": True}
                plan = ws.push(frame, f"default.{slug}", ledger=tmp_path / "l.duckdb", **wish)
                assert (plan.counts.changes, plan.counts.refused, plan.counts.source) == (0, 0, len(rows)), (slug, plan)


def mine(frame, slugs):
    """Name the columns of a pulled frame that the model itself declares; its identifiers go as the key."""
    folded = {snake_case(slug) for slug in slugs} - {"id", "external_id", "visit_id", "key"}
    return [name for name in getattr(frame, "column_names", frame.columns) if name in folded]
