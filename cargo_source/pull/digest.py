"""A digest of a whole list in constant size, to write only what differs from the last time.

Rows fall into buckets by their key; a bucket's digest changes when one of its rows changes, comes or goes.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from cargo_source.pull.wire import to_json

BUCKETS = 64
_LENGTH = 6

Row = dict[str, Any]


def digests(rows: Sequence[Row], key: Callable[[Row], object]) -> list[str]:
    """Give the digest of each bucket, whatever the order of the rows."""
    buckets: list[list[bytes]] = [[] for _ in range(BUCKETS)]
    for row in rows:
        buckets[_bucket(key(row))].append(hashlib.sha256(to_json(row, ordered=True).encode()).digest())
    return [hashlib.sha256(b"".join(sorted(bucket))).hexdigest()[:_LENGTH] if bucket else "" for bucket in buckets]


def differing(rows: Sequence[Row], key: Callable[[Row], object], before: str | None) -> tuple[list[Row], str]:
    """Give the rows of buckets that differ from ``before`` (None: all rows), and the digest to keep for next time."""
    now = digests(rows, key)
    text = ".".join(now)
    if before is None or before.count(".") != BUCKETS - 1:
        return list(rows), text
    moved = {index for index, (old, new) in enumerate(zip(before.split("."), now, strict=True)) if old != new}
    return [row for row in rows if _bucket(key(row)) in moved], text


def digest_of(value: Any) -> str:
    """Give a short digest of any JSON value."""
    return hashlib.sha256(to_json(value, ordered=True).encode()).hexdigest()[:12]


def _bucket(key: object) -> int:
    return hashlib.sha256(repr(key).encode()).digest()[0] % BUCKETS
