"""The dlt pipeline that the command line loads with: a DuckDB file, and a private folder for work in progress."""

import os
import re
from pathlib import Path

import dlt
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.pipeline import Pipeline

from cargo_source.errors import BadSettings
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
    schema = NamingConvention().normalize_identifier(dataset) if dataset.strip() else ""
    if not schema or schema in RESERVED or schema != dataset:
        raise BadSettings(
            f"--dataset {dataset!r}: take a name of small letters, digits and underscores that DuckDB leaves to you"
        )
    if database.stem.lower() in {dataset, f"{dataset}_staging"}:
        raise BadSettings(
            f"--database {database} and --dataset {dataset}: DuckDB calls a database by the name of its file and cannot"
            " tell it from a schema of that name; rename one of them"
        )
    # Packages that were loaded hold rows; they are not left on disk unless that was asked for.
    if "LOAD__DELETE_COMPLETED_JOBS" not in os.environ:
        dlt.config["load.delete_completed_jobs"] = True
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


def _check_places(database: Path, state_dir: Path) -> None:
    for path, setting in ((database, "--database"), (state_dir, "--state-dir")):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise BadSettings(
                f"{setting}: the name has letters that this locale cannot spell; set PYTHONUTF8=1, or take another name"
            ) from None
    if _UNREADABLE.search(str(state_dir.resolve())):
        raise BadSettings(
            f"--state-dir {state_dir}: DuckDB reads files there, and takes folders called key=value for data, and"
            " quotes and question marks for more than names; take another folder"
        )
    prepare_folder(state_dir, "--state-dir")
    if not database.name or database.is_dir():
        raise BadSettings(f"--database {database}: that is a folder; name a file in it, as in warehouse.duckdb")
    if not database.parent.is_dir():
        raise BadSettings(f"--database {database}: there is no folder {database.parent}")
    if database.exists() and not os.access(database, os.W_OK):
        raise BadSettings(f"--database {database}: the file is read-only")


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
