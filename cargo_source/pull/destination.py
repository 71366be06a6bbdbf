"""The dlt pipeline that the command line loads with, and a private folder for work in progress.

That is a DuckDB file, or whatever else dlt loads to, with the credentials that dlt's own settings hold.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    ConfigurationValueError,
    FieldLookupTraces,
    InvalidNativeValue,
    LookupTraces,
)
from dlt.common.destination import Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.exceptions import MissingDependencyException
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.pipeline import Pipeline

from cargo_source.errors import BadSettings, CargoError, first_line, suggest
from cargo_source.pull.dlt_tables import kind_of
from cargo_source.pull.lock import held

NAME = "cargo"
_UNREADABLE = re.compile(r"['?]|[^/]=")
FRUGAL = {"preserve_insertion_order": False}
"""Rows of a table have no order, and keeping one takes memory. A limit to it is not set: merges that meet one fail."""
UNLOGGED = "SET GLOBAL checkpoint_threshold = '16MB'"
"""What is larger goes to its place when it is committed, as DuckDB has it by itself.

Up to the gigabyte that dlt sets, it is written to the log first. Statements come after what dlt sets.
"""
RESERVED = frozenset({"main", "temp", "system", "information_schema", "pg_catalog"})


def duckdb_pipeline(database: Path, dataset: str, state_dir: Path, name: str = NAME) -> Pipeline:
    """Give the pipeline that loads into ``database``. Raises BadSettings where a folder cannot be written to."""
    _check_places(database, state_dir)
    _check_dataset(dataset)
    _check_apart(database, {dataset, f"{dataset}_staging"}, f"--database {database} and --dataset {dataset}")
    _leave_no_packages()
    # DuckDB uses all cores for one job; more at once only take more memory.
    if "LOAD__WORKERS" not in os.environ:
        dlt.config["load.workers"] = 1
    with held(state_dir.resolve(), name):
        # dlt empties a folder of state that another process is just beginning to fill.
        return _pipeline(database, dataset, state_dir, name)


def group_pipeline(group: str, destination: str, folder: Path, dataset: str = "cargo") -> Pipeline:
    """Give the pipeline of a part of a workspace, as ``cargo(group=...)`` is; all parts load into one dataset.

    ``destination`` is the path of a DuckDB file, which takes one process at a time, or the name of a destination of
    dlt's, such as ``postgres``, whose credentials dlt finds (``DESTINATION__POSTGRES__CREDENTIALS``). Work in progress
    is in ``folder``; one that is lost is made again from the destination. Raises BadSettings as
    :func:`duckdb_pipeline` does.
    """
    name = f"{NAME}_{group}"
    if destination.endswith(".duckdb"):
        return duckdb_pipeline(Path(destination), dataset, folder, name)
    prepare_folder(folder, "folder")
    # Rows of all parts wait in tables of one name, those of syncs: in one staging dataset they would take each other's.
    staged = dlt.destination(destination, staging_dataset_name_layout=f"%s_staging_{group}")
    with held(folder.resolve(), name):
        return dlt.pipeline(name, pipelines_dir=str(folder.resolve()), destination=staged, dataset_name=dataset)


def dlt_pipeline(destination: str, dataset: str, state_dir: Path) -> Pipeline:
    """Give the pipeline that loads into another destination of dlt's, which answers and takes the credentials.

    Raises BadSettings that says what to install, or which settings to give.
    """
    _check_state_dir(state_dir)
    _check_dataset(dataset)
    _leave_no_packages()
    given = (
        f"dlt finds its settings in DESTINATION__{destination.upper()}__... or in .dlt/secrets.toml under"
        f" [destination.{destination}]: see docs/warehouses.md"
    )
    try:
        made: Any = Destination.from_reference(destination)
        made.client_class  # noqa: B018 - asked for here, so that a driver that lacks is told as what it is
    except UnknownDestinationModule:
        raise BadSettings(
            f"--destination {destination!r}: dlt knows no such destination{suggest(destination, KNOWN)}"
        ) from None
    except (MissingDependencyException, ImportError):
        raise BadSettings(f"--destination {destination}: it needs a driver: pip install 'dlt[{destination}]'") from None
    try:
        with held(state_dir.resolve(), NAME):
            pipeline = dlt.pipeline(
                NAME, pipelines_dir=str(state_dir.resolve()), destination=made, dataset_name=dataset
            )
        with pipeline.destination_client() as client:
            client.is_storage_initialized()
    except ConfigFieldMissingException as lacking:
        raise BadSettings(
            f"--destination {destination}: a setting is missing: {', '.join(_fields(lacking.traces))}; {given}"
        ) from None
    except (InvalidNativeValue, ConfigurationValueError):
        raise BadSettings(
            f"--destination {destination}: a setting cannot be read: credentials are a URL, as in"
            f" {destination}://user:password@host/database, or a setting each; {given}"
        ) from None
    except MissingDependencyException as lacking:
        names = " ".join(f"'{name}'" for name in lacking.dependencies)
        raise BadSettings(f"--destination {destination}: it needs a driver: pip install {names}") from None
    except Exception as error:
        # Drivers have errors of their own; ours, and dlt's for what is wrong with settings, are told as they are.
        if isinstance(error, CargoError):
            raise
        cause = error
        while cause.__cause__ is not None:
            cause = cause.__cause__  # type: ignore[assignment] # whatever it is, it is named and quoted in a line
        raise BadSettings(
            f"--destination {destination}: it cannot be reached ({type(cause).__name__}: {first_line(cause)}); is it"
            f" up, and are its credentials right? {given}"
        ) from None
    return pipeline


def _fields(traces: FieldLookupTraces) -> Iterator[str]:
    """Name the settings that lack, and what lacks inside of one that has parts."""
    for name, tried in sorted(traces.items()):
        inside = sorted({part for each in tried if isinstance(each, LookupTraces) for part in each.traces})
        yield f"{name} ({', '.join(inside)})" if inside else name


def check_names(pipeline: Pipeline) -> None:
    """Refuse a pipeline of which DuckDB could not tell the file from the schema. Raises BadSettings.

    dlt calls a file by the pipeline unless it is told otherwise, and people call a dataset by its pipeline.
    """
    if kind_of(pipeline) != "duckdb":
        return
    with pipeline.destination_client() as opened:
        client: Any = opened
        database = Path(client.config.credentials.database)
        schemas = {client.sql_client.dataset_name, client.sql_client.staging_dataset_name}
    told = f"the database {database.name} and the dataset {pipeline.dataset_name} of pipeline {pipeline.pipeline_name}"
    _check_apart(database, schemas, told)


def _check_apart(database: Path, schemas: set[str], told: str) -> None:
    # Its name ends at the first dot.
    catalog = next(filter(None, database.name.split(".")), "")
    if catalog.lower() in {schema.lower() for schema in schemas}:
        raise BadSettings(
            f"{told}: DuckDB calls a database by the name of its file and cannot tell it from a schema of that name;"
            " rename one of them"
        )


KNOWN = ("duckdb", "postgres", "filesystem", "snowflake", "bigquery", "databricks", "clickhouse", "motherduck")
"""Destinations that docs/warehouses.md tells of."""


def _check_dataset(dataset: str) -> None:
    schema = NamingConvention().normalize_identifier(dataset) if dataset.strip() else ""
    if not schema or schema in RESERVED or schema != dataset:
        raise BadSettings(
            f"--dataset {dataset!r}: take a name of small letters, digits and underscores that DuckDB leaves to you"
        )


def _leave_no_packages() -> None:
    """Have packages that were loaded removed, since they hold rows, unless it was asked for that they stay."""
    if "LOAD__DELETE_COMPLETED_JOBS" not in os.environ:
        dlt.config["load.delete_completed_jobs"] = True


def _check_places(database: Path, state_dir: Path) -> None:
    _check_spelling(database, "--database")
    _check_state_dir(state_dir)
    if not database.name or database.is_dir():
        raise BadSettings(f"--database {database}: that is a folder; name a file in it, as in warehouse.duckdb")
    if not database.parent.is_dir():
        raise BadSettings(f"--database {database}: there is no folder {database.parent}")
    if database.exists() and not os.access(database, os.W_OK):
        raise BadSettings(f"--database {database}: the file is read-only")


def _check_spelling(path: Path, setting: str) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise BadSettings(
            f"{setting}: the name has letters that this locale cannot spell; set PYTHONUTF8=1, or take another name"
        ) from None


def _check_state_dir(state_dir: Path) -> None:
    _check_spelling(state_dir, "--state-dir")
    if _UNREADABLE.search(str(state_dir.resolve())):
        raise BadSettings(
            f"--state-dir {state_dir}: DuckDB reads files there, and takes folders called key=value for data, and"
            " quotes and question marks for more than names; take another folder"
        )
    prepare_folder(state_dir, "--state-dir")


def _pipeline(database: Path, dataset: str, state_dir: Path, name: str) -> Pipeline:
    return dlt.pipeline(
        name,
        pipelines_dir=str(state_dir.resolve()),
        destination=dlt.destinations.duckdb(
            DuckDbCredentials(str(database.resolve()), global_config=FRUGAL, statements=[UNLOGGED])
        ),
        dataset_name=dataset,
    )


def prepare_folder(folder: Path, setting: str) -> None:
    """Make a private folder, or say which setting names one that cannot be had."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(f"{setting} {folder}: {error.strerror or error}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadSettings(f"{setting} {folder}: the folder is not writable")
