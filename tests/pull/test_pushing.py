"""What the warehouse may do of a condition: it never drops a row that the condition keeps, and says what is left."""

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from cargo_source.catalog.columns import Column
from cargo_source.pull.picking import Names, pick
from cargo_source.pull.pushing import physical, pushed
from cargo_source.pull.shapes import Shape

COLUMNS = (
    Column("_id", "_id", "text", "id", required=True),
    Column("name", "name", "text", "name"),
    Column("size", "size", "integer", "size"),
    Column("score", "score", "number", "score"),
    Column("is_good", "isGood", "boolean", "good"),
    Column("price", "price", "decimal", "price"),
    Column("born_at", "bornAt", "timestamp", "born"),
    Column("vague", "vague", "text", "kept as a number"),
)
DDL = (
    "CREATE TABLE `x` (`_id` STRING, `name` STRING, `size` INT64, `score` FLOAT64, `isGood` BOOL, `price` NUMERIC,"
    " `bornAt` TIMESTAMP, `vague` INT64)"
)
SHAPE = Shape("uuid", "table", "a.b", COLUMNS, "_id", "bigquery", "", ddl=DDL)
NAMES = Names("table", COLUMNS)


def push(where):
    return pushed(pick(NAMES, where=where).where, SHAPE, physical(SHAPE))


@pytest.mark.parametrize(
    ("where", "sql", "whole"),
    [
        ("size > 5", "(`size` > 5)", True),
        ("size between -1 and 3.5", "(`size` BETWEEN -1 AND 3.5)", True),
        ("not (size = 5 or score is null)", "(NOT ((`size` = 5) OR (`score` IS NULL)))", True),
        ("is_good and not is_good", "(`isGood` AND (NOT `isGood`))", True),
        ("name = 'Ada'", "(`name` = 'Ada')", True),
        ("name in ('Ada', 'Bob') or name like 'C%'", "((`name` IN ('Ada', 'Bob')) OR (`name` LIKE 'C%'))", True),
        ("name is not null", "(NOT (`name` IS NULL))", True),
        ("size > 5 and lower(name) = 'ada'", "(`size` > 5)", False),
        ("size > 5 and name <> 'Ada'", "(`size` > 5)", False),
        ("size not in (1, 2)", "(NOT (`size` IN (1, 2)))", True),
        ("size in (1, null)", None, None),
        ("size = 9007199254740993", None, None),
        ("size = '5'", None, None),
        ("size + 1 > 5", None, None),
        ("5 < size", None, None),
        ("size > 5 or lower(name) = 'ada'", None, None),
        ("name <> 'Ada'", None, None),
        ("not (name = 'Ada')", None, None),
        ("name > 'Ada'", None, None),
        ("name = 'it''s'", None, None),
        (r"name like 'a\_%'", None, None),
        ("name ilike 'a%'", None, None),
        ("name not like 'a%'", None, None),
        ("name like 'a!%' escape '!'", None, None),
        ("size between symmetric 3 and 1", None, None),
        ("price > 5", None, None),
        ("born_at > '2026-01-01'", None, None),
        ("vague = '5'", None, None),
        ("vague is null", None, None),
        ("true", None, None),
    ],
)
def test_only_what_is_certain_is_handed_over(where, sql, whole):
    """Comparisons with plain literals where the physical type is the landed one; texts never negated."""
    found = push(where)
    assert (found and found.sql, found and found.whole) == (sql, whole)


def test_names_are_spelled_as_the_warehouse_does():
    """A column is called as its DDL calls it, whatever case that has, and nothing is handed over without one."""
    loud = Shape(
        "u", "t", "a.b", COLUMNS, "_id", "snowflake", "", ddl='CREATE TABLE x (_ID TEXT, SIZE INT, "name" TEXT)'
    )
    found = physical(loud)
    assert {field: column.spelled for field, column in found.items() if field in loud.fields} == {
        "_id": "_ID",
        "size": "SIZE",
        "name": '"name"',
    }
    for ddl, dialect in ((None, "bigquery"), ("CREATE TABLE x (a INT)", None), ("nonsense (", "bigquery")):
        assert physical(Shape("u", "t", "a.b", COLUMNS, "_id", dialect, "", ddl=ddl)) == {}


TEXTS = ["Ada", "ada", "BOB", "", "a%"]
ATOMS = st.one_of(
    st.builds("size {} {}".format, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), st.integers(-2, 3)),
    st.builds("score {} {}".format, st.sampled_from(["=", "<>", "<", ">="]), st.sampled_from(["0.1", "-1.5", "2"])),
    st.builds("name {} '{}'".format, st.sampled_from(["=", "<>", "<", "like", "not like"]), st.sampled_from(TEXTS)),
    st.builds("name {} ('{}', 'x')".format, st.sampled_from(["in", "not in"]), st.sampled_from(TEXTS)),
    st.builds("{} is {}null".format, st.sampled_from(["size", "name", "is_good"]), st.sampled_from(["", "not "])),
    st.sampled_from(["is_good", "is_good = false", "length(name) > 2", "size in (0, 1)", "size between 0 and 2"]),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=6,
)
ROWS = ", ".join(
    f"({name}, {size}, {score}, {good})"
    for name in [*(f"'{text}'" for text in TEXTS), "NULL"]
    for size, score in (("0", "0.1"), ("1", "NULL"), ("NULL", "2"), ("-2", "-1.5"))
    for good in ("true", "false", "NULL")
)


@pytest.fixture(scope="module")
def db():
    with duckdb.connect() as here:
        here.execute(
            "CREATE TABLE exact AS SELECT row_number() OVER () AS n, *"
            f" FROM (VALUES {ROWS}) t(name, size, score, isGood)"
        )
        here.execute(
            "CREATE TABLE lax (n BIGINT, name VARCHAR COLLATE NOCASE, size BIGINT, score DOUBLE, isGood BOOLEAN)"
        )
        here.execute("INSERT INTO lax FROM exact")
        yield here


@given(CONDITIONS)
def test_no_row_is_dropped_that_the_condition_keeps(db, where):
    """In a warehouse that compares texts with and in one without their case, what is kept is more or the same."""
    wanted = pick(NAMES, where=where).condition.replace('"is_good"', "isGood")
    kept = {n for (n,) in db.execute(f"SELECT n FROM exact WHERE {wanted}").fetchall()}
    if (found := push(where)) is not None:
        sql = sqlglot.transpile(found.sql, read="bigquery", write="duckdb")[0]
        same, more = (
            {n for (n,) in db.execute(f"SELECT n FROM {table} WHERE {sql}").fetchall()} for table in ("exact", "lax")
        )
        assert kept <= same
        assert kept <= more
        if found.whole:
            assert kept == same
