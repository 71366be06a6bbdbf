"""Every type and edge of Arrow and of Python's objects: sent exactly, or refused by row or by column."""

import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cargo_source.push.nested import are_all, checked
from tests.push.drawn import LEAVES, SCALARS, none_or, wrapped
from tests.push.oracle import TARGETS, check, pushed, quoted_in
from tests.push.things import OBJECTS

TAKES = {
    "integer": {"integer", "number", "decimal", "any"},
    "float": {"integer", "number", "decimal", "any"},
    "decimal": {"integer", "number", "decimal", "any"},
    "boolean": {"boolean", "any"},
    "text": {"text", "timestamp", "object", "array", "vector", "any"},
    "time": {"timestamp"},
    "nested": {"object", "array", "vector", "any"},
    "nothing": {"text", "integer", "number", "decimal", "boolean", "timestamp", "object", "array", "vector", "any"},
}
"""Which columns a kind goes into; others are refused as columns, whatever they hold."""


def goes(kind, target, cargo):
    return (cargo if target == "json" else target) in TAKES[kind]


@settings(max_examples=400)
@given(st.data())
def test_a_cell_of_arrow_is_sent_exactly_or_its_row_is_refused(data):
    """Every type of Arrow that is no list, into every type of column: the value itself, or the row, or the column."""
    name = data.draw(st.sampled_from(sorted(SCALARS)))
    kind, draw, make, say = SCALARS[name]
    values = data.draw(st.lists(st.none() | draw, max_size=6))
    target, cargo = data.draw(st.sampled_from(TARGETS))
    rows = pushed(pa.table({"c": make(values)}), target, cargo)
    due = [None if value is None else say(value) for value in values]
    refused = not goes(kind, target, cargo) or (name == "arrow.json" and target != "json")
    check(rows, due, target, cargo, column=refused)


@settings(max_examples=150)
@given(st.data())
def test_nested_values_are_sent_as_json_or_their_row_is_refused(data):
    """Lists, structs and maps in one another, with nulls and nothing in them, as the values that they hold."""
    kind, draw, say = data.draw(
        st.recursive(st.sampled_from(LEAVES), lambda inner: inner.flatmap(wrapped), max_leaves=3).flatmap(wrapped)
    )
    values = data.draw(st.lists(draw, max_size=4))
    target, cargo = data.draw(st.sampled_from(TARGETS[-4:]))
    rows = pushed(pa.table({"c": pa.array(values, kind)}), target, cargo)
    check(rows, [*map(none_or(say), values)], target, cargo, column=False)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize(
    "array",
    [
        pa.array([b"secret"], pa.binary()),
        pa.array([b"secret"], pa.large_binary()),
        pa.array([b"secret"], pa.binary_view()),
        pa.array([b"secret"], pa.binary(6)),
        pa.array([1], pa.time32("s")),
        pa.array([1], pa.time64("ns")),
        pa.array([1], pa.duration("us")),
        pa.array([pa.MonthDayNano([1, 2, 3])]),
        pa.array([uuid.UUID(int=7).bytes], pa.uuid()),
        pa.array([1], pa.int8()).cast(pa.bool8()),
        pa.array([[b"secret"]], pa.list_(pa.binary())),
        pa.array([{"a": 1}], pa.struct([("a", pa.duration("s"))])),
        pa.array([[(1, "secret")]], pa.map_(pa.int8(), pa.string())),
        pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1]), pa.array(["secret"])]),
        pa.array(["secret"]).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.binary())),
        pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["secret"], pa.json_())),
    ],
    ids=lambda array: str(array.type),
)
def test_what_cargo_has_nothing_like_is_refused_as_a_column(array, target):
    """Bytes, times of day, spans, identifiers of 128 bits, unions: told in a line that quotes no cell."""
    rows = pushed(pa.table({"c": array}), *target)
    assert rows.whole
    assert "cast" in rows.reason
    assert "secret" not in rows.reason


@settings(max_examples=400)
@given(st.data())
def test_python_objects_are_sent_exactly_or_their_row_is_refused(data):
    """Columns of mixed objects in pandas: each for itself, nested ones too, and no value in a reason."""
    few = data.draw(st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=4))
    column = np.empty(len(few), dtype=object)
    for place, (each, _) in enumerate(few):
        column[place] = each
    target, cargo = data.draw(st.sampled_from(TARGETS))
    rows = pushed(pd.DataFrame({"c": pd.Series(column, dtype=object)}), target, cargo)
    check(rows, [value for _, value in few], target, cargo)
    assert not quoted_in(rows, "secret")


FRAGMENTS = st.sampled_from(
    [
        '{"a":[1',
        "2]}",
        "{}",
        "{},{}",
        "1],[2",
        '{"a":"',
        '"}',
        "[",
        "]",
        ",",
        '"',
        "\\",
        "null",
        " {} ",
        "{}\n",
        "1",
        "[1]",
    ]
)


@settings(max_examples=1000)
@given(
    st.lists(st.none() | FRAGMENTS | st.lists(FRAGMENTS, max_size=3).map("".join), max_size=6),
    st.sampled_from(["any", "object", "array", "vector"]),
)
def test_texts_that_are_read_at_once_are_those_that_are_taken_one_by_one(texts, cargo):
    """No text passes that would not by itself, whatever the ones beside it leave open or close."""
    if are_all(texts, cargo):
        for text in texts:
            assert text is None or checked(text, cargo) == text.strip()
