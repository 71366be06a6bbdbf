"""What opens and what does not: each source of rows, and one line for each that cannot be."""

import dlt
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cargo_source.push.batches import BATCH
from tests.push.oracle import Refused, pushed

TABLE = pa.table({"c": ["a", None, "b"]})
SENT = ['"a"', None, '"b"']


NO_TEXT = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])


class Streams:
    """Gives Arrow, and is nothing else."""

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.RecordBatchReader.from_batches(TABLE.schema, iter(TABLE.to_batches())).__arrow_c_stream__()


SOURCES = {
    "table": lambda folder: TABLE,
    "batch": lambda folder: TABLE.to_batches()[0],
    "reader": lambda folder: pa.RecordBatchReader.from_batches(TABLE.schema, iter(TABLE.to_batches())),
    "dataset": lambda folder: ds.dataset(TABLE),
    "scanner": lambda folder: ds.dataset(TABLE).scanner(),
    "stream": lambda folder: Streams(),
    "pandas": lambda folder: TABLE.to_pandas(),
    "objects": lambda folder: TABLE.to_pandas().astype(object),
    "category": lambda folder: TABLE.to_pandas().astype("category"),
    "polars": lambda folder: pl.from_arrow(TABLE),
    "enum": lambda folder: pl.from_arrow(TABLE).cast(pl.Enum(["a", "b"])),
    "categorical": lambda folder: pl.from_arrow(TABLE).cast(pl.Categorical),
    "lazy": lambda folder: pl.from_arrow(TABLE).lazy(),
    "duckdb": lambda folder: duckdb.sql("SELECT unnest(['a', NULL, 'b']::ENUM('a', 'b')[]) AS c"),
    "parquet": lambda folder: written(folder, TABLE),
    "row groups": lambda folder: written(folder, TABLE, row_group_size=1),
    "dictionary": lambda folder: written(folder, pa.table({"c": TABLE["c"].dictionary_encode()})),
}


def written(folder, table, **options):
    path = folder / "source.parquet"
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize("source", SOURCES)
def test_whatever_is_tabular_opens(source, tmp_path):
    """The same three texts in every form that people have them in, with or without rows."""
    assert pushed(SOURCES[source](tmp_path), "text", "string") == SENT


@pytest.mark.parametrize(
    "make", [lambda t: t, lambda t: t.to_pandas(), pl.from_arrow, lambda t: pl.from_arrow(t).lazy()]
)
def test_a_source_without_rows_is_a_source(make, tmp_path):
    """No rows are no error: there is nothing to do."""
    assert pushed(make(TABLE.slice(0, 0)), "text", "string") == []
    assert pushed(written(tmp_path, TABLE.slice(0, 0)), "text", "string") == []


def test_long_sources_keep_their_order():
    """Rows are numbered as they come, over all batches."""
    count = 2 * BATCH + 7
    for source in (pd.DataFrame({"c": np.arange(count)}), pl.DataFrame({"c": np.arange(count)})):
        assert pushed(source, "integer", "number") == [str(each) for each in range(count)]


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("9223372036854775808::HUGEINT", Refused()),
        ("7::HUGEINT", "7"),
        ("TIMESTAMP_NS '2020-01-01 00:00:00.000000001'", Refused()),
        ("1::UHUGEINT", Refused()),
        ("INTERVAL 1 DAY", Refused()),
        ("union_value(a := 1)", Refused()),
        ("1::BIGNUM", Refused()),
    ],
)
def test_types_of_duckdb_alone_are_exact_or_refused(kind, cell):
    """Integers of 128 bits, nanoseconds, spans and unions."""
    found = pushed(duckdb.sql(f"SELECT {kind} AS c"), "timestamp" if "TIME" in kind else "integer", "number")
    assert found == ([cell] if isinstance(found, list) else cell)


def test_queries_run_where_a_path_a_url_or_a_pipeline_says(tmp_path, monkeypatch):
    """A DuckDB file by its path, relative and absolute URLs, and the dataset of a dlt pipeline."""
    monkeypatch.chdir(tmp_path)
    duckdb.connect("own.duckdb").execute("CREATE TABLE t AS SELECT unnest(['a', NULL, 'b']) AS c").close()
    for database in ("own.duckdb", tmp_path / "own.duckdb", "duckdb:///own.duckdb", f"duckdb:///{tmp_path}/own.duckdb"):
        assert pushed("FROM t", "text", "string", database=database) == SENT
    pipeline = dlt.pipeline("asked", pipelines_dir=str(tmp_path), destination=dlt.destinations.duckdb("lake.duckdb"))
    pipeline.run([{"c": "a"}, {"c": "b"}], table_name="t")
    assert pushed("SELECT c FROM t ORDER BY c", "text", "string", database=pipeline) == ['"a"', '"b"']
    missing = pushed("SELECT c FROM nope", "text", "string", database=pipeline).reason
    assert "the query failed: Catalog Error: Table with name nope does not exist!" in missing
    assert pushed("SELECT c FROM t WHERE false", "text", "string", database=pipeline) == []


@pytest.mark.parametrize(
    ("data", "database", "words"),
    [
        ("SELEKT", "own.duckdb", "the query failed: Parser Error"),
        ("SELECT z FROM t", "own.duckdb", 'Referenced column "z" not found'),
        ("SELECT c::INTEGER AS c FROM t", "own.duckdb", "ConversionException"),
        ("SET threads = 1", "own.duckdb", "it has to be a SELECT"),
        ("SELECT 1", "nope.duckdb", "there is no DuckDB file nope.duckdb"),
        ("SELECT 1", "duckdb://", "there is no DuckDB file"),
        ("SELECT 1", "text.csv", "cannot be opened"),
        ("SELECT 1", "mysql://u:secret@h/d", "dlt knows no 'mysql'"),
        ("SELECT 1", "://", "give a dlt pipeline, a DuckDB file, or a URL"),
        ("SELECT 1", 5, "give a dlt pipeline, a DuckDB file, or a URL"),
        (TABLE, "own.duckdb", "it is for a query"),
        ("nope.parquet", None, "give the path of a parquet file"),
        ("text.csv", None, "cannot be read as parquet"),
        ([{"c": 1}], None, "a builtins.list cannot be pushed"),
        (pa.chunked_array([[1]]), None, "cannot be pushed"),
        (pl.Series("c", [1]), None, "cannot be pushed"),
        (pa.table([[1], [2]], names=["c", "c"]), None, "share a name"),
        (pd.DataFrame([[1, 2]], columns=["c", 1]), None, "df.rename(columns=str)"),
        (pl.DataFrame({"c": [object()]}), None, "cannot leave polars: c; cast"),
        (pl.DataFrame({"c": [1]}, schema={"c": pl.Int128}), None, "cannot leave polars: c; cast"),
        (pl.DataFrame({"c": ["secret"]}).lazy().cast(pl.Int64).cast(pl.String), None, "cannot be read beyond row 0"),
        (
            pa.table({"c": NO_TEXT}),
            None,
            "row 0: column 'c' holds bytes",
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_does_not_open_is_told_in_a_line(data, database, words, tmp_path, monkeypatch):
    """Queries, paths, URLs and things that are none: what is wrong and what to give, without a cell or a password."""
    monkeypatch.chdir(tmp_path)
    duckdb.connect("own.duckdb").execute("CREATE TABLE t AS SELECT 'secret' AS c").close()
    (tmp_path / "text.csv").write_text("secret,1\n")
    found = pushed(data, "text", "string", database=database)
    assert words in found.reason
    assert "secret" not in found.reason
