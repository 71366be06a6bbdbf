"""What of a frame may change something in a model, found by Spark: a join of the frame and the model, on all machines.

The rows that may are brought to the driver, part by part, where the push engine compares them once more, exactly. So
what is found here may be too much and never too little: a row stays where anything about it is in doubt.
"""

import json
import logging
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import or_

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - so Spark's own documentation calls it
from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampType,
)

from cargo_source.catalog.columns import Type
from cargo_source.errors import BadSettings, FixTheData, IncompleteRead
from cargo_source.push.batches import Differing, LeftOut, check_names
from cargo_source.push.compare import CREATING, UPDATING
from cargo_source.push.planning import Wish, mapped
from cargo_source.push.target import Mapped, Target
from cargo_source.settings import Settings
from cargo_source.spark.source import make_known

log = logging.getLogger("cargo_source")

_WHOLE = (ByteType, ShortType, IntegerType, LongType)
COMPARED: dict[Type, tuple[type[DataType], ...]] = {
    "text": (StringType,),
    "integer": _WHOLE,
    "number": (*_WHOLE, FloatType, DoubleType),
    "boolean": (BooleanType,),
    "timestamp": (TimestampType,),
}
"""Which columns of a frame Spark compares with which of a model: those where equal to it is equal to everybody."""
KEYS: dict[Type, tuple[type[DataType], ...]] = {"text": (StringType,), "integer": _WHOLE, "number": _WHOLE}
FAILURES = (PySparkException, Py4JError)
"""How Spark says that something has failed, here or in a task."""
PART = 100_000
"""About how many rows come to the driver at once."""
EXACT = 2**53
"""Up to here whole numbers and numbers are the same."""


@contextmanager
def differing(
    frame: DataFrame, target: Target, wish: Wish, settings: Settings, *, whole: bool = False
) -> Iterator[Differing]:
    """Give the rows of a frame that may change something in a model, with how many others there are.

    ``whole`` wants all of them. So does a mirror, as a row that is missing says that its record is to go, and a key
    that Spark cannot compare, or one of which a model that takes rows by a hook holds digests. Raises BadSettings for
    names that cannot be pushed before Spark does anything, FixTheData where it cannot compute the frame.
    """
    check_names(frame.columns)
    if frame.isStreaming:
        raise BadSettings("a stream of Spark's has no end: push each of its batches, with foreachBatch")
    target.check(allow_connector_models=wish.allow_connector_models)
    if whole or target.takes_ingest:
        yield _whole(frame, target)
        return
    columns, key, _left = mapped(target, wish, frame.columns)
    places = {name: frame.columns.index(name) for name in columns}
    # By their place: Spark takes names that differ by case alone for one.
    source = frame.toDF(*(f"s{place}" for place in range(len(frame.columns))))
    source = source.select(*(_plain(source, f"s{place}") for place in places.values()))
    names = {f"s{place}": name for name, place in places.items()}
    kinds = dict(zip(source.columns, (field.dataType for field in source.schema), strict=True))
    pairs = [Pair(name, columns[called], kinds[name]) for name, called in names.items()]
    match = next(pair for pair in pairs if names[pair.name] == key)
    if wish.mode == "mirror" or not match.is_key:
        yield _whole(frame, target)
        return
    others = [pair for pair in pairs if pair is not match]
    if dull := [names[pair.name] for pair in others if not pair.is_compared]:
        log.info("%s: %s: compared by the driver, so all rows with a record go there", target.label, ", ".join(dull))
    # The session's own source may be of another workspace, and so may that of another push.
    called = f"cargo_{uuid.uuid4().hex}"
    make_known(frame.sparkSession, settings, called)
    with _told():
        compared = Comparing(target, wish, match, others, called).of(source).persist(StorageLevel.DISK_ONLY)
    try:
        with _told():
            stays, known, unmatched = _counted(compared)
            # Of parts that hold next to nothing there may be hundreds, and each is a job.
            rows = compared.where("stays").select("cells.*").coalesce(1 + stays // PART)
            reader = _reader(rows, names, stays)
        yield Differing(reader, LeftOut(known, unmatched), FAILURES)
    finally:
        compared.unpersist()


def _whole(frame: DataFrame, target: Target) -> Differing:
    log.info("%s: all rows are compared by the driver", target.label)
    places = [f"s{place}" for place in range(len(frame.columns))]
    with _told():
        reader = _reader(frame.toDF(*places), dict(zip(places, frame.columns, strict=True)))
    return Differing(reader, None, FAILURES)


def _plain(frame: DataFrame, name: str) -> Column:
    """Give a column; a text that Spark would compare without case or accents as one that it does not."""
    kind = frame.schema[name].dataType
    collated = isinstance(kind, StringType) and kind != StringType()
    return F.collate(F.col(name), "UTF8_BINARY").alias(name) if collated else F.col(name)


@contextmanager
def _told() -> Iterator[None]:
    """Say in one line that Spark has failed: its own words are many, and may quote a cell."""
    try:
        yield
    except FAILURES as error:
        ours = re.search(r"cargo_source[.\w]*[.](\w+): (.*)", str(error))
        why = f"{ours[1]}: {ours[2]}" if ours else type(error).__name__
        raise FixTheData(f"Spark cannot compare the frame ({why}): compute it by itself to see more") from None


def _counted(compared: DataFrame) -> tuple[int, int, int]:
    """Count the rows that stay, and of the others those that have a record and those that have none."""
    left = [~F.col("stays") & test for test in (F.col("known"), ~F.col("known"))]
    stays, known, unmatched = compared.agg(*map(F.count_if, (F.col("stays"), *left))).collect()[0]
    return stays, known, unmatched


@dataclass(frozen=True)
class Pair:
    """A column of a frame, and where it goes."""

    name: str
    mapped: Mapped
    kind: DataType

    @property
    def there(self) -> str:
        """What the model's column is called while both are compared."""
        return "p" + self.name[1:]

    @property
    def is_compared(self) -> bool:
        """Whether Spark can say that two cells are the same."""
        return self._is_among(COMPARED)

    @property
    def is_key(self) -> bool:
        """Whether rows can be joined by it."""
        return self._is_among(KEYS)

    def _is_among(self, kinds: Mapping[Type, tuple[type[DataType], ...]]) -> bool:
        return isinstance(self.kind, kinds.get(self.mapped.column.type, ()))

    @property
    def is_odd(self) -> Column:
        """Whether a cell may be refused, for all that Spark can say: then its row is told, whatever else it does."""
        column = F.col(self.name)
        if not self.is_compared:
            return column.isNotNull()
        if isinstance(self.kind, LongType):
            test = F.abs(column.cast("decimal(20, 0)")) >= EXACT
        elif isinstance(self.kind, FloatType | DoubleType):
            test = F.abs(column) == float("inf")
        elif isinstance(self.kind, TimestampType):
            # Cargo keeps milliseconds, of years that everybody can write.
            test = (F.unix_micros(column) % 1000 != 0) | ~F.year(column).between(2, 9998)
        else:
            return F.lit(False)
        return F.coalesce(test, F.lit(False))

    @property
    def is_null(self) -> Column:
        """Whether nothing is in it; what is no number is nothing."""
        column = F.col(self.name)
        return column.isNull() | F.isnan(column) if isinstance(self.kind, FloatType | DoubleType) else column.isNull()

    @property
    def cell(self) -> Column:
        """Its cells, as the model has them."""
        return F.col(self.name).cast("double") if self.mapped.column.type == "number" else F.col(self.name)

    @property
    def differs(self) -> Column:
        """Whether the cells may differ."""
        if not self.is_compared:
            return F.lit(True)
        return ~self.cell.eqNullSafe(F.col(self.there))


@dataclass(frozen=True)
class Comparing:
    """How a frame and a model are held against each other: by a key, over other columns."""

    target: Target
    wish: Wish
    key: Pair
    others: Sequence[Pair]
    format: str

    def of(self, source: DataFrame) -> DataFrame:
        """Say of each row whether it is ``known`` and whether it ``stays``; those that do have their ``cells``."""
        key = F.col(self.key.name)
        window = Window.partitionBy(self.key.name)
        counted = source.withColumn("times", F.count(F.lit(1)).over(window))
        joined = counted.join(self._present(source), self.key.cell == F.col(self.key.there), "left")
        known = F.col("records").isNotNull()
        # What the engine refuses has to come before it.
        odd = [key.isNull(), F.col("times") > 1, F.coalesce(F.col("records") > 1, F.lit(False))]
        odd += [pair.is_odd for pair in (self.key, *self.others)]
        if isinstance(self.key.kind, StringType):
            odd += [F.coalesce(key == "", F.lit(False)), F.coalesce(F.contains(key, F.lit("\0")), F.lit(False))]
        if self.wish.nulls == "error":
            odd += [pair.is_null for pair in self.others]
        tests = [reduce(or_, odd)]
        if self.wish.mode in CREATING:
            tests.append(~known)
        if self.wish.mode in UPDATING and self.others:
            tests.append(known & reduce(or_, map(self._changes, self.others)))
        cells = F.struct(*(F.col(name) for name in source.columns))
        stays = reduce(or_, tests)
        return joined.select(known.alias("known"), stays.alias("stays"), F.when(stays, cells).alias("cells"))

    def _changes(self, pair: Pair) -> Column:
        if self.wish.mode == "fill_empty":
            return F.col(pair.there).isNull() & F.col(pair.name).isNotNull()
        return pair.differs

    def _present(self, source: DataFrame) -> DataFrame:
        """Read what the model has of these columns; one that it has not yet is null."""
        fields = self.target.shape.fields
        pairs = [self.key, *self.others]
        there = [pair for pair in pairs if pair.mapped.column.field in fields]
        spark = source.sparkSession
        reader = spark.read.format(self.format).option("model", self.target.model.uuid)
        columns = [pair.mapped.column.name for pair in there]
        present = reader.option("columns", json.dumps(columns)).load().toDF(*(pair.there for pair in there))
        missing = [F.lit(None).cast("string").alias(pair.there) for pair in pairs if pair not in there]
        present = present.select("*", *missing).where(F.col(self.key.there).isNotNull())
        firsts = [F.first(pair.there).alias(pair.there) for pair in self.others]
        return present.groupBy(self.key.there).agg(F.count(F.lit(1)).alias("records"), *firsts)


def _reader(frame: DataFrame, names: Mapping[str, str], rows: int | None = None) -> pa.RecordBatchReader:
    """Bring a frame to the driver as Arrow, one part of it at a time; it has to have so many ``rows``."""
    schema: pa.Schema = frame.limit(0).toArrow().schema
    named = pa.schema([field.with_name(names[field.name]) for field in schema])
    # A stream of Arrow is bytes to Spark, so that rows need not become objects on their way.
    streams = frame.mapInArrow(_streamed, "stream binary")

    def batches() -> Iterator[pa.RecordBatch]:
        came = 0
        for row in streams.toLocalIterator(prefetchPartitions=True):
            with pa.ipc.open_stream(bytes(row.stream)) as stream:
                for batch in stream:
                    came += batch.num_rows
                    yield batch.rename_columns(schema.names).cast(schema).rename_columns(named.names)
        if rows is not None and came != rows:
            raise IncompleteRead(
                f"{came:,} rows came from Spark of {rows:,}: a frame or a model that is computed once more is another"
                " one; push again",
                expected=rows,
                got=came,
            )

    return pa.RecordBatchReader.from_batches(named, batches())


def _streamed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["stream"])
