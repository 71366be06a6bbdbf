"""Python objects as somebody may have them in a column, with what somebody would say they are."""

import datetime as dt
import math
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.push.oracle import Bad, Moment

OBJECTS = [
    (None, None),
    (pd.NA, None),
    (pd.NaT, None),
    (math.nan, None),
    (np.float32("nan"), None),
    (np.datetime64("NaT"), None),
    (Decimal("NaN"), None),
    (0, 0),
    (-(2**63), -(2**63)),
    (2**63, 2**63),
    (2**70, 2**70),
    (2**53 + 1, 2**53 + 1),
    (1.5, 1.5),
    (-0.0, -0.0),
    (1e300, 1e300),
    (3.0, 3.0),
    (math.inf, math.inf),
    (True, True),
    (np.bool_(False), False),
    (np.int8(-3), -3),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.float16(0.5), 0.5),
    (np.float32(0.1), float(np.float32(0.1))),
    (np.longdouble(1), Bad("longdouble")),
    (1j, Bad("complex")),
    (Decimal("1.50"), Decimal("1.5")),
    (Decimal("0.1234567890123456789"), Decimal("0.1234567890123456789")),
    (Decimal("12345678901234567.123456789"), Decimal("12345678901234567.123456789")),
    (Decimal("1E+5000"), Bad()),
    (Decimal("Infinity"), Bad()),
    ("text", "text"),
    ("", ""),
    ('{"a": 1}', '{"a": 1}'),
    ("[1, 2]", "[1, 2]"),
    ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
    ("secret\ud800", "secret\ud800"),
    (np.str_("text"), "text"),
    (b"secret", Bad()),
    (bytearray(b"secret"), Bad()),
    (dt.date(2020, 2, 29), Moment(1582934400, 1)),
    (dt.datetime(2020, 1, 1, 0, 0, 0, 1000), Moment(1577836800001, 1000)),  # noqa: DTZ001 - a time without a zone
    (dt.datetime(2020, 1, 1, 0, 0, 0, 1), Moment(1577836800 * 10**6 + 1, 10**6)),  # noqa: DTZ001 - a time without a zone
    (dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-5))), Bad()),
    (dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))), Bad()),
    (dt.datetime(1, 1, 1), Moment(-62_135_596_800, 1)),  # noqa: DTZ001 - a time without a zone
    (pd.Timestamp("2020-01-01", tz="Europe/Paris"), Moment(1577833200, 1)),
    (pd.Timestamp(1), Moment(1, 10**9)),
    (pd.Timestamp(np.datetime64("10000-01-01", "s")), Bad()),
    (np.datetime64("2020-01-01T00:00:00.001", "ns"), Moment(1577836800001, 1000)),
    (np.datetime64(1, "ns"), Moment(1, 10**9)),
    (np.datetime64(10**15, "Y"), Bad()),
    (np.timedelta64(1, "ns"), Bad("timedelta")),
    (dt.timedelta(1), Bad()),
    (dt.time(1), Bad()),
    (pd.Period("2020"), Bad()),
    (pd.Interval(0, 1), Bad()),
    (uuid.UUID(int=1), Bad("UUID")),
    ({1, 2}, Bad()),
    (object(), Bad()),
    ([1, [None, pd.NA, math.nan]], [1, [None, None, None]]),
    ((1, 2), [1, 2]),
    ({}, {}),
    ({"a": np.int8(1), "b": [Decimal("0.1")]}, {"a": 1, "b": [0.1]}),
    ({"a": pd.NaT, "t": dt.datetime(2020, 1, 1)}, {"a": None, "t": Moment(1577836800, 1)}),  # noqa: DTZ001 - a time without a zone
    ([pd.Timestamp(1)], [Moment(1, 10**9)]),
    ([dt.time(1)], [Bad()]),
    ([b"secret"], [Bad()]),
    ([math.inf], [math.inf]),
    ({1: 2}, Bad()),
    ({"secret\ud800": 1}, Bad()),
    ({"a": "secret\udc00"}, Bad()),
    (np.array([1.5, np.nan]), [1.5, None]),
    (np.array([], dtype="f4"), []),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array(["2020-01-01"], dtype="M8[ns]"), [Moment(1577836800, 1)]),
    (np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")])[0], Bad("record")),
    (np.array([1], dtype="m8[ns]"), Bad("timedeltas")),
    (pa.MonthDayNano([1, 2, 3]), Bad("namedtuple")),
    ([[]], [[]]),
]
"""What somebody may have in a pandas column of objects, and what it says."""
