"""Pages that are decoded into columns give the very cells that reading them value by value gives."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cargo_source.api import Reply
from cargo_source.catalog.columns import Column
from cargo_source.errors import UnexpectedShape
from cargo_source.pull import spool as spool_module
from cargo_source.pull.decoding import Decoder
from cargo_source.pull.lines import MISFITS
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Spool
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.typed import arrow_table

COLUMNS = (
    Column("_id", "_id", "text", "id", required=True),
    Column("name", "name", "text", "name"),
    Column("size", "size", "integer", "size"),
    Column("price", "price", "decimal", "price"),
    Column("score", "score", "number", "score"),
    Column("is_good", "isGood", "boolean", "good"),
    Column("born_at", "bornAt", "timestamp", "born"),
    Column("tags", "tags", "json", "tags"),
    Column("email", "email", "text", "email", pii="hash"),
    Column("phone", "phone", "text", "phone", pii="null"),
)
SHAPE = Shape("uuid", "table", "a.b", COLUMNS, "domain", None, "", left_out=frozenset({"secret"}))
SALT = Pseudonym("salt")


def decoder(shape=SHAPE, spool=None):
    return Decoder(shape, "run", SALT, Surprises(), spool)


def reply(rows, **more):
    return Reply(200, {}, json.dumps({"records": rows, **more}).encode())


def as_dicts(table):
    rows = table.to_pylist()
    for row in rows:
        for name in ("tags", "_cargo_extra"):
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
times = st.sampled_from(
    ["2026-03-02T12:00:00.123Z", "2026-03-02", "2026-03-02T12:00:00", "0001-01-01T00:00:00+14:00", "x"]
)
anything = st.recursive(
    scalars | texts | times, lambda v: st.lists(v, max_size=2) | st.dictionaries(texts, v, max_size=2)
)
own = {
    "name": texts | st.none(),
    "size": st.integers(-(2**62), 2**62) | st.none(),
    "price": st.integers(-9, 9) | st.floats(-1e6, 1e6) | st.none(),
    "score": st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    "isGood": st.booleans() | st.none(),
    "bornAt": times | st.just({}) | st.none(),
    "tags": anything,
    "email": texts | st.none(),
    "phone": anything,
    "secret": anything,
}


@st.composite
def rows(draw):
    """Rows whose cells mostly are what their columns declare, with fields missing here and there."""
    row = {"_id": draw(texts)}
    for field, fitting in own.items():
        if draw(st.integers(0, 9)):
            row[field] = draw(fitting if draw(st.integers(0, 9)) else anything)
    if not draw(st.integers(0, 9)):
        row["unknown"] = draw(anything)
    return row


@given(st.lists(st.lists(rows(), max_size=3), max_size=4))
def test_both_ways_of_reading_give_the_same_cells(spool, pages):
    """Whatever comes, in whatever order fitting pages and others follow one another."""
    reading = decoder(spool=spool)
    found = [row for page in pages for row in reading.page(reply(page))[0]]
    plain = json.loads(json.dumps([row for page in pages for row in page]))
    wanted = arrow_table(plain, COLUMNS, known=SHAPE.fields, run_id="run", pseudonym=SALT)
    assert as_dicts(reading.typed(found)) == as_dicts(wanted)
    assert reading.typed(found).schema == wanted.schema


def test_pages_that_fit_make_no_dicts():
    """A page of declared columns alone comes as structs, with what is left out of them gone."""
    page, refreshing = decoder().page(reply([{"_id": "a", "name": "Ada", "secret": {"x": 1}}], isRefreshing=True))
    assert refreshing
    assert not isinstance(page[0], dict)
    assert decoder().page(reply([{"_id": "a", "new": 1}])) == ([{"_id": "a", "new": 1}], False)


def test_after_some_pages_that_do_not_fit_no_further_one_is_tried():
    """A model that is not what it declares costs one reading a page, not two."""
    reading = decoder()
    for _ in range(MISFITS):
        reading.page(reply([{"_id": "a", "new": 1}]))
    assert isinstance(reading.page(reply([{"_id": "a"}]))[0][0], dict)


def test_rows_are_known_by_the_column_that_names_them():
    """Where a workspace sends no _id, the model's id column stands for it."""
    reading = decoder(replace(SHAPE, columns=(*COLUMNS, Column("domain", "domain", "text", "domain"))))
    found, _ = reading.page(reply([{"domain": "a.fr"}]))
    assert [reading.identity(row) for row in found] == ["a.fr"]
    with pytest.raises(UnexpectedShape):
        reading.typed(reading.page(reply([{"name": "nobody"}]))[0])


@pytest.mark.parametrize(
    "field", ['say "hi"', "a\\b", "two\nlines", "", " ", "a.b", "it's", "{x}", "rowid", "json", "Name"]
)
def test_fields_may_have_any_name(spool, field):
    """People and warehouses name columns as they like; some names neither msgspec nor DuckDB takes."""
    shape = replace(SHAPE, columns=(*COLUMNS[:2], Column("found", field, "text", "it")))
    rows = [{"_id": str(n), "name": "a", field: f"value {n}"} for n in range(5)]
    reading = decoder(shape, spool)
    found, _ = reading.page(reply(rows))
    assert reading.typed(found).column("found").to_pylist() == [f"value {n}" for n in range(5)]


def test_many_rows_that_fit_are_read_by_duckdb(spool):
    """Else the comparison above would hold one way against itself."""
    rows = [
        {"_id": "a", "name": "\u0000😀 é", "size": 2**62, "price": 12.34, "score": 2**53, "isGood": False},
        {"_id": "b", "bornAt": {}, "tags": [1, {"x": 2**70}, None, 1.5e300], "email": "ada@b.fr", "phone": [3]},
        {"_id": "c", "bornAt": "2026-03-02T12:00:00.123Z", "tags": None, "price": -7, "score": 0.1},
    ]
    reading = decoder(spool=spool)
    found, _ = reading.page(reply(rows))
    table = reading._by_duckdb(found)
    assert as_dicts(table) == as_dicts(arrow_table(rows, COLUMNS, known=SHAPE.fields, run_id="run", pseudonym=SALT))


def test_a_number_that_no_double_holds_is_told(spool):
    """Inside nested values a page may hold one, which is JSON all the same."""
    reading = decoder()
    content = b'{"records": [{"_id": "a", "tags": [1e400]}]}'
    found, _ = reading.page(Reply(200, {}, content))
    with pytest.raises(UnexpectedShape, match="no double"):
        reading.typed(found)


def test_long_texts_that_do_not_land_count_as_well(tmp_path, monkeypatch):
    """What waits in memory is what came, not what lands of it."""
    monkeypatch.setattr(spool_module, "CHUNK_BYTES", 100_000)
    own, reading, seen = Spool(tmp_path), decoder(), []

    def typed(rows):
        seen.append(len(rows))
        return reading.typed(rows)

    sheet = own.sheet(reading.typed([]).schema, ("_id",), typed)
    for n in range(30):
        sheet.add(reading.page(reply([{"_id": f"{n}-{m}", "secret": "x" * 1_000} for m in range(100)]))[0])
    assert sheet.finish().rows == 3_000
    assert seen == [100] * 30
    own.close()
