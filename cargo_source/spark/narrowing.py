"""What of a frame may change something in a model, found by Spark: a join of the frame and the model, on all machines.

The rows that may are brought to the driver, part by part, where the push engine compares them once more, exactly. So
what is found here may be too much and never too little: a row stays where anything about it is in doubt.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import or_

import pyarrow as pa
from pyspark import StorageLevel
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
PART = 100_000
"""About how many rows come to the driver at once."""
OURS = "cargo_of_a_push"
"""What the data source is called that reads the model: the session's own may be of another workspace."""
EXACT = 2**53
"""Up to here whole numbers and numbers are the same."""


@contextmanager
def differing(frame: DataFrame, target: Target, wish: Wish, settings: Settings) -> Iterator[Differing]:
    """Give the rows of a frame that may change something in a model, with how many others there are.

    A mirror needs all of them, as a row that is missing says that its record is to go; so does a key that Spark cannot
    compare, or one of which a model that takes rows by a hook holds digests. Raises BadSettings for what cannot be
    pushed, before Spark does anything.
    """
    check_names(frame.columns)
    target.check(allow_connector_models=wish.allow_connector_models)
    if target.takes_ingest:
        yield _whole(frame, target)
        return
    columns, key, _left = mapped(target, wish, frame.columns)
    places = {name: frame.columns.index(name) for name in columns}
    # By their place: Spark takes names that differ by case alone for one.
    source = frame.toDF(*(f"s{place}" for place in range(len(frame.columns))))
    source = source.select(*(f"s{place}" for place in places.values()))
    names = {f"s{place}": name for name, place in places.items()}
    kinds = dict(zip(source.columns, (field.dataType for field in source.schema), strict=True))
    pairs = [Pair(name, columns[called], kinds[name]) for name, called in names.items()]
    match = next(pair for pair in pairs if names[pair.name] == key)
    if wish.mode == "mirror" or not match.is_key:
        yield _whole(frame, target)
        return
    make_known(frame.sparkSession, settings, OURS)
    others = [pair for pair in pairs if pair is not match]
    if dull := [names[pair.name] for pair in others if not pair.is_compared]:
        log.info("%s: %s: compared by the driver, so all rows with a record go there", target.label, ", ".join(dull))
    compared = Comparing(target, wish, match, others).of(source).persist(StorageLevel.DISK_ONLY)
    try:
        stays, known, unmatched = _counted(compared)
        # Cells of a row are few; of parts that hold next to nothing there may be hundreds, and each is a job.
        rows = compared.where("stays").select("cells.*").coalesce(1 + stays // PART)
        yield Differing(_reader(rows, names), LeftOut(known, unmatched))
    finally:
        compared.unpersist()


def _whole(frame: DataFrame, target: Target) -> Differing:
    log.info("%s: all rows are compared by the driver", target.label)
    places = [f"s{place}" for place in range(len(frame.columns))]
    return Differing(_reader(frame.toDF(*places), dict(zip(places, frame.columns, strict=True))), LeftOut(0, 0))


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
        """Say whether it is of one of these kinds; a text that is compared without case or accents is of none."""
        plain = self.kind == StringType() if isinstance(self.kind, StringType) else True
        return plain and isinstance(self.kind, kinds.get(self.mapped.column.type, ()))

    @property
    def is_inexact(self) -> Column:
        """Whether a whole number is too large to be told from others."""
        if isinstance(self.kind, LongType):
            return F.coalesce(F.abs(F.col(self.name).cast("decimal(20, 0)")) > EXACT, F.lit(False))
        return F.lit(False)

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
        return ~self.cell.eqNullSafe(F.col(self.there)) | self.is_inexact


@dataclass(frozen=True)
class Comparing:
    """How a frame and a model are held against each other: by a key, over other columns."""

    target: Target
    wish: Wish
    key: Pair
    others: Sequence[Pair]

    def of(self, source: DataFrame) -> DataFrame:
        """Say of each row whether it is ``known`` and whether it ``stays``; those that do have their ``cells``."""
        key = F.col(self.key.name)
        window = Window.partitionBy(self.key.name)
        counted = source.withColumn("times", F.count(F.lit(1)).over(window))
        joined = counted.join(self._present(source), self.key.cell == F.col(self.key.there), "left")
        known = F.col("records").isNotNull()
        # What the engine refuses has to come before it.
        odd = [key.isNull(), F.col("times") > 1, F.coalesce(F.col("records") > 1, F.lit(False)), self.key.is_inexact]
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
        reader = spark.read.format(OURS).option("model", self.target.model.uuid)
        columns = [pair.mapped.column.name for pair in there]
        present = reader.option("columns", json.dumps(columns)).load().toDF(*(pair.there for pair in there))
        missing = [F.lit(None).cast("string").alias(pair.there) for pair in pairs if pair not in there]
        present = present.select("*", *missing).where(F.col(self.key.there).isNotNull())
        firsts = [F.first(pair.there).alias(pair.there) for pair in self.others]
        return present.groupBy(self.key.there).agg(F.count(F.lit(1)).alias("records"), *firsts)


def _reader(frame: DataFrame, names: Mapping[str, str]) -> pa.RecordBatchReader:
    """Bring a frame to the driver as Arrow, one part of it at a time."""
    schema: pa.Schema = frame.limit(0).toArrow().schema
    named = pa.schema([field.with_name(names[field.name]) for field in schema])
    # A stream of Arrow is bytes to Spark, so that rows need not become objects on their way.
    streams = frame.mapInArrow(_streamed, "stream binary")

    def batches() -> Iterator[pa.RecordBatch]:
        for row in streams.toLocalIterator(prefetchPartitions=True):
            with pa.ipc.open_stream(bytes(row.stream)) as stream:
                for batch in stream:
                    yield batch.rename_columns(schema.names).cast(schema).rename_columns(named.names)

    return pa.RecordBatchReader.from_batches(named, batches())


def _streamed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield pa.record_batch([pa.array([sink.getvalue().to_pybytes()], pa.binary())], names=["stream"])
