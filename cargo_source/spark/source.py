"""The data source ``cargo`` of Spark 4: each file of a model's export is a partition, and comes as Arrow.

Planning, on the driver, asks for the export and shows that all rows are in it (see
:mod:`cargo_source.pull.export_files`). Tasks fetch the files by their links, without the token. Where a workspace
cannot export, or its files cannot be counted ahead, one task reads the whole model by the lanes of a sync: what limits
these is the rate of the whole workspace, so that more tasks would not be quicker.
"""

import json
import logging
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import (
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from cargo_source.api import CargoClient
from cargo_source.catalog.columns import Type
from cargo_source.errors import BadSettings, Busy, IncompleteRead, NotFound, PermissionDenied, RequestRefused
from cargo_source.explore import FOLD
from cargo_source.holdings import also_called
from cargo_source.pull.conform import UnusableExport
from cargo_source.pull.connection import find_settings
from cargo_source.pull.export_files import BATCH, ExportFile, list_files, read_file
from cargo_source.pull.options import Options
from cargo_source.pull.picked import narrowed, part_of, pick_model
from cargo_source.pull.picking import Names, Pick, pick
from cargo_source.pull.records import choose, list_models, shape_model
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.pull.typed import EXTRA
from cargo_source.settings import Secret, Settings

log = logging.getLogger("cargo_source")

TYPES: dict[Type, DataType] = {
    "text": StringType(),
    "integer": LongType(),
    "decimal": DecimalType(38, 9),
    "number": DoubleType(),
    "boolean": BooleanType(),
    "timestamp": TimestampType(),
    "json": StringType(),
}
"""How each of our types is called in Spark."""
OPTIONS = ("model", "columns")


class Carried(Secret):
    """A secret that Spark may carry from the driver to a process of its own."""

    def __reduce__(self) -> Any:
        return Carried, (self.reveal(),)


@dataclass(frozen=True)
class Access:
    """Whom to ask, and with which token."""

    token: Carried
    url: str

    def settings(self) -> Settings:
        """Give the settings of a client; the rest of them is what this process has."""
        return find_settings(self.token, self.url)


def register(spark: SparkSession, token: str | Secret | None = None, url: str | None = None) -> None:
    """Make ``spark.read.format("cargo")`` known to a session of Spark.

    Token and URL come from where :class:`Workspace` has them from, on the driver, and stay there: they go along with
    the data source into Spark's own processes on the driver, and to a task only where that reads the whole model by
    itself. An option for the token there is none, as Spark shows options. Raises BadSettings where there is no token.
    """
    hidden = Secret(token) if isinstance(token, str) else token
    # A traceback may show the variables of this frame.
    del token
    make_known(spark, find_settings(hidden, url))


def make_known(spark: SparkSession, settings: Settings, name: str = "cargo") -> None:
    """Register the data source under a name, with settings that were found already."""
    access = Access(Carried(settings.token.reveal()), settings.url)
    # A class that is made here is carried whole, with what it holds; one of a module by its name alone.
    spark.dataSource.register(type("Cargo", (CargoDataSource,), {"access": access, "called": name}))


class CargoDataSource(DataSource):
    """The rows of a model. Options: ``model``, by any of its names, and ``columns``, a list with commas or in JSON."""

    access: ClassVar[Access | None] = None
    """Set by :func:`register`."""
    called: ClassVar[str] = "cargo"

    def __init__(self, options: MutableMapping[str, str]) -> None:
        super().__init__(options)
        if unknown := sorted(name for name in options if name.lower() not in OPTIONS):
            hint = ': say .option("model", ...)' if unknown == ["path"] else f"; there are {' and '.join(OPTIONS)}"
            raise BadSettings(f"{', '.join(unknown)}: no such option{hint}")
        self.wanted = Wanted(options.get("model") or "", _names_in(options.get("columns")))
        if not self.wanted.model:
            raise BadSettings('say which model: .option("model", "companies")')

    @classmethod
    def name(cls) -> str:
        """What ``format`` calls it."""
        return cls.called

    def schema(self) -> StructType:
        """Ask the workspace which columns the model has."""
        with _session(self._access()) as session:
            return self.wanted.found(session).schema

    def reader(self, schema: StructType) -> "CargoReader":
        """Make what plans and reads. From here on nobody needs the token but that; tasks are given this object too."""
        access = self._access()
        type(self).access = None
        return CargoReader(self.wanted, schema, access)

    def _access(self) -> Access:
        if self.access is None:
            raise BadSettings("nobody said which workspace: call cargo_source.spark.register(spark)")
        return self.access


def _names_in(columns: str | None) -> tuple[str, ...] | None:
    if columns is None:
        return None
    if not columns.lstrip().startswith("["):
        return tuple(name.strip() for name in columns.split(",") if name.strip())
    try:
        names = json.loads(columns)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadSettings('columns: names with commas between them, or a list in JSON: ["domain", "employees"]')
    return tuple(names)


@dataclass(frozen=True)
class Wanted:
    """What somebody asked for."""

    model: str
    columns: tuple[str, ...] | None

    def found(self, session: Session) -> "Found":
        """Find it in the workspace. Raises BadSettings where there is no such model or column."""
        chosen = choose(list_models(session, FOLD), [self.model])[0]
        shape = shape_model(session, chosen, FOLD)
        return Found(shape, pick(Names(chosen.table, shape.columns, also_called(chosen, shape)), self.columns))


@dataclass(frozen=True)
class Found:
    """A table, and which of its columns are wanted."""

    shape: Shape
    wanted: Pick

    @property
    def schema(self) -> StructType:
        """The columns as Spark has them; with all of them comes what no column takes."""
        columns = self.shape.columns if self.wanted.columns is None else self.wanted.columns
        fields = [StructField(column.name, TYPES[column.type]) for column in columns]
        return StructType([*fields, StructField(EXTRA, StringType())] if self.wanted.columns is None else fields)


class FilePartition(InputPartition):
    """A file of an export. Its link is good for a while, for whoever has it."""

    def __init__(self, link: Carried, rows: int, shape: Shape, url: str) -> None:
        self.file, self.shape, self.url = ExportFile(link, rows), shape, url

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Bring it. The client that does so has no token."""
        with closing(_of_links(self.url)) as session:
            yield from read_file(session, self.file, self.shape)


class WholePartition(InputPartition):
    """A whole model."""

    def __init__(self, wanted: Wanted, access: Access) -> None:
        self.wanted, self.access = wanted, access

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read it by the best lane that the workspace has, with all that shows that no row is missing."""
        with _session(self.access) as session:
            found = self.wanted.found(session)
            picked = pick_model(session, found.shape, found.wanted)
            if picked.landing.refreshing:
                raise Busy(f"{found.shape.table}: Cargo is still writing this model: read it again later")
            if not picked.landing.proven:
                doubt = picked.landing.proof.doubt
                raise IncompleteRead(f"{found.shape.table}: nothing shows that all its rows were read ({doubt})")
            for chunk in picked.chunks:
                with pq.ParquetFile(chunk.path) as file:
                    yield from file.iter_batches(BATCH)


class CargoReader(DataSourceReader):
    """Plans the reading of a model on the driver, and reads its partitions where Spark wants them read."""

    def __init__(self, wanted: Wanted, schema: StructType, access: Access) -> None:
        self._wanted, self._schema, self._access = wanted, schema, access

    def __getstate__(self) -> dict[str, Any]:
        """Leave the token behind: this object goes to every task."""
        return {"_wanted": self._wanted, "_schema": self._schema}

    def partitions(self) -> Sequence[InputPartition]:
        """Have the model exported. Raises what a sync of it raises."""
        with _session(self._access) as session:
            found = self._wanted.found(session)
            if found.schema != self._schema:
                raise BadSettings(f"the columns of {found.shape.table} are others than when it was loaded: load again")
            whole = [WholePartition(self._wanted, self._access)]
            if not found.shape.stored:
                return whole
            shape = narrowed(found.shape, found.wanted)
            try:
                files = list_files(session, shape, part_of(session, shape, found.wanted))
            except (PermissionDenied, NotFound, RequestRefused, UnusableExport) as error:
                log.warning("%s: one task reads it (%s)", shape.table, error)
                return whole
        # What is asked of a column is a function of this process.
        shape = replace(shape, hides=_everything if found.wanted.columns is not None else _nothing)
        return [FilePartition(Carried(file.link.reveal()), file.rows, shape, self._access.url) for file in files]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Give the rows of a partition as Arrow."""
        if isinstance(partition, FilePartition | WholePartition):
            for batch in partition.batches():
                yield batch.select(self._schema.names)


def _everything(_field: str) -> bool:
    return True


def _nothing(_field: str) -> bool:
    return False


def _session(access: Access) -> Any:
    settings = access.settings()
    return closing(Session(CargoClient(settings), Options(in_flight=settings.in_flight), "spark", {}, None))


def _of_links(url: str) -> Session:
    """Give a session that fetches links, and that no API would answer."""
    return Session(CargoClient(Settings(Secret("none"), url)), Options(), "spark", {"workspace": ""}, None)
