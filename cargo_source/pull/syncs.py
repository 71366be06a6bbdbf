"""The table of syncs, ``_cargo_syncs``: one row for each table of each sync, added last and by themselves.

Rows wait in a small private file beside the state until they have been loaded, so that a sync that failed, or a
destination that refused them, costs none: they go with the next sync.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
from dlt.common.schema.typing import TFileFormat
from dlt.destinations.exceptions import DatabaseException
from dlt.extract import DltResource, DltSource
from dlt.extract.items import DataItemWithMeta
from dlt.pipeline.pipeline import Pipeline

from cargo_source import __version__
from cargo_source.catalog.columns import columns
from cargo_source.pull import sql
from cargo_source.pull.dlt_tables import MERGE, WRITTEN_AS, dlt_columns, kind_of
from cargo_source.pull.kept_open import is_duckdb
from cargo_source.pull.outcome import Outcome
from cargo_source.pull.pipeline_destination import SCHEMA
from cargo_source.pull.spool import Spool
from cargo_source.pull.times import parse_time
from cargo_source.pull.typed import ARROW, OURS

log = logging.getLogger("cargo_source")

TABLE = "_cargo_syncs"
KEY = ("run_id", "table")
COLUMNS = columns("""
    runId        text!      the sync: the load that it made, if it made one
    table        text!      the table
    entity       text       the entity; records for the rows of a model
    rows         integer    rows written
    lane         text       how they were read
    evidence     text       what told that they are complete
    expected     integer    rows that were counted
    got          integer    rows that came of those
    requests     integer    requests made for it
    retries      integer    requests that were repeated ones
    rateLimited  integer    answers that said 429
    bytes        integer    bytes received for it
    watermark    timestamp  how far it has been read, in the server's time
    seconds      number     time that reading it took
    status       text{complete|unproven|refreshing|skipped|failed}  how it went
    note         text       what is to be said of it
    error        text       the kind of error that stopped it, or the sync
    pipeline     text       the pipeline that loaded it
    dataset      text       the dataset that it was loaded into
    workspace    text       the workspace
    startedAt    timestamp  when the sync began, by the clock of its machine
    finishedAt   timestamp  when it ended, by the same clock
    version      text       the version of cargo_source
""")
MOST_KEPT = 20_000
"""Rows that wait at most, where the destination takes none; the oldest go first."""

Row = dict[str, Any]


def rows_of(outcomes: Sequence[Outcome], failure: BaseException | None, **of_run: Any) -> list[Row]:
    """Give a row for each outcome; ``of_run`` holds what they share."""
    error = type(failure).__name__ if failure else None
    return [
        {**outcome.as_json(), "error": outcome.error or error, **of_run, "version": __version__} for outcome in outcomes
    ]


def keep(pipeline: Pipeline, rows: Sequence[Row]) -> None:
    """Have rows wait for the next load."""
    if not rows:
        return
    file = _waiting(pipeline)
    all_rows = [*_read(file), *rows][-MOST_KEPT:]
    fresh = file.with_suffix(".new")
    try:
        fresh.touch(mode=0o600)
        fresh.write_text("".join(json.dumps(row, default=datetime.isoformat) + "\n" for row in all_rows))
        fresh.replace(file)
    except OSError as error:
        log.warning("%s: rows of this sync are not kept: %s", TABLE, error.strerror)


def load(pipeline: Pipeline) -> list[Row]:
    """Load the rows that wait, and give them. A destination that does not take them is no failure: they wait on."""
    file = _waiting(pipeline)
    rows = _read(file)
    if not rows:
        return []
    refresh, pipeline.refresh = pipeline.refresh, None
    try:
        if pipeline.has_pending_data:
            pipeline.abort_packages()
        with closing(_spool(pipeline)) as spool:
            path = _written(rows, spool)
            if not _added(pipeline, path):
                pipeline.run(_source(path, len(rows), WRITTEN_AS.get(kind_of(pipeline))))
        file.unlink()
    except Exception as error:  # noqa: BLE001 - whatever it is, the sync itself is over, and went as it went
        log.warning("%s: not written (%s): its rows go with the next sync", TABLE, type(error).__name__)
        return []
    else:
        return rows
    finally:
        pipeline.refresh = refresh


@contextmanager
def begun(pipeline: Pipeline) -> Iterator[list[DltSource]]:
    """Give what makes the table along with the others, where it is not there and rows can then be added to it."""
    # A refresh empties the state of the source for each part of it that is loaded.
    if not is_duckdb(pipeline) or _knows(pipeline) or pipeline.refresh:
        yield []
        return
    with ExitStack() as opened:
        try:
            spool = _spool(pipeline)
            opened.callback(spool.close)
            made = [_source(_written([], spool), 0)]
        except OSError as error:
            # It can wait: what else the disk refuses is told where it matters.
            log.debug("%s: not made beforehand: %s", TABLE, error.strerror)
            made = []
        yield made


def _knows(pipeline: Pipeline) -> bool:
    return SCHEMA in pipeline.schema_names and TABLE in pipeline.schemas[SCHEMA].tables


def _spool(pipeline: Pipeline) -> Spool:
    # A home of its own: what a sync that failed has read waits in that of syncs.
    return Spool(Path(pipeline.working_dir) / "syncs")


def _written(rows: Sequence[Row], spool: Spool) -> Path:
    path = spool.new_file()
    pq.write_table(_typed(rows), path)
    path.chmod(0o600)
    return path


def _added(pipeline: Pipeline, path: Path) -> bool:
    """Add rows to a table that is there, without a load of its own, where that can be done by hand."""
    if not is_duckdb(pipeline) or not _knows(pipeline):
        return False
    new = f"read_parquet({sql.text(str(path))})"
    same = " AND ".join(f"old.{sql.name(name)} = new.{sql.name(name)}" for name in KEY)
    with pipeline.sql_client(SCHEMA) as client:
        table = client.make_qualified_table_name(TABLE)
        try:
            with client.begin_transaction():
                client.execute_sql(f"DELETE FROM {table} AS old USING {new} AS new WHERE {same}")  # noqa: S608 - our own names
                client.execute_sql(f"INSERT INTO {table} BY NAME SELECT * FROM {new}")  # noqa: S608 - as above
        except DatabaseException as error:
            log.debug("%s: not as it is known (%s), so dlt loads it", TABLE, type(error).__name__)
            return False
    return True


def _waiting(pipeline: Pipeline) -> Path:
    return Path(pipeline.pipelines_dir) / f"{pipeline.pipeline_name}.syncs.jsonl"


def _read(file: Path) -> list[Row]:
    if not file.exists():
        return []
    # A later row of the same key is the better one.
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return list({tuple(row.get(name) for name in KEY): row for row in rows}.values())


def _typed(rows: Sequence[Row]) -> pa.Table:
    schema = pa.schema([pa.field(c.name, ARROW[c.type], nullable=not c.required) for c in COLUMNS])
    times = [column.name for column in COLUMNS if column.type == "timestamp"]
    cells = [{**row, **{name: parse_time(row[name]) for name in times if row.get(name)}} for row in rows]
    return pa.Table.from_pylist(cells, schema=schema)


@dlt.source(name="cargo", section="cargo", max_table_nesting=0)
def _source(path: Path, rows: int, written_as: TFileFormat | None = None) -> Iterator[DltResource]:
    ours = {column.name for column in OURS}
    hints = {name: hint for name, hint in dlt_columns(COLUMNS, KEY).items() if name not in ours}
    resource = dlt.resource(
        _file,
        name=TABLE,
        columns=hints,
        primary_key=list(KEY),
        write_disposition=MERGE,
        file_format=written_as,  # type: ignore[arg-type] # None is its default, which its type forgets
    )
    yield resource(path, rows)


def _file(path: Path, rows: int) -> Iterator[DataItemWithMeta]:
    yield dlt.mark.with_file_import(str(path), "parquet", rows)
