"""What landed, in one number: a hash of all cells of the 25 columns that does not depend on the order of rows.

    python checksum.py DATABASE companies|runs DIALECT
    python checksum.py --truth FOLDER companies|runs

Types are normalised, since peers disagree on them: times are microseconds, numbers doubles, nested values their own
parts. It needs only DuckDB, and runs in the environment of the contender, whose version of DuckDB made the file.
"""

import json
import sys
from pathlib import Path

import duckdb
from rows import ADDRESS, COLUMNS

TABLES = {
    "companies": {
        "plain": "cargo.crm__companies",
        # As it comes, dlt makes columns of an object and a table of a list.
        "unnested": "(SELECT c.*, {address} AS address, t.tools FROM cargo.crm__companies c LEFT JOIN (SELECT"
        " _dlt_parent_id, to_json(list(value ORDER BY _dlt_list_idx)) AS tools FROM cargo.crm__companies__tools"
        " GROUP BY ALL) t ON t._dlt_parent_id = c._dlt_id)".replace(
            "{address}", "json_object(" + ", ".join(f"'{name}', address__{name}" for name in ADDRESS) + ")"
        ),
    },
    "runs": {
        "plain": "(SELECT e.*, r.record_id, r.updated_at AS run_updated_at"
        " FROM cargo.executions e JOIN cargo.runs r ON r.uuid = e.run_uuid)",
        "unnested": "(SELECT e.* EXCLUDE (_dlt_id), r.uuid AS run_uuid, r.record_id, r.updated_at AS run_updated_at,"
        " e._dlt_list_idx AS index"
        " FROM cargo.runs__executions e JOIN cargo.runs r ON r._dlt_id = e._dlt_parent_id)",
    },
}


def _cells(table: str) -> list[str]:
    """Give the SQL of each cell, as text."""
    if table == "runs":
        times = [f"epoch_us(CAST({name} AS TIMESTAMPTZ))" for name in ("started_at", "finished_at", "run_updated_at")]
        return [
            "run_uuid",
            "record_id",
            "index",
            "node_uuid",
            "node_slug",
            "title",
            "credits_used_count::DOUBLE",
            *times,
        ]
    cells = []
    for column in COLUMNS:
        name = f'"{column.name}"'
        if column.name == "address":
            cells += [f"json_extract_string({name}::JSON, '$.{part}')" for part in ADDRESS]
        elif column.name == "tools":
            cells += [f"json_extract_string({name}::JSON, '$[{place}]')" for place in range(3)]
        elif column.type == "date":
            cells.append(f"epoch_us(CAST({name} AS TIMESTAMPTZ))")
        elif column.type == "number":
            cells.append(f"{name}::DOUBLE")
        elif column.type == "boolean":
            cells.append(f"{name}::BOOLEAN")
        else:
            cells.append(name)
    return cells


def summed(db: duckdb.DuckDBPyConnection, source: str, table: str) -> dict[str, str | int]:
    """Count rows and add up the hashes of theirs."""
    text = ", ".join(f"coalesce(({cell})::VARCHAR, chr(0))" for cell in _cells(table))
    query = f"SELECT count(*), sum(md5_number_lower(concat_ws(chr(1), {text}))::HUGEINT)::VARCHAR FROM {source}"
    db.execute("SET TimeZone = 'UTC'")
    rows, total = db.execute(query).fetchall()[0]
    return {"rows": rows, "checksum": str(total)}


def of_database(path: Path, table: str, dialect: str) -> dict[str, str | int]:
    """Look into what a contender made."""
    with duckdb.connect(str(path), read_only=True) as db:
        return summed(db, TABLES[table][dialect], table)


def of_truth(folder: Path, table: str) -> dict[str, str | int]:
    """Look into what the server serves: of two versions of a row, the newer."""
    rows, delta = f"read_parquet('{folder}/parquet/*')", f"read_parquet('{folder}/delta-parquet/*')"
    sources = {
        "companies": f"(SELECT * FROM {rows})",
        "merged": f"(SELECT * FROM {rows} WHERE _id NOT IN (SELECT _id FROM {delta}) UNION ALL SELECT * FROM {delta})",
        "runs": _served_executions(folder),
    }
    with duckdb.connect() as db:
        return summed(db, sources[table], "runs" if table == "runs" else "companies")


def _served_executions(folder: Path) -> str:
    fields = {
        "node_uuid": "nodeUuid",
        "node_slug": "nodeSlug",
        "title": "title",
        "credits_used_count": "creditsUsedCount",
        "started_at": "startedAt",
        "finished_at": "finishedAt",
    }
    text = "columns = {'line': 'VARCHAR'}, delim = chr(1), quote = '', escape = '', header = false"
    lines = f"SELECT line[:-2]::JSON AS line FROM read_csv('{folder}/*/lines', {text})"
    own = dict.fromkeys(("uuid", "recordId", "updatedAt"), "VARCHAR")
    kind = json.dumps({**own, "executions": [dict.fromkeys(fields.values(), "VARCHAR")]})
    runs = f"SELECT unnest(from_json(line, '{kind}')) FROM ({lines})"
    places = "unnest(executions) AS execution, generate_subscripts(executions, 1) - 1 AS index"
    cells = ", ".join(f"execution.{field} AS {name}" for name, field in fields.items())
    run = "uuid AS run_uuid, recordId AS record_id, updatedAt AS run_updated_at"
    return f"(SELECT run_uuid, record_id, run_updated_at, index, {cells} FROM (SELECT {run}, {places} FROM ({runs})))"


if __name__ == "__main__":
    if sys.argv[1] == "--truth":
        print(json.dumps(of_truth(Path(sys.argv[2]), sys.argv[3])))
    else:
        print(json.dumps(of_database(Path(sys.argv[1]), *sys.argv[2:])))
