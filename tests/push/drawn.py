"""Values of every type of Arrow, drawn with what somebody would say they are."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
from hypothesis import strategies as st

from tests.push.oracle import Bad, Moment

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(
        ["", "null", "1", "\x00", "a\x00b", "\u2028", "'\"\\", "😀", "NaN", "true", " ", "2020-01-01", "!", "@"]
    ),
)
JSON_TEXTS = st.sampled_from(
    [
        '{"a":1}',
        "{}",
        "[]",
        "[1,2.5]",
        "[1,]",
        "[NaN]",
        "NaN",
        "-Infinity",
        "[1e400]",
        "[0.1000000000000000055]",
        "null",
        " [1] ",
        '"x"',
        "12345678901234567890123",
        '{"a":1,"a":2}',
        '"\\ud800"',
        "1E5",
        "01",
        "[true]",
        '{"a":"NaN, Infinity"}',
        '["[1,]"]',
        "[null]",
        '{"\\u0000":[{}]}',
        "{'a':1}",
        "[1] 2",
        "-0.0",
        '["\\ud83d\\ude00"]',
        "[" * 300 + "]" * 300,
    ]
)
DAYS = st.sampled_from(
    ["2020-02-29", "2021-02-29", "0001-01-01", "9999-12-31", "0000-01-01", "1969-12-31", "20200101", "2020-1-1"]
)
CLOCKS = st.sampled_from(
    [
        "",
        "T00:00:00",
        " 23:59:59",
        "T10:00",
        "T24:00:00",
        "T23:59:60",
        "t10:00:00",
        "T10",
        "T10:00:00.5",
        "T10:00:00.123",
        "T10:00:00,5",
        "T10:00:00.123000000",
        "T10:00:00.1230001",
        "T10:00:00.999999999",
        "T10:00:00.",
        " 10:61:00",
        "T25:00:00",
        "T00:00:00.0001",
    ]
)
ZONES = st.sampled_from(
    ["", "Z", "z", "+00:00", "-05:00", "+0530", "+14", "+23:59", "-23:59", "+24:00", "+99:99", "+05:60", " Z", "+5"]
)
TIME_TEXTS = st.builds("{}{}{}".format, DAYS, CLOCKS, ZONES)
SEED_DATES = st.integers(-(10**13), 3 * 10**14)


def ints(bits, *, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    edges = [edge for edge in (low, high, 0, 1, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63) if low <= edge <= high]
    return st.one_of(st.integers(low, high), st.sampled_from(edges))


def floats(width):
    edges = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.5, 2.0**-14]
    more = [5e-324, 1e300, 2.0**53, 2.0**63, -(2.0**63), 1e22, 0.1] if width == 64 else []
    return st.one_of(st.floats(width=width), st.sampled_from(edges + more), st.integers(-99, 99).map(float))


def decimals(precision, scale):
    top = 10 ** (precision + min(scale, 0)) - 1
    units = st.one_of(st.integers(-top, top), st.integers(-9999, 9999).filter(lambda each: abs(each) <= top))
    return units.map(
        lambda each: (
            Decimal(each).scaleb(-scale)
            if precision < 28
            else Decimal((each < 0, tuple(map(int, str(abs(each)))), -scale))
        )
    )


def moments(unit, per_second):
    edges = [
        (0, 0),
        (-1, 0),
        (-62_135_596_800, 0),
        (-62_135_596_801, 0),
        (253_402_300_799, 0),
        (253_402_300_800, 0),
        (2**40, 0),
    ]
    parts = st.sampled_from([0, 1, -1, per_second // 1000, per_second // 2, per_second - 1])
    drawn = st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.builds(lambda edge, part: edge[0] * per_second + part, st.sampled_from(edges), parts),
        st.integers(-(10**10), 10**10).map(lambda each: each * max(per_second // 1000, 1)),
    )
    return drawn.filter(lambda each: -(2**63) <= each < 2**63)


def arrow(kind):
    return lambda values: pa.array(values, kind)


SCALARS = {}
"""By name: what kind of thing it is, what draws its values, what makes an array of them, what somebody would say."""


def scalar(name, kind, draw, make, say=lambda value: value):
    SCALARS[name] = (kind, draw, make, say)


for bits in (8, 16, 32, 64):
    scalar(f"int{bits}", "integer", ints(bits, signed=True), arrow(getattr(pa, f"int{bits}")()))
    scalar(f"uint{bits}", "integer", ints(bits, signed=False), arrow(getattr(pa, f"uint{bits}")()))
for width in (16, 32, 64):
    scalar(f"float{width}", "float", floats(width), arrow(getattr(pa, f"float{width}")()))
for name, kinds in {
    "decimal32": (9, (0, 2, 9)),
    "decimal64": (18, (0, 5, 18)),
    "decimal128": (38, (0, 2, 9, 10, 18, 37, 38, -3)),
    "decimal256": (76, (0, 9, 40, 76, -2)),
}.items():
    for scale in kinds[1]:
        kind = getattr(pa, name)(kinds[0], scale)
        scalar(f"{name}/{scale}", "decimal", decimals(kinds[0], scale), arrow(kind))
scalar("bool", "boolean", st.booleans(), arrow(pa.bool_()))
for kind in (pa.string(), pa.large_string(), pa.string_view()):
    texts = st.one_of(TEXTS, JSON_TEXTS, TIME_TEXTS)
    scalar(str(kind), "text", texts, arrow(kind))
    scalar(f"dictionary of {kind}", "text", texts, lambda values, kind=kind: dictionary(values, kind))
scalar("dictionary of int64", "integer", ints(64, signed=True), lambda values: dictionary(values, pa.int64()))
scalar(
    "date32",
    "time",
    st.integers(-(2**31), 2**31 - 1),
    lambda values: pa.array(values, pa.int32()).cast(pa.date32()),
    lambda day: Moment(day * 86_400, 1),
)
scalar(
    "date64",
    "time",
    st.integers(-(10**6), 4 * 10**6).map(lambda day: day * 86_400_000),
    lambda values: pa.array(values, pa.int64()).cast(pa.date64()),
    lambda ticks: Moment(ticks, 1000),
)
for unit, per_second in {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.items():
    for zone in (None, "UTC", "America/New_York", "+05:30"):
        scalar(
            f"timestamp[{unit}, {zone}]",
            "time",
            moments(unit, per_second),
            lambda values, unit=unit, zone=zone: pa.array(values, pa.int64()).cast(pa.timestamp(unit, zone)),
            lambda ticks, per_second=per_second: Moment(ticks, per_second),
        )
scalar("null", "nothing", st.none(), arrow(pa.null()))
scalar("arrow.json", "text", JSON_TEXTS, arrow(pa.json_()))


def dictionary(values, kind):
    """Make a dictionary in which values are out of order and some are not used."""
    every = [*dict.fromkeys(value for value in reversed(values) if value is not None)]
    words = pa.array([*every, None] if len(every) % 2 else every, kind)
    return pa.DictionaryArray.from_arrays(
        pa.array([None if value is None else every.index(value) for value in values], pa.int16()), words
    )


def leaf(kind, draw, say=lambda value: value):
    return kind, st.none() | draw, say


LEAVES = [
    leaf(pa.int64(), ints(64, signed=True)),
    leaf(pa.uint64(), ints(64, signed=False)),
    leaf(pa.float64(), floats(64)),
    leaf(pa.float32(), floats(32)),
    leaf(pa.string(), TEXTS),
    leaf(pa.string_view(), TEXTS),
    leaf(pa.dictionary(pa.int8(), pa.string()), TEXTS),
    leaf(pa.bool_(), st.booleans()),
    leaf(pa.null(), st.none()),
    leaf(pa.decimal128(25, 4), decimals(25, 4)),
    leaf(pa.timestamp("us"), moments("us", 10**6), lambda ticks: Moment(ticks, 10**6)),
    leaf(pa.timestamp("ns", "Europe/Paris"), moments("ns", 10**9), lambda ticks: Moment(ticks, 10**9)),
    leaf(pa.date32(), st.integers(-719_162, 2_932_896), lambda day: str(dt.date(1970, 1, 1) + dt.timedelta(day))),
]


def none_or(say):
    return lambda value: None if value is None else say(value)


def wrapped(inner):
    """Give a type of lists, structs or maps of another, what draws its values, and what somebody would say."""
    kind, draw, say = inner
    say = none_or(say)

    def as_dict(pairs):
        return {name: say(each) for name, each in pairs} if len(dict(pairs)) == len(pairs) else Bad()

    lists = st.lists(draw, max_size=3)
    return st.sampled_from(
        [
            (pa.list_(kind), st.none() | lists, lambda values: [*map(say, values)]),
            (pa.large_list(kind), st.none() | lists, lambda values: [*map(say, values)]),
            (pa.list_(kind, 2), st.none() | st.lists(draw, min_size=2, max_size=2), lambda values: [*map(say, values)]),
            (
                pa.struct([("a", kind), ("b c", pa.int8())]),
                st.none() | st.fixed_dictionaries({"a": draw, "b c": st.none() | st.integers(-9, 9)}),
                lambda value: {"a": say(value["a"]), "b c": value["b c"]},
            ),
            (pa.struct([]), st.just({}), lambda value: {}),
            (
                pa.map_(pa.string(), kind),
                st.none() | st.lists(st.tuples(st.sampled_from("ab"), draw), max_size=2),
                as_dict,
            ),
        ]
    )
