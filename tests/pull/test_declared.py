"""Pages of runs that are typed as text give the very cells that reading them value by value gives, executions too."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cargo_source.api import Reply
from cargo_source.catalog import ENTITIES
from cargo_source.errors import UnexpectedShape
from cargo_source.pull import lines
from cargo_source.pull.declared import Declared, Line, Typing
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.times import time_at
from cargo_source.pull.typed import arrow_table
from cargo_source.pull.unfolding import unfolded

RUNS, EXECUTIONS = ENTITIES["runs"], ENTITIES["executions"]
SALT = Pseudonym("salt")
JSON = ("nodes", "executions", "_cargo_extra")


def typing_of(entity, surprises=None):
    surprises = surprises or Surprises()

    def one_by_one(rows):
        return arrow_table(
            rows, entity.columns, known=entity.fields, run_id="run", dropped=(), pseudonym=SALT, surprises=surprises
        )

    return Typing(entity.columns, one_by_one, surprises)


def declared(spool, surprises=None):
    typing = {"runs": typing_of(RUNS, surprises), "executions": typing_of(EXECUTIONS, surprises)}
    return Declared(RUNS, typing, "run", lambda: SALT, spool)


def reply(rows, **more):
    return Reply(200, {}, json.dumps({"runs": rows, "count": len(rows), **more}).encode())


def read(reading, page):
    found = reading.page(reply(page))
    return json.loads(json.dumps(page)) if found is None else found.rows


def as_dicts(tables):
    rows = [row for table in tables for row in table.to_pylist()]
    for row in rows:
        row.update({name: json.loads(row[name]) for name in JSON if row.get(name) is not None})
    return rows


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
times = st.sampled_from(["2026-03-02T12:00:00.123Z", "2026-03-02", "0001-01-01T00:00:00+14:00", "x", ""])
secret = st.just({"type": "encryption", "value": "s3cret"}) | st.just({"captchaSecret": "s3cret", "a": 1})
anything = st.recursive(
    scalars | texts | times | secret, lambda v: st.lists(v, max_size=2) | st.dictionaries(texts, v, max_size=2)
)
no_map = anything.filter(lambda value: not isinstance(value, dict))
FITTING = {
    "text": texts | st.none(),
    "integer": st.integers(-(2**63), 2**63 - 1) | st.none(),
    "number": st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    "boolean": st.booleans() | st.none(),
    "timestamp": times | st.none(),
    "json": anything,
}


@st.composite
def objects(draw, entity, often, **own):
    """Objects with some of an entity's fields, mostly of the type that is declared."""
    row = dict(own)
    for column in draw(st.lists(st.sampled_from(entity.columns), max_size=5)):
        if column.field not in {"uuid", "executions", "runUuid", "index"}:
            row[column.field] = draw(FITTING[column.type] if draw(st.integers(0, often)) else anything)
    if not draw(st.integers(0, often)):
        row["unknown"] = draw(anything)
    return row


@st.composite
def runs(draw):
    """Runs with executions, of which now and then something is not as declared."""
    often = draw(st.sampled_from([5, 1000]))
    row = draw(objects(RUNS, often, uuid=draw(texts)))
    items = st.lists(objects(EXECUTIONS, often), max_size=3)
    if draw(st.integers(0, 5)):
        row["executions"] = draw(items | st.none() if draw(st.integers(0, often)) else no_map)
    return row


@given(st.lists(st.lists(runs(), max_size=3), max_size=4))
def test_both_ways_of_reading_give_the_same_cells(spool, pages):
    """Whatever comes, in whatever order fitting pages and others follow one another; no secret among it."""
    reading = declared(spool)
    found = [row for page in pages for row in read(reading, page)]
    plain = json.loads(json.dumps([row for page in pages for row in page]))
    items = [item for row in plain for item in unfolded(row, EXECUTIONS)]
    tables = reading.typed(found)
    assert as_dicts(tables["runs"]) == as_dicts([typing_of(RUNS).one_by_one(plain)])
    assert as_dicts(tables["executions"]) == as_dicts([typing_of(EXECUTIONS).one_by_one(items)])
    assert "s3cret" not in repr([table.to_pylist() for table in [*tables["runs"], *tables["executions"]]])


def test_what_is_declared_stays_text_and_can_be_asked(spool):
    """A page of declared fields makes no dicts; a row says what is under a field, whether it came or not."""
    (row,) = read(declared(spool), [{"uuid": "a", "updatedAt": "2026-03-02T12:00:00Z", "nodes": [1], "executions": []}])
    assert isinstance(row, Line)
    assert (row["uuid"], row.get("batchUuid"), row.get("nonesuch"), row.get("nodes")) == ("a", None, None, [1])
    assert time_at(row, "updatedAt").year == 2026
    assert len(row) == len(row.text)


def test_new_values_of_enums_are_told(spool):
    """A status that nobody knows lands, and is reported, of runs as of executions."""
    surprises = Surprises()
    reading = declared(spool, surprises)
    rows = read(reading, [{"uuid": "a", "status": "napping", "executions": [{"status": "dreaming"}]}])
    assert isinstance(rows[0], Line)
    assert reading.typed(rows)["runs"][0].column("status").to_pylist() == ["napping"]
    assert surprises.note() == "unknown values of status: dreaming, napping"


def test_a_run_without_its_key_is_no_run(spool):
    """Rows that cannot be told apart stop the sync, as text too."""
    reading = declared(spool)
    rows = read(reading, [{"uuid": None, "status": "success"}])
    assert isinstance(rows[0], Line)
    with pytest.raises(UnexpectedShape, match="uuid"):
        reading.typed(rows)


def test_after_some_pages_that_are_not_as_declared_no_further_one_is_tried(spool):
    """A workspace that is ahead of the catalogue costs one reading a page, not two."""
    reading = declared(spool)
    for _ in range(lines.MISFITS):
        assert reading.page(reply([{"uuid": "a", "new": 1}])) is None
    assert reading.page(reply([{"uuid": "a"}])) is None


@pytest.mark.parametrize("held", [["x", 3, None], "abc", 7])
def test_what_is_no_object_inside_of_a_row_is_kept(spool, held):
    """Items that are no objects have a row each, beside whose cells they stand; what is no list stays with its run."""
    reading = declared(spool)
    tables = reading.typed(read(reading, [{"uuid": "a", "executions": held}]))
    assert as_dicts(tables["runs"])[0]["executions"] == held
    items = held if isinstance(held, list) else []
    assert [row["_cargo_extra"] for row in as_dicts(tables["executions"])] == [{"item": item} for item in items]
