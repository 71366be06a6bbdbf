"""A sync that readers never wait for: it works on a copy of the DuckDB file, and renames it over when it is done.

DuckDB lets nobody open a file that somebody writes. The copy lies in a hidden folder beside the file and has its name,
because DuckDB calls a database by the name of its file. What a sync that was killed left there is finished if its load
had been completed, for the state counts on that load; else it is removed, and so is what a window left, which is not
in the state: it comes again whole.
"""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.pipeline.pipeline import Pipeline

from cargo_source.errors import BadSettings, DestinationRefused

log = logging.getLogger("cargo_source")


class Publication:
    """One sync's copy of the database of ``pipeline``. Raises BadSettings where that is no DuckDB file.

    ``schema`` is the source's.
    """

    def __init__(self, pipeline: Pipeline, schema: str) -> None:
        self._pipeline, self._schema = pipeline, schema
        self._destination: Any = pipeline.destination
        self._original = _file_of(pipeline)
        self._folder = self._original.parent / f".{self._original.name}.publishing"
        self._copy = self._folder / self._original.name
        self._stamp = self._folder / "copied.json"

    def finish_earlier(self) -> None:
        """Deal with the copy of a sync that was killed. Raises DestinationRefused."""
        try:
            self._finish_or_remove()
        except (OSError, duckdb.Error) as error:
            raise DestinationRefused.from_cause(error, step="publishing") from None

    def begin(self) -> None:
        """Make the copy, and have the pipeline load into it. Raises DestinationRefused."""
        try:
            self._folder.mkdir(mode=0o700)
            try:
                self._take_copy()
            except BaseException:
                # Half a copy would fill the disk until the next sync.
                self.drop()
                raise
        except (OSError, duckdb.Error) as error:
            raise DestinationRefused.from_cause(error, step="copy") from None
        settings = self._destination.config_params
        chosen = {**settings, "credentials": _elsewhere(settings["credentials"], self._copy)}
        copy: Any = dlt.destinations.duckdb(**chosen)
        self._pipeline.destination = copy

    def publish(self) -> None:
        """Rename the copy over the original. Raises DestinationRefused, also where somebody wrote into the original."""
        self._pipeline.destination = self._destination
        try:
            if not self._is_as_copied():
                raise DestinationRefused(
                    f"{self._original} was written to while the sync worked on a copy of it, so the copy was dropped:"
                    " let nobody else write to it, then run the same command again"
                )
            self._rename()
        except (OSError, duckdb.Error) as error:
            raise DestinationRefused.from_cause(error, step="publishing") from None
        finally:
            self.drop()

    def drop(self) -> None:
        """Remove the copy; the original is as it was."""
        self._pipeline.destination = self._destination
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take_copy(self) -> None:
        if self._original.exists():
            if _wal(self._original).exists():
                # What was written last lies beside the file.
                _settle(self._original)
            # While it is open to be read nobody can write.
            with duckdb.connect(str(self._original), read_only=True):
                shutil.copyfile(self._original, self._copy)
                shutil.copymode(self._original, self._copy)
        self._stamp.write_text(json.dumps(_facts(self._original)))

    def _is_as_copied(self) -> bool:
        return bool(json.loads(self._stamp.read_text()) == _facts(self._original))

    def _rename(self) -> None:
        _settle(self._copy)
        with self._copy.open("rb") as file:
            os.fsync(file.fileno())
        self._copy.replace(self._original)

    def _finish_or_remove(self) -> None:
        if self._copy.exists() and self._stamp.exists():
            load = self._pipeline.state.get("sources", {}).get(self._schema, {}).get("load")
            # One that was there before says nothing of the load that was cut off.
            if load and self._is_as_copied() and self._copy_alone_holds(str(load)):
                log.warning("an earlier sync was cut off before it published what it had loaded: done now")
                self._rename()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _copy_alone_holds(self, load: str) -> bool:
        dataset = self._pipeline.dataset_name or ""
        try:
            if not _holds(self._copy, dataset, load):
                return False
        except duckdb.Error:
            # It broke with the sync.
            return False
        return not (self._original.exists() and _holds(self._original, dataset, load, read_only=True))


def finish_earlier(pipeline: Pipeline, schema: str) -> None:
    """Deal with the copy that a sync into a DuckDB file left when it was killed, where there is one."""
    try:
        publication = Publication(pipeline, schema)
    except BadSettings:
        return
    publication.finish_earlier()


def _file_of(pipeline: Pipeline) -> Path:
    # A pipeline that was made without one has none, whatever its type says.
    destination: Any = pipeline.destination
    name = destination.config_params.get("credentials") if destination else None
    name = name.database if isinstance(name, DuckDbCredentials) else name
    kind = destination.destination_type if destination else ""
    name = name.removeprefix("duckdb:///") if isinstance(name, str) else None
    if not kind.endswith(".duckdb") or not name or name.startswith(":"):
        raise BadSettings("publish needs a DuckDB file as the destination, such as dlt.destinations.duckdb('w.duckdb')")
    return Path(name).resolve()


def _elsewhere(credentials: Any, file: Path) -> Any:
    """Give the same credentials for another file."""
    if not isinstance(credentials, DuckDbCredentials):
        return str(file)
    moved = credentials.copy()
    moved.database = str(file)
    return moved


def _wal(file: Path) -> Path:
    return file.with_name(file.name + ".wal")


def _settle(file: Path) -> None:
    """Bring everything that was written into the file itself."""
    with duckdb.connect(str(file)) as db:
        db.execute("CHECKPOINT")


def _facts(file: Path) -> list[int] | None:
    """Give what changes when somebody writes to a file."""
    if not file.exists():
        return None
    seen = file.stat()
    return [seen.st_ino, seen.st_size, seen.st_mtime_ns, int(_wal(file).exists())]


def _holds(file: Path, dataset: str, load: str, *, read_only: bool = False) -> bool:
    """Say whether a load was completed in a database. Raises what DuckDB raises for one that cannot be read."""
    with duckdb.connect(str(file), read_only=read_only) as db:
        query = f'SELECT count(*) FROM "{dataset}"._dlt_loads WHERE load_id = ?'  # noqa: S608 - the name is the user's own
        try:
            found = db.execute(query, [load]).fetchone()
        except duckdb.CatalogException:
            # Nothing was ever loaded.
            return False
    return bool(found and found[0])
