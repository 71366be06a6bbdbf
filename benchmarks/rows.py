"""The made-up rows that every contender reads: 25 columns of a CRM, about 667 bytes of JSON each, and nested runs.

    python benchmarks/rows.py FOLDER companies ROWS [lines parquet csv delta]
    python benchmarks/rows.py FOLDER runs RUNS

DuckDB makes them, the same on every machine, once: they stay in the cache. The server needs them finished. *Lines* are
rows as JSON, in the order of ``_id``, each ended by a comma and a line break, so that a page of any offset and length
is one slice of the file; ``offsets`` says where each row begins.
"""

import shutil
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

FILE_ROWS = 250_000
"""Rows in one file of an export."""
DELTA_EVERY = 10
"""The delta rewrites every tenth row."""
WORKFLOWS = 10
EXECUTIONS = 3
"""Executions in each run."""


@dataclass(frozen=True)
class Column:
    """A column: its name, its type in Cargo, its type in the warehouse, and the SQL that makes it of ``i`` and ``v``.

    ``i`` is the number of the row, ``v`` its version, ``h`` a number that looks random.
    """

    name: str
    type: str
    physical: str
    sql: str


def _pick(*words: str, salt: int) -> str:
    listed = ", ".join(f"'{word}'" for word in words)
    return f"[{listed}][1 + (hash(i, {salt}) % {len(words)})::INT]"


def _time(first: str, seconds: int, salt: int) -> str:
    milliseconds = f"(hash(i, {salt}) % {seconds * 1000})::BIGINT"
    return f"(TIMESTAMP '{first}' + to_milliseconds({milliseconds}))"


_ID = "'rec_' || lpad(i::VARCHAR, 10, '0')"
_NAME = (
    f"{_pick('Cedar', 'Fern', 'Café', 'Nord', 'Quartz', 'Marsh', 'Łódź', 'Atlas', salt=1)} || ' ' ||"
    f" {_pick('Data', 'Systems', 'Networks', 'Foods', 'Labs', 'Partners', salt=2)} || ' ' || i"
)
_DOMAIN = "'co-' || i || '.example'"
EMITTED = "2026-01-05 08:00:00"
EMITTED_AGAIN = "2026-03-01 12:30:00"
"""When the rows of the delta were written: after the first sync, by the server's clock."""

COLUMNS = (
    Column("_id", "string", "STRING", _ID),
    Column("_title", "string", "STRING", _NAME),
    Column(
        "_emitted_at",
        "date",
        "TIMESTAMP",
        f"CASE v WHEN 0 THEN TIMESTAMP '{EMITTED}' + to_milliseconds(i % 86400000)"
        f" ELSE TIMESTAMP '{EMITTED_AGAIN}' + to_milliseconds(i % 60000) END",
    ),
    Column("id", "string", "STRING", _ID),
    Column("name", "string", "STRING", _NAME),
    Column("domain", "string", "STRING", _DOMAIN),
    Column("industry", "string", "STRING", _pick("Retail", "Finance", "Software", "Health", "Energy", salt=3)),
    Column("country", "string", "STRING", _pick("France", "Deutschland", "España", "United States", salt=4)),
    Column(
        "city", "string", "STRING", f"CASE WHEN i % 9 = 0 THEN NULL ELSE {_pick('Lyon', 'Köln', 'Austin', salt=5)} END"
    ),
    Column(
        "stage", "string", "STRING", f"CASE v WHEN 0 THEN {_pick('lead', 'open', 'won', salt=6)} ELSE 'customer' END"
    ),
    Column("description", "string", "STRING", "'Called \"Café\", see page ' || hash(i, 7) % 1000"),
    Column("owner", "string", "STRING", "'owner' || hash(i, 8) % 40 || '@ours.io'"),
    Column(
        "phone",
        "string",
        "STRING",
        "CASE WHEN i % 4 = 0 THEN NULL ELSE '+33 1 ' || (10000000 + hash(i, 9) % 89999999) END",
    ),
    Column("url", "string", "STRING", "'https://in.example/' || i"),
    Column("source", "string", "STRING", _pick("inbound", "outbound", "partner", "event", salt=10)),
    Column("employees", "number", "INT64", "(hash(i, 11, v) % 90000)::BIGINT"),
    Column(
        "revenue", "number", "FLOAT64", "CASE WHEN i % 7 = 0 THEN NULL ELSE (hash(i, 12) % 900000000)::DOUBLE / 4 END"
    ),
    Column("growth", "number", "FLOAT64", "(hash(i, 13) % 200)::DOUBLE / 64 - 0.5"),
    Column("sequence", "number", "INT64", "(9000000 + i)::BIGINT"),
    Column("customer", "boolean", "BOOL", "hash(i, 14) % 3 = 0"),
    Column(
        "founded_at",
        "date",
        "TIMESTAMP",
        f"CASE WHEN i % 5 = 0 THEN NULL ELSE {_time('1990-01-01', 900_000_000, 15)} END",
    ),
    Column("created_at", "date", "TIMESTAMP", _time("2024-01-01", 30_000_000, 16)),
    Column("updated_at", "date", "TIMESTAMP", _time("2025-06-01", 15_000_000, 17)),
    Column(
        "address",
        "object",
        "JSON",
        f"{{'street': 'rue ' || hash(i, 18) % 300, 'city': {_pick('Lyon', 'Köln', salt=19)},"
        " 'floor': (hash(i, 21) % 30)::INT}",
    ),
    Column(
        "tools",
        "array",
        "JSON",
        f"[{_pick('dbt', 'HubSpot', salt=22)}, {_pick('Snowflake', 'BigQuery', salt=23)}]",
    ),
)
ADDRESS = ("street", "city", "floor")
ISO = "strftime({}, '%Y-%m-%dT%H:%M:%S.%gZ')"


def rows_sql(span: range, version: int = 0) -> str:
    """Write the SELECT of a span of rows (version 0) or of those of the delta in it (1), typed, ordered by ``_id``."""
    cells = ", ".join(f'{column.sql} AS "{column.name}"' for column in COLUMNS)
    which = "" if version == 0 else f" WHERE i % {DELTA_EVERY} = 3"
    numbers = f"SELECT range AS i, {version} AS v FROM range({span.start}, {span.stop})"
    return f"SELECT {cells} FROM ({numbers}){which} ORDER BY i"


def wire_sql(span: range, version: int = 0) -> str:
    """The same as the API writes them: times as text."""
    times = ", ".join(f'{ISO.format(column.name)} AS "{column.name}"' for column in COLUMNS if column.type == "date")
    return f"SELECT * REPLACE ({times}) FROM ({rows_sql(span, version)})"


def export_sql(span: range, kind: str, version: int = 0) -> str:
    """The same as an export writes them: nested values as JSON text, times typed in parquet and text in csv."""
    nested = [f'to_json("{c.name}")::VARCHAR AS "{c.name}"' for c in COLUMNS if c.physical == "JSON"]
    if kind == "csv":
        return f"SELECT * REPLACE ({', '.join(nested)}) FROM ({wire_sql(span, version)})"
    times = [f'"{c.name}" AT TIME ZONE \'UTC\' AS "{c.name}"' for c in COLUMNS if c.type == "date"]
    return f"SELECT * REPLACE ({', '.join(nested + times)}) FROM ({rows_sql(span, version)})"


def runs_sql(span: range, workflow: int) -> str:
    """Write the SELECT of the runs of one workflow, as the API writes them."""
    started = ISO.format("TIMESTAMP '2026-01-10' + to_milliseconds(i * 1000 + {})")
    executions = ", ".join(
        f"{{'nodeUuid': {_uuid(64 + each, workflow)}, 'nodeSlug': 'step_{each}', 'nodeKind': 'native',"
        f" 'nodeActionSlug': 'enrich', 'status': 'success', 'errorMessage': NULL, 'title': 'step {each} of ' || i,"
        f" 'iconUrl': 'https://icons.example/{each}.svg', 'creditsUsedCount': {each} / 4.0,"
        f" 'startedAt': {started.format(each * 100)}, 'finishedAt': {started.format(each * 100 + 90)}}}"
        for each in range(EXECUTIONS)
    )
    return f"""
        SELECT {_uuid(32, "i")} AS uuid, '{WORKSPACE}' AS "workspaceUuid",
            '{workflow_uuid(workflow)}' AS "workflowUuid", {_uuid(33, "i")} AS "traceUuid",
            'run-' || i AS "temporalWorkflowId", 'record-' || i AS "recordId", 'Record ' || i AS "recordTitle",
            'runs/' || i || '/context.json' AS "contextS3Filename", 'success' AS status,
            [{executions}] AS executions,
            {started.format(0)} AS "createdAt", {started.format(900)} AS "updatedAt",
            {started.format(800)} AS "finishedAt"
        FROM (SELECT range AS i FROM range({span.start}, {span.stop})) WHERE i % {WORKFLOWS} = {workflow} ORDER BY i
    """


def _uuid(group: int, number: int | str) -> str:
    return f"format('{group:08x}-0000-4000-8000-{{:012d}}', {number})"


WORKSPACE = "00000000-0000-4000-9000-000000000001"


def workflow_uuid(number: int) -> str:
    """Give the uuid of a workflow."""
    return f"00000000-0000-4000-a000-{number:012d}"


def write_lines(queries: Iterable[str], folder: Path) -> None:
    """Write rows as lines, and where each begins. An Arrow column of texts is already such a file and its index."""
    place = 0
    with duckdb.connect() as db, (folder / "lines").open("wb") as out, (folder / "offsets").open("wb") as index:
        for query in queries:
            names = ", ".join(f'"{row[0]}" := "{row[0]}"' for row in db.execute(f"DESCRIBE {query}").fetchall())
            lines = f"SELECT to_json(struct_pack({names}))::VARCHAR || ',' || chr(10) AS line FROM ({query})"
            for batch in db.execute(lines).to_arrow_reader(20_000):
                texts = batch.column(0)
                bounds = array("i", texts.buffers()[1].to_pybytes())[texts.offset : texts.offset + len(texts) + 1]
                out.write(memoryview(texts.buffers()[2])[bounds[0] : bounds[-1]])
                array("Q", (place + bound - bounds[0] for bound in bounds[:-1])).tofile(index)
                place += bounds[-1] - bounds[0]
        array("Q", [place]).tofile(index)


def write_files(queries: Iterable[str], folder: Path, kind: str) -> None:
    """Write an export's files, one for each query."""
    how = "FORMAT parquet, COMPRESSION snappy" if kind == "parquet" else "FORMAT csv, FORCE_QUOTE *"
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        for part, query in enumerate(queries):
            db.execute(f"COPY ({query}) TO '{folder / f'part-{part:04d}.{kind}'}' ({how})")


def build(home: Path, name: str, rows: int, kinds: Iterable[str]) -> Path:
    """Make what is not there yet, and give the folder."""
    folder = home / f"{name}-{rows}"
    for kind in kinds:
        version = int(kind.startswith("delta"))
        form = kind.removeprefix("delta-")
        target = folder / kind
        if target.exists():
            continue
        making = folder / f"{kind}.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        spans = [range(start, min(start + FILE_ROWS, rows)) for start in range(0, rows, FILE_ROWS)]
        if name == "runs":
            write_lines((runs_sql(span, int(kind)) for span in spans), making)
        elif form == "lines":
            write_lines((wire_sql(span, version) for span in spans), making)
        elif version:
            write_files([export_sql(range(rows), form, version)], making, form)
        else:
            write_files((export_sql(span, form) for span in spans), making, form)
        making.rename(target)
    return folder


if __name__ == "__main__":
    home, name, rows, *kinds = sys.argv[1:]
    build(Path(home), name, int(rows), kinds or [str(each) for each in range(WORKFLOWS)])
