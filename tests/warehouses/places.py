"""Where syncs load to, each read back in its own way: DuckDB, a PostgreSQL server, a folder of parquet files."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import psycopg2
from psycopg2.extras import register_default_jsonb

from tests.target import Target

AS_DUCKDB = {"character varying": "VARCHAR", "jsonb": "JSON", "timestamp with time zone": "TIMESTAMP WITH TIME ZONE"}

NEWEST = r"""
FROM read_parquet('{files}', union_by_name = true, filename = true)
SELECT * EXCLUDE (filename)
QUALIFY row_number() OVER (
    PARTITION BY {key} ORDER BY regexp_extract(filename, '([0-9]+[.][0-9]+)[.][^/.]+[.]parquet$', 1) DESC
) = 1
"""
"""How docs/warehouses.md reads a table of files; a test holds the two together."""


class InDuckDb(Target):
    removes = True


class InPostgres(Target):
    """A database of a server's own for each test."""

    removes = True

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.url = url

    def pipeline(self) -> Any:
        made = dlt.destinations.postgres(self.url)
        return dlt.pipeline("cargo", pipelines_dir=str(self.folder / "state"), destination=made, dataset_name="cargo")

    @contextmanager
    def connected(self) -> Iterator[Any]:
        with closing(psycopg2.connect(self.url)) as db:
            register_default_jsonb(db, loads=str)
            db.autocommit = True
            yield db.cursor()

    def query(self, sql: str) -> list[tuple]:
        with self.opened() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.opened() as cursor:
            cursor.execute(f'SELECT * FROM cargo."{table}"')
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def types(self, table: str) -> dict[str, str]:
        found = self.query(
            "SELECT column_name, data_type FROM information_schema.columns"
            f" WHERE table_schema = 'cargo' AND table_name = '{table}'"
        )
        return {name: AS_DUCKDB.get(kind, kind.upper()) for name, kind in found}


class InFiles(Target):
    """Parquet files, of whose versions of a row the newest counts."""

    removes = False

    def pipeline(self) -> Any:
        made = dlt.destinations.filesystem(str(self.folder / "lake"))
        return dlt.pipeline("cargo", pipelines_dir=str(self.folder / "state"), destination=made, dataset_name="cargo")

    def files(self, table: str) -> str:
        return f"{self.folder}/lake/cargo/{table}/*.parquet"

    def tables(self) -> set[str]:
        folders = {file.parent.name for file in (self.folder / "lake" / "cargo").glob("*/*.parquet")}
        return {name for name in folders if not name.startswith("_")}

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as db:
            db.execute("SET TimeZone = 'UTC'; CREATE SCHEMA cargo")
            for table in [
                *self.tables(),
                *(["_cargo_syncs"] if [*self.folder.glob("lake/cargo/_cargo_syncs/*")] else []),
            ]:
                columns = self._columns(table)
                key = ", ".join(f'"{name}"' for name, column in columns.items() if column.get("primary_key"))
                db.execute(f'CREATE TABLE cargo."{table}" AS {NEWEST.format(files=self.files(table), key=key)}')
            yield db

    def _columns(self, table: str) -> dict[str, Any]:
        return dict(self.pipeline().schemas["cargo"].tables[table]["columns"])

    def types(self, table: str) -> dict[str, str]:
        columns = self._columns(table)
        # In parquet files JSON is text.
        json = {name for name, column in columns.items() if column.get("data_type") == "json"}
        return {name: "JSON" if name in json else kind for name, kind in super().types(table).items()}
