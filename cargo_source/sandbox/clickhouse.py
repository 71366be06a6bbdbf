"""Queries in ClickHouse's dialect over the runtime tables: what is refused, with which code, and how they are run."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
import sqlglot
from sqlglot import exp

from cargo_source.sandbox.clickhouse_dialect import in_duckdb, name_of
from cargo_source.sandbox.filters import quoted
from cargo_source.sandbox.rows import as_json, typed
from cargo_source.sandbox.runtime_tables import TABLES, RuntimeTables
from cargo_source.sandbox.sql import warehouse_text

if TYPE_CHECKING:
    from datetime import datetime

Wire = dict[str, Any]

_NAMES = {
    43: "ILLEGAL_TYPE_OF_ARGUMENT", 46: "UNKNOWN_FUNCTION", 47: "UNKNOWN_IDENTIFIER", 48: "NOT_IMPLEMENTED",
    60: "UNKNOWN_TABLE", 62: "SYNTAX_ERROR", 81: "UNKNOWN_DATABASE", 158: "TOO_MANY_ROWS", 159: "TIMEOUT_EXCEEDED",
    161: "TOO_MANY_COLUMNS", 162: "TOO_DEEP_SUBQUERIES", 164: "READONLY", 179: "MULTIPLE_EXPRESSIONS_FOR_ALIAS",
    215: "NOT_AN_AGGREGATE", 497: "ACCESS_DENIED",
}  # fmt: skip
_SYSTEM = frozenset({"system", "information_schema"})
_INTROSPECTION = frozenset({
    "addresstoline", "addresstosymbol", "demangle", "hostname", "fqdn", "version", "uptime", "currentuser", "user",
    "currentdatabase", "currentroles", "getsetting", "serveruuid", "tcpport", "buildid", "initialqueryid", "queryid",
    "joinget", "getmacro", "file", "showcertificate", "sleep", "sleepeachrow", "filesystemavailable", "currentsetting",
    "currentversion", "sessionuser", "currentschema", "currentcatalog",
})  # fmt: skip
_STATEMENTS = (exp.DDL, exp.DML, exp.Command, exp.Into, exp.Describe, exp.Set, exp.Use, exp.Pragma)
_UNTRANSLATED = ("prewhere", "sample", "qualify")
_CODES: tuple[tuple[type[duckdb.Error], str, int], ...] = (
    (duckdb.InterruptException, "", 159),
    (duckdb.OutOfMemoryException, "", 158),
    (duckdb.CatalogException, "", 46),
    (duckdb.BinderException, "must appear in the GROUP BY", 215),
    (duckdb.BinderException, "not found", 47),
)


class QueryRefused(Exception):
    """A query that the database refuses, as its own text with its code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text} ({_NAMES[code]})")
        self.code = code


@dataclass
class Caps:
    """What one query may use."""

    rows: int = 10_000
    """Rows of a result; more are cut off without a word."""
    rows_read: int = 10_000_000
    columns_read: int = 50
    depth: int = 5
    seconds: float = 30


class ClickHouse:
    """Answers queries over the runtime tables."""

    def __init__(self, tables: RuntimeTables, caps: Caps | None = None) -> None:
        self.tables = tables
        self.caps = caps or Caps()

    def rows(self, query: str, now: datetime) -> list[Wire]:
        """Run a query and give its rows.

        Raises:
            QueryRefused: It breaks the dialect, a name, a permission or a cap.
        """
        tree = parsed(query)
        read = self._tables_of(tree)
        self._check_columns(tree, read)
        self._check_size(tree, read)
        for table in set(read):
            self.tables.show(table)
        return self._run(in_duckdb(tree, now))

    def _tables_of(self, tree: exp.Query) -> list[str]:
        named = {cte.alias for cte in tree.find_all(exp.CTE)}
        found = [table for table in tree.find_all(exp.Table) if table.db or table.name not in named]
        for table in found:
            _check_table(table)
        return [table.name for table in found]

    def _check_columns(self, tree: exp.Query, read: list[str]) -> None:
        """Find every name among the tables' columns and the query's own aliases; case counts."""
        known = {column for table in read for column in self.tables.columns(table)}
        known |= {alias.alias for alias in tree.find_all(exp.Alias, exp.CTE, exp.Subquery)}
        known |= {column.name for alias in tree.find_all(exp.TableAlias) for column in alias.columns}
        for column in tree.find_all(exp.Column):
            if not column.is_star and column.name not in known:
                raise QueryRefused(47, f"Unknown expression identifier `{column.name}` in scope {_told(tree)}.")

    def _check_size(self, tree: exp.Query, read: list[str]) -> None:
        for select in tree.find_all(exp.Select):
            self._check_stars(select)
        most = self.caps.rows_read
        total = sum(self.tables.rows(table) for table in read)
        if total > most:
            raise QueryRefused(158, f"Limit for rows to read exceeded: {total} rows read, maximum: {most}.")
        depth = max(_depth(select) for select in tree.find_all(exp.Select))
        if depth > self.caps.depth:
            raise QueryRefused(162, f"Too deep subqueries. Maximum: {self.caps.depth}.")

    def _check_stars(self, select: exp.Select) -> None:
        """Count what a star reads: of some tables it is more than may be read."""
        for star in (each for each in select.expressions if each.is_star):
            inner = star.this if isinstance(star, exp.Column) else star
            left_out = len(inner.args.get("except_") or inner.args.get("except") or ())
            for table in (each for each in select.find_all(exp.Table) if each.parent_select is select):
                about = TABLES.get(table.name)
                owner = star.table if isinstance(star, exp.Column) else ""
                if about is None or owner not in {"", table.alias_or_name}:
                    continue
                if not self.tables.columns(table.name):
                    raise QueryRefused(47, f"Unknown expression identifier `*`: no column of {table.name} is known.")
                wide = (about.wide or len(self.tables.columns(table.name))) - left_out
                if wide > self.caps.columns_read:
                    text = f"Limit for number of columns to read exceeded. Requested: {wide}, maximum: "
                    raise QueryRefused(161, f"{text}{self.caps.columns_read}.")

    def _run(self, query: str) -> list[Wire]:
        db = self.tables.db
        clock = threading.Timer(self.caps.seconds, db.interrupt)
        clock.start()
        try:
            described = typed(db, query)
            _check_twice([name for name, _ in described])
            cells = ", ".join(f"{quoted(name)} := {_cell(name, kind)}" for name, kind in described)
            cut = f"FROM ({query}) LIMIT {self.caps.rows}"
            found = db.execute(f"SELECT CAST(to_json(struct_pack({cells})) AS VARCHAR) FROM ({cut})")
            return [orjson.loads(row[0]) for row in found.fetchall()]
        except duckdb.Error as error:
            raise QueryRefused(_code(error), warehouse_text(error)) from error
        finally:
            clock.cancel()


def parsed(query: str) -> exp.Query:
    """Parse one SELECT.

    Raises:
        QueryRefused: It is something else, or asks for what is not granted.
    """
    try:
        statements = [each for each in sqlglot.parse(query, read="clickhouse") if each is not None]
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise QueryRefused(62, f"Syntax error: {warehouse_text(error)}.") from error
    if len(statements) != 1:
        raise QueryRefused(62, "Syntax error: Multi-statements are not allowed.")
    tree = statements[0]
    if not isinstance(tree, exp.Query) or tree.find(*_STATEMENTS):
        raise QueryRefused(497, "sandbox: Not enough privileges: only SELECT is granted.")
    _check_clauses(tree)
    for function in tree.find_all(exp.Func):
        name = name_of(function)
        if name.startswith("dict") or name in _INTROSPECTION:
            raise QueryRefused(497, f"sandbox: Not enough privileges to call {name}.")
    return tree


def _check_clauses(tree: exp.Query) -> None:
    for setting in (each for query in tree.find_all(exp.Query) for each in query.args.get("settings") or ()):
        name = setting.this.name
        code = 497 if "query_cache" in name else 164
        raise QueryRefused(code, f"Cannot modify '{name}' setting in readonly mode.")
    for name in _UNTRANSLATED:
        if any(query.args.get(name) for query in tree.find_all(exp.Query)):
            raise QueryRefused(48, f"{name.upper()} is not supported by the sandbox.")
    if tree.find(exp.TableSample):
        raise QueryRefused(48, "SAMPLE is not supported by the sandbox.")


def _check_table(table: exp.Table) -> None:
    if not isinstance(table.this, exp.Identifier):
        raise QueryRefused(497, f"sandbox: Not enough privileges to use a table function: {table.sql('clickhouse')}.")
    if table.db.lower() in _SYSTEM or table.name.lower() in _SYSTEM:
        raise QueryRefused(497, f"sandbox: Not enough privileges to read {table.sql('clickhouse')}.")
    if table.db:
        raise QueryRefused(81, f"Database {table.db} does not exist.")
    if table.name not in TABLES:
        raise QueryRefused(60, f"Unknown table expression identifier '{table.name}'.")


def _depth(select: exp.Select) -> int:
    depth, above = 0, select.parent_select
    while above is not None:
        depth, above = depth + 1, above.parent_select
    return depth


def _told(tree: exp.Query) -> str:
    return tree.sql("clickhouse")[:200]


def _check_twice(names: list[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise QueryRefused(179, f"Different expressions with the same alias {twice[0]}.")


def _cell(name: str, kind: str) -> str:
    """Give the SQL of one column as ClickHouse writes it: times have no zone, and a space in the middle."""
    if not kind.startswith("TIMESTAMP"):
        return as_json(name, kind)
    return f"strftime({quoted(name)}, '%Y-%m-%d %H:%M:%S{'' if kind == 'TIMESTAMP_S' else '.%g'}')"


def _code(error: duckdb.Error) -> int:
    found = (code for kind, text, code in _CODES if isinstance(error, kind) and text in str(error))
    return next(found, 62 if isinstance(error, duckdb.ParserException) else 43)
