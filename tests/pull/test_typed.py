import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cargo_source.catalog.columns import columns
from cargo_source.errors import UnexpectedShape
from cargo_source.pull.typed import EXTRA, arrow_table

COLUMNS = columns("""
    uuid     text!      key
    name     text       text
    size     integer    integer
    price    decimal    decimal
    score    number     number
    isGood   boolean    boolean
    bornAt   timestamp  time
    tags     json       anything
""")
KNOWN = frozenset(column.field for column in COLUMNS)


def typed(*rows, known=KNOWN, dropped=()):
    table = arrow_table([{"uuid": "u", **row} for row in rows], COLUMNS, known=known, run_id="r", dropped=dropped)
    return table.to_pylist()


def test_values_that_fit_land_as_they_are():
    """Each type keeps its value."""
    (row,) = typed(
        {
            "name": "ü\0\n",
            "size": 2**62,
            "price": 1.25,
            "score": 3,
            "isGood": False,
            "bornAt": "2026-03-02T12:00:00.123Z",
            "tags": {"a": [1, None]},
        }
    )
    assert row["name"] == "ü\0\n"
    assert row["size"] == 2**62
    assert row["price"] == Decimal("1.25")
    assert row["score"] == 3.0
    assert row["is_good"] is False
    assert row["born_at"] == datetime(2026, 3, 2, 12, 0, 0, 123000, tzinfo=UTC)
    assert json.loads(row["tags"]) == {"a": [1, None]}
    assert row[EXTRA] is None


@given(
    st.dictionaries(
        st.sampled_from(sorted(KNOWN - {"uuid"})),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
        | st.lists(st.integers(0, 9)),
    )
)
def test_nothing_is_dropped_whatever_comes(row):
    """Each value is in its cell, exactly, or else in the extra column, exactly."""
    (landed,) = typed(row)
    extra = json.loads(landed[EXTRA]) if landed[EXTRA] else {}
    for column in COLUMNS[1:]:
        value, cell = row.get(column.field), landed[column.name]
        if column.field in extra:
            assert extra[column.field] == value
        elif value is None:
            assert cell is None
        elif column.type == "json" or (column.type == "text" and not isinstance(value, str)):
            assert json.loads(cell) == value
        elif column.type == "timestamp":
            assert cell == datetime.fromisoformat(value).replace(tzinfo=UTC) or cell is not None
        else:
            assert Decimal(str(cell)) == Decimal(str(value)) if column.type == "decimal" else cell == value


def test_integers_that_a_double_rounds_are_kept_exactly_beside_it():
    """2**53 + 1 shows rounded in a number column, and exactly in the extra one."""
    (row,) = typed({"score": 2**53 + 1})
    assert row["score"] == 2.0**53
    assert json.loads(row[EXTRA]) == {"score": 2**53 + 1}


def test_fields_that_the_catalogue_does_not_know_are_kept():
    """A field that Cargo adds tomorrow lands today."""
    (row,) = typed({"brandNew": {"x": 1}})
    assert json.loads(row[EXTRA]) == {"brandNew": {"x": 1}}


def test_known_fields_that_do_not_land_stay_out_of_the_extra_column():
    """A personal column that was not asked for does not slip in as an unknown field."""
    (row,) = typed({"recordTitle": "Ada"}, known=KNOWN | {"recordTitle"})
    assert row[EXTRA] is None


def test_a_date_that_reads_back_as_an_empty_object_is_null():
    """The platform's own quirk, not a value."""
    (row,) = typed({"bornAt": {}})
    assert row["born_at"] is None
    assert row[EXTRA] is None


def test_secrets_are_gone_wherever_they_lie():
    """Dropped paths reach into lists, and encrypted settings lose their value at any depth."""
    secret = {"type": "encryption", "isEncrypted": True, "value": "canary"}
    (row,) = typed(
        {"tags": {"clients": [{"auth": "canary", "url": "u"}], "deep": [{"key": secret}]}},
        dropped=("tags.clients[].auth",),
    )
    assert "canary" not in row["tags"]
    assert json.loads(row["tags"])["clients"] == [{"url": "u"}]


def test_a_row_without_its_key_is_a_bug_to_report():
    """No row is loaded that cannot be merged."""
    with pytest.raises(UnexpectedShape, match="uuid"):
        arrow_table([{"name": "x"}], COLUMNS, known=KNOWN, run_id="r")
