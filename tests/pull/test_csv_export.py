"""An export's csv file comes into the table's schema as the other lanes would have it, as far as csv can tell."""

import csv
import gzip
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cargo_source.catalog.columns import Column
from cargo_source.pull.conform import UnusableExport
from cargo_source.pull.csv_export import read_csv
from cargo_source.pull.shapes import Shape
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Spool
from cargo_source.pull.typed import EXTRA, arrow_schema, arrow_table

COLUMNS = (
    Column("_id", "_id", "text", "id", required=True),
    Column("name", "name", "text", "name"),
    Column("size", "size", "integer", "size"),
    Column("price", "price", "decimal", "price"),
    Column("score", "score", "number", "score"),
    Column("is_good", "isGood", "boolean", "good"),
    Column("born_at", "bornAt", "timestamp", "born"),
    Column("tags", "tags", "json", "tags"),
)
SHAPE = Shape("uuid", "table", "a.b", COLUMNS, "domain", None, "")


def read(folder, content, shape=SHAPE):
    raw, spool = folder / "raw.download", Spool(folder / "spool")
    raw.write_bytes(content if isinstance(content, bytes) else content.encode())
    chunk = read_csv(raw, spool, shape, "run", Pseudonym("salt"))
    table = pq.read_table(chunk.path)
    assert [(f.name, f.type) for f in table.schema] == [(f.name, f.type) for f in arrow_schema(shape.columns)]
    assert chunk.rows == table.num_rows
    assert [*folder.glob("*.*")] == [raw]
    assert [*spool.folder.iterdir()] == [chunk.path]
    return table.to_pylist()


def one(folder, **cells):
    """The row of a file with one row; None is written as nothing, texts with quotes."""
    names = ["_id", *cells]
    quoted = ["a", *cells.values()]
    line = ",".join("" if cell is None else '"' + cell.replace('"', '""') + '"' for cell in quoted)
    (row,) = read(folder, ",".join(f'"{name}"' for name in names) + "\n" + line + "\n")
    return row


def test_each_type_is_read_from_its_text(tmp_path):
    """Cells have the types of their columns, whatever the order of the header."""
    text = "bornAt,isGood,_id,tags,score,size,name,price\n"
    text += '2026-03-02T12:00:00.000Z,true,a,"{""a"":[1,""x""]}",1.5,7,Ada,12.34\n'
    (row,) = read(tmp_path, text)
    assert row["born_at"] == datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert (row["name"], row["size"], row["score"], row["is_good"]) == ("Ada", 7, 1.5, True)
    assert str(row["price"]) == "12.340000000"
    assert json.loads(row["tags"]) == {"a": [1, "x"]}
    assert row[EXTRA] is None


@pytest.mark.parametrize(
    "text", ['say "hi"', "two\nlines", "two\r\nlines", "a,b", "Köln 日本 🙂", " x ", "NULL", "\\N", "'", "\0"]
)
def test_texts_come_as_they_are(tmp_path, text):
    """Quotes, line breaks, commas, spaces and any script survive."""
    assert one(tmp_path, name=text)["name"] == text


def test_an_empty_text_is_no_null_where_the_writer_quotes_it(tmp_path):
    """Quoted nothing is an empty text, nothing at all is null; in other columns both are null."""
    assert one(tmp_path, name="")["name"] == ""
    assert one(tmp_path, name=None)["name"] is None
    row = one(tmp_path, **dict.fromkeys(("size", "price", "score", "isGood", "bornAt", "tags"), ""))
    assert {row[c.name] for c in COLUMNS[2:]} == {None}
    assert row[EXTRA] is None


@pytest.mark.parametrize(
    ("field", "text", "cell"),
    [
        ("size", "9223372036854775807", 2**63 - 1),
        ("size", "-5", -5),
        ("size", "5.0", 5),
        ("size", "1e3", 1000),
        ("score", "1e20", 1e20),
        ("score", "0.1", 0.1),
        ("score", "-3", -3.0),
        ("score", "9007199254740992", float(2**53)),
        ("isGood", "TRUE", True),
        ("isGood", "False", False),
        ("isGood", "f", False),
        ("bornAt", "2026-03-02 12:00:00 UTC", datetime(2026, 3, 2, 12, tzinfo=UTC)),
        ("bornAt", "2026-03-02T13:00:00+01:00", datetime(2026, 3, 2, 12, tzinfo=UTC)),
        ("bornAt", "2026-03-02", datetime(2026, 3, 2, tzinfo=UTC)),
        ("bornAt", "{}", None),
        ("tags", "plain", '"plain"'),
        ("tags", "[1,2]", "[1,2]"),
        ("tags", "NaN", '"NaN"'),
    ],
)
def test_spellings_that_are_understood(tmp_path, field, text, cell):
    """Booleans in any case, times with and without a zone, unset dates, plain text in nested columns."""
    row = one(tmp_path, **{field: text})
    name = next(column.name for column in COLUMNS if column.field == field)
    assert row[name] == cell
    assert row[EXTRA] is None


@pytest.mark.parametrize(
    ("field", "text", "cell", "kept"),
    [
        ("size", "1.5", None, 1.5),
        ("size", "9223372036854775808", None, 2**63),
        ("size", "many", None, "many"),
        ("score", "1_000", None, "1_000"),
        ("score", "inf", None, "inf"),
        ("score", "true", None, True),
        ("score", str(2**53 + 1), float(2**53), 2**53 + 1),
        ("score", "1" * 60, float("1" * 60), int("1" * 60)),
        ("isGood", "7", None, 7),
        ("isGood", "yes", None, "yes"),
        ("bornAt", "soon", None, "soon"),
        ("bornAt", "infinity", None, "infinity"),
        ("bornAt", '{"a":1}', None, {"a": 1}),
    ],
)
def test_values_that_do_not_fit_are_kept_beside_their_cell(tmp_path, field, text, cell, kept):
    """A value of another type than declared leaves its cell empty, or at the nearest, and is not lost."""
    row = one(tmp_path, **{field: text})
    name = next(column.name for column in COLUMNS if column.field == field)
    assert row[name] == cell
    assert json.loads(row[EXTRA]) == {field: kept}


def test_decimals_beyond_the_scale_are_kept(tmp_path):
    """What a decimal column rounds is kept whole beside it."""
    row = one(tmp_path, price="0.12345678912")
    assert str(row["price"]) == "0.123456789"
    assert row[EXTRA] == '{"price":0.12345678912}'
    assert one(tmp_path, price="0.1234567890000")[EXTRA] is None


def test_unknown_columns_are_kept_and_missing_ones_are_null(tmp_path):
    """A column that no declaration knows is kept as text, unless it is hidden; an absent one is null."""
    row = one(tmp_path, brand_new="3", other=None)
    assert json.loads(row[EXTRA]) == {"brand_new": "3"}
    assert row["name"] is None
    (row,) = read(tmp_path, "_id,brand_new\na,3\n", replace(SHAPE, hides=lambda field: field == "brand_new"))
    assert row[EXTRA] is None


def test_names_in_capitals_and_twins_are_told_apart(tmp_path):
    """A warehouse that writes capitals is understood, and names that differ in case only are not mixed up."""
    (row,) = read(tmp_path, "_ID,NAME,ISGOOD\na,Ada,true\n")
    assert (row["name"], row["is_good"], row[EXTRA]) == ("Ada", True, None)
    (row,) = read(tmp_path, "_id,name,Name\na,Ada,Bob\n")
    assert (row["name"], json.loads(row[EXTRA])) == ("Ada", {"Name": "Bob"})


def test_the_id_column_stands_in_for_the_key(tmp_path):
    """Where there is no _id, the model's own id column gives it; without either the file is refused."""
    assert read(tmp_path, "domain\n42\n")[0]["_id"] == "42"
    with pytest.raises(UnusableExport, match="key"):
        read(tmp_path, "name\nAda\n")
    with pytest.raises(UnusableExport, match="keys of some rows"):
        read(tmp_path, "_id,name\n,Ada\n")


def test_personal_columns_are_hashed_or_emptied(tmp_path):
    """Pseudonyms are those of the other lanes, and nothing of such a column is kept beside it."""
    hashed = replace(COLUMNS[1], pii="hash")
    emptied = replace(COLUMNS[2], pii="null")
    shape = replace(SHAPE, columns=(COLUMNS[0], hashed, emptied), left_out=SHAPE.fields)
    (row,) = read(tmp_path, "_id,name,size\na,Ada,many\n", shape)
    assert (row["name"], row["size"], row[EXTRA]) == (Pseudonym("salt")("Ada"), None, None)


WHOLE = b"_id,name\na,Ada\nb,Bob\n"


def test_packed_files_are_unpacked_and_checked(tmp_path):
    """Gzip, in several members too, is read; one whose end is missing, or that is damaged, is refused."""
    assert len(read(tmp_path, gzip.compress(WHOLE) + gzip.compress(b"c,Cy\n"))) == 3
    many = gzip.compress(WHOLE + b"".join(b"%d,x%d\n" % (i, i * i) for i in range(5000)))
    damaged = bytearray(many)
    damaged[-6] ^= 0xFF
    for broken in (many[:-4], many[:-9], many[: len(many) // 2], bytes(damaged)):
        with pytest.raises(UnusableExport, match="cut short"):
            read(tmp_path, broken)
        assert [path.name for path in tmp_path.iterdir() if path.suffix == ".csv"] == []


@pytest.mark.parametrize(
    "broken", [WHOLE + b"c", WHOLE + b'c,"x', WHOLE + b"c,x,y\n", WHOLE + b"c,\xff\n", b'"_id', b"_id,_id\na,b\n"]
)
def test_broken_files_are_refused_without_quoting_their_rows(tmp_path, broken):
    """Short and long rows, an open quote, bytes that are no text, a header that is none: refused, values untold."""
    with pytest.raises(UnusableExport) as refused:
        read(tmp_path, broken)
    assert "Ada" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_with_only_a_header_is_an_empty_typed_table(tmp_path):
    """No rows are no rows, with or without a line break; a byte order mark and CRLF do not matter."""
    assert read(tmp_path, "_id,name\n") == read(tmp_path, "_id,name") == []
    assert read(tmp_path, b"\xef\xbb\xbf_id,name\r\na,Ada\r\n")[0]["name"] == "Ada"


def test_long_cells_are_read(tmp_path):
    """A document of several megabytes in one cell is no trouble."""
    assert len(one(tmp_path, name="x" * 5_000_000)["name"]) == 5_000_000


CELLS = st.fixed_dictionaries(
    {
        "name": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        "size": st.none() | st.integers(-(2**70), 2**70),
        "score": st.none() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False),
        "isGood": st.none() | st.booleans() | st.integers(2, 9),
        "tags": st.none()
        | st.lists(st.integers(0, 9), max_size=3)
        | st.dictionaries(st.text("ab", max_size=2), st.booleans()),
    }
)


@given(st.lists(CELLS, min_size=1, max_size=6))
def test_csv_gives_the_cells_of_the_pages(tmp_path_factory, rows):
    """The same values written as csv and as the API's JSON become the same cells, what does not fit included."""
    rows = [{"_id": str(place), **row} for place, row in enumerate(rows)]
    out = io.StringIO()
    names = list(rows[0])
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        cells = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in (row[n] for n in names)]
        line = ",".join("" if cell is None else '"' + cell.replace('"', '""') + '"' for cell in cells)
        out.write(line + "\n")
    got = read(tmp_path_factory.mktemp("csv"), out.getvalue())
    wanted = arrow_table(rows, COLUMNS, known=SHAPE.fields, run_id="run").to_pylist()
    for mine, theirs in zip(got, wanted, strict=True):
        kept = [json.loads(row.pop(EXTRA) or "{}") for row in (mine, theirs)]
        assert kept[0] == kept[1]
        nested = [json.loads(row.pop("tags") or "null") for row in (mine, theirs)]
        assert nested[0] == nested[1]
        assert mine == theirs
