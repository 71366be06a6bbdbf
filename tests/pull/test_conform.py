"""An export's parquet file, whatever types the warehouse chose, comes into the table's schema with nothing lost."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cargo_source.catalog.columns import Column
from cargo_source.pull.conform import UnusableExport, conform
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Spool
from cargo_source.pull.typed import EXTRA, arrow_schema, arrow_table

COLUMNS = (
    Column("_id", "_id", "text", "id", required=True),
    Column("name", "name", "text", "name"),
    Column("size", "size", "integer", "size"),
    Column("score", "score", "number", "score"),
    Column("is_good", "isGood", "boolean", "good"),
    Column("born_at", "bornAt", "timestamp", "born"),
    Column("tags", "tags", "json", "tags"),
)
SHAPE = Shape("uuid", "table", "a.b", COLUMNS, "domain", None, "")


def exported(tmp_path, select):
    raw = tmp_path / "raw.parquet"
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f"COPY ({select}) TO '{raw}' (FORMAT parquet)")
    chunk = conform(raw, Spool(tmp_path), SHAPE, "run", Pseudonym("salt"))
    table = pq.read_table(chunk.path)
    assert [(f.name, f.type) for f in table.schema] == [(f.name, f.type) for f in arrow_schema(COLUMNS)]
    assert chunk.rows == table.num_rows
    return table.to_pylist()


@pytest.mark.parametrize(
    "moment",
    [
        "TIMESTAMPTZ '2026-03-02 12:00:00+00'",
        "TIMESTAMP '2026-03-02 12:00:00'",
        "'2026-03-02T12:00:00.000Z'",
        "'2026-03-02T13:00:00+01:00'",
    ],
)
@pytest.mark.parametrize("tags", ["'[1,2]'", "[1,2]", "'[1,2]'::JSON"])
def test_values_land_the_same_whatever_their_physical_type(tmp_path, moment, tags):
    """Times with and without zone or as text, nested values as text, list or JSON: one result."""
    (row,) = exported(
        tmp_path,
        f"SELECT 'a' AS _id, 'Ada' AS name, 7::INTEGER AS size, 1.5::DOUBLE AS score, true AS \"isGood\","
        f' {moment} AS "bornAt", {tags} AS tags',
    )
    assert row["born_at"] == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert json.loads(row["tags"]) == [1, 2]
    assert (row["name"], row["size"], row["score"], row["is_good"], row[EXTRA]) == ("Ada", 7, 1.5, True, None)


def test_values_that_do_not_fit_are_kept_beside_their_cell(tmp_path):
    """Text in a number, a fraction in an integer, a number in a boolean: the cell is empty, the value is not lost."""
    (row,) = exported(
        tmp_path,
        "SELECT 'a' AS _id, 1.5::DOUBLE AS size, 'many' AS score,"
        ' 7 AS "isGood", \'soon\' AS "bornAt", 3 AS brand_new',
    )
    assert json.loads(row[EXTRA]) == {"size": 1.5, "score": "many", "isGood": 7, "bornAt": "soon", "brand_new": 3}
    assert [row[name] for name in ("size", "score", "is_good", "born_at")] == [None] * 4


def test_integers_that_a_double_rounds_are_kept_exactly(tmp_path):
    """A warehouse integer beyond 2**53 in a number column is not silently rounded."""
    (row,) = exported(tmp_path, f"SELECT 'a' AS _id, {2**53 + 1}::BIGINT AS score")
    assert json.loads(row[EXTRA]) == {"score": 2**53 + 1}


def test_an_unset_native_date_is_null(tmp_path):
    """{} in a date column is how the platform writes null."""
    (row,) = exported(tmp_path, "SELECT 'a' AS _id, '{}' AS \"bornAt\"")
    assert row["born_at"] is None
    assert row[EXTRA] is None


def test_the_id_is_taken_from_the_id_column_where_the_warehouse_has_no_id(tmp_path):
    """Every model table has _id, the text of the model's own id column."""
    (row,) = exported(tmp_path, "SELECT 42 AS domain")
    assert row["_id"] == "42"


def test_plain_text_in_a_nested_column_becomes_json(tmp_path):
    """A column of any type may hold plain text; the table's cell is JSON all the same."""
    (row,) = exported(tmp_path, "SELECT 'a' AS _id, 'plain \"text\"' AS tags")
    assert json.loads(row["tags"]) == 'plain "text"'


VALUES = [
    ("12::INTEGER", 12),
    ("(2::BIGINT ** 53)::BIGINT + 1", 2**53 + 1),
    ("9223372036854775807::BIGINT", 2**63 - 1),
    ("1.5::DOUBLE", 1.5),
    ("12.34::DECIMAL(18, 2)", 12.34),
    ("true", True),
    ("'12'", "12"),
    ("'1_000'", "1_000"),
    ("'yes'", "yes"),
    ("'infinity'", "infinity"),
    ("'2026-03-02T09:00:00.123Z'", "2026-03-02T09:00:00.123Z"),
    ("TIMESTAMPTZ '2026-03-02 09:00:00.123+00'", "2026-03-02T09:00:00.123Z"),
    ("DATE '2026-03-02'", "2026-03-02"),
    ("[1, 2]", [1, 2]),
    ("{'a': 1}", {"a": 1}),
]
KINDS = ("text", "integer", "decimal", "number", "boolean", "timestamp", "json")
# Text that is JSON in a column of JSON: warehouses write nested values so, and nothing tells them apart.
SAME = [(kind, physical, value) for physical, value in VALUES for kind in KINDS if (kind, value) != ("json", "12")]


@pytest.mark.parametrize(("kind", "physical", "value"), SAME)
def test_an_export_and_a_page_give_the_same_cell(tmp_path, kind, physical, value):
    """Whatever the declared and the physical type: one cell, one extra, in both lanes."""
    columns = (Column("_id", "_id", "text", "id", required=True), Column("v", "v", kind, "value"))
    raw = tmp_path / "raw.parquet"
    with duckdb.connect() as db:
        db.execute(f"COPY (SELECT 'a' AS _id, {physical} AS v) TO '{raw}' (FORMAT parquet)")
    chunk = conform(raw, Spool(tmp_path), replace(SHAPE, columns=columns), "run", Pseudonym("salt"))
    (exported,) = pq.read_table(chunk.path).to_pylist()
    (paged,) = arrow_table([{"_id": "a", "v": value}], columns, known=frozenset({"_id", "v"}), run_id="run").to_pylist()
    cells = [opened(row["v"], kind) for row in (exported, paged)]
    assert cells[0] == cells[1]
    assert (exported[EXTRA] is None) == (paged[EXTRA] is None)


def opened(cell, kind):
    return json.loads(cell) if kind == "json" and cell is not None else cell


def test_names_that_differ_in_case_only_keep_their_own_values(tmp_path):
    """DuckDB takes them for one name; the file does not."""
    columns = (*COLUMNS[:2], Column("name_big", "NAME", "text", "another name"))
    pq.write_table(pa.table({"_id": ["a"], "NAME": ["big"], "name": ["small"]}), tmp_path / "raw.parquet")
    spool = Spool(tmp_path / "o'ut")
    chunk = conform(tmp_path / "raw.parquet", spool, replace(SHAPE, columns=columns), "run", Pseudonym(""))
    (row,) = pq.read_table(chunk.path).to_pylist()
    assert (row["name"], row["name_big"], row[EXTRA]) == ("small", "big", None)


def test_names_in_capitals_are_found(tmp_path):
    """Some warehouses write every name in capitals."""
    (row,) = exported(tmp_path, "SELECT 'a' AS \"_ID\", 'Ada' AS \"NAME\"")
    assert (row["_id"], row["name"], row[EXTRA]) == ("a", "Ada", None)


@pytest.mark.parametrize("select", ["SELECT 'Ada' AS name", "SELECT unnest(['a', NULL]) AS _id"], ids=["none", "null"])
def test_an_export_without_keys_cannot_be_used(tmp_path, select):
    """Rows without a key would all become one."""
    with pytest.raises(UnusableExport, match="key"):
        exported(tmp_path, select)
