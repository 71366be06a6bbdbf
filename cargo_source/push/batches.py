"""A table on its way in: Arrow batches of few rows, and what stops them told without a cell."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from cargo_source.errors import BadSettings, FixTheData

BATCH = 61_440
"""Most rows of a batch: what is made of one is in memory."""
BYTES = 16 << 20
"""About as much as a batch may hold, where its rows are long."""


@dataclass(frozen=True)
class Incoming:
    """A table on its way in: its columns, and its rows in batches, which can be taken once.

    ``left_out`` rows were compared before, and are none of them.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    left_out: "LeftOut | None" = None


@dataclass(frozen=True)
class LeftOut:
    """Rows of a table that would change nothing: so many have a record of their key, so many have none."""

    known: int
    unmatched: int


@dataclass(frozen=True)
class Differing:
    """The rows of a table that may change something, and how many others there are; None: these are all of them."""

    reader: pa.RecordBatchReader
    left_out: LeftOut | None
    failures: tuple[type[Exception], ...] = ()
    """What reading them may raise, besides Arrow's own."""


def arriving(schema: pa.Schema, batches: Iterable[pa.RecordBatch], *failures: type[Exception]) -> Incoming:
    """Take batches of any size. ``failures`` are what reading them may raise, besides Arrow's own.

    Raises BadSettings where two columns share a name; the batches raise FixTheData where no more can be read.
    """
    check_names(schema.names)
    return Incoming(schema, _told(_few(batches), (pa.ArrowException, OSError, *failures)))


def check_names(names: Iterable[str]) -> None:
    """Raise BadSettings where two columns share a name."""
    if twice := sorted(name for name, times in Counter(names).items() if times > 1):
        raise BadSettings(f"columns that share a name cannot be told apart: {', '.join(twice)}; rename them")


def _few(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = BATCH
        if batch.nbytes > BYTES:
            rows = max(1, min(BATCH, batch.num_rows * BYTES // batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _told(batches: Iterator[pa.RecordBatch], failures: tuple[type[Exception], ...]) -> Iterator[pa.RecordBatch]:
    rows = 0
    try:
        for batch in batches:
            yield batch
            rows += batch.num_rows
    except failures as error:
        # Its own words may quote a cell.
        raise FixTheData(
            f"the source cannot be read beyond row {rows:,} ({type(error).__name__}): read it by itself to see why"
        ) from None
