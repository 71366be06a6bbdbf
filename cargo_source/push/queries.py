"""Queries on databases, as Arrow batches: a dlt pipeline's destination, a DuckDB file, or the URL of a database."""

import itertools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cargo_source.errors import BadSettings
from cargo_source.push.batches import BATCH, Incoming, arriving

_NAMED = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)
"""What DuckDB raises before it looks at a row: its words name tables and columns."""
_UNREACHED = frozenset({"OperationalError", "InterfaceError"})
"""What drivers call a database that does not answer (PEP 249)."""
POSTGRES = "postgres"
"""What dlt calls PostgreSQL; its own way to read from there changes values."""


def query(text: str, database: Any) -> Incoming:
    """Run a query where ``database`` says. Raises BadSettings that says why it cannot be."""
    if isinstance(database, duckdb.DuckDBPyConnection):
        raise BadSettings("database: give con.sql(query) instead of the query, or the path of the DuckDB file")
    if isinstance(database, Path) or (isinstance(database, str) and "://" not in database):
        return _duckdb(text, Path(database))
    if isinstance(database, str) and database.startswith("duckdb://"):
        # Three slashes begin a path that is relative, four one that is not.
        return _duckdb(text, Path(database.removeprefix("duckdb://").removeprefix("/")))
    return _dlt(text, database)


def check_duckdb(names: Sequence[str], kinds: Sequence[Any]) -> None:
    """Raise BadSettings for columns that DuckDB cannot give as they are: it makes -1 of the largest integers."""
    if lost := [name for name, kind in zip(names, kinds, strict=True) if "UHUGEINT" in str(kind)]:
        raise BadSettings(f"columns of type UHUGEINT cannot leave DuckDB: {', '.join(lost)}; cast them first")


def _duckdb(text: str, path: Path) -> Incoming:
    if not path.is_file():
        raise BadSettings(f"database: there is no DuckDB file {path}")
    try:
        db = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise BadSettings(
            f"database: {path} cannot be opened ({type(error).__name__}): is it a DuckDB file, and closed elsewhere?"
            " Where this program has it open, give con.sql(query) instead of the query"
        ) from None
    try:
        reader = _asked(db, text)
    except duckdb.Error as error:
        db.close()
        raise BadSettings(f"the query failed: {_words(error)}") from None
    except BadSettings:
        db.close()
        raise

    def batches() -> Iterator[pa.RecordBatch]:
        with db:
            yield from reader

    return arriving(reader.schema, batches(), duckdb.Error)


def _asked(db: duckdb.DuckDBPyConnection, text: str) -> pa.RecordBatchReader:
    db.execute("SET TimeZone = 'UTC'")
    found = db.sql(text)
    if found is None:
        raise BadSettings("the query gives no rows: it has to be a SELECT")
    check_duckdb(found.columns, found.types)
    return found.to_arrow_reader(BATCH)


def _words(error: duckdb.Error) -> str:
    """Tell a failure of DuckDB in a line, and in its own words only where they cannot quote a cell."""
    known = isinstance(error, _NAMED)
    return next(iter(str(error).splitlines()), "") if known else type(error).__name__


def _dlt(text: str, database: Any) -> Incoming:
    import dlt
    from dlt.common.configuration.exceptions import ConfigFieldMissingException
    from dlt.common.exceptions import DltException
    from dlt.destinations.exceptions import DatabaseException
    from sqlglot.errors import SqlglotError

    try:
        if hasattr(database, "dataset"):
            dataset = database.dataset()
        else:
            dataset = dlt.dataset(dlt_destination(str(database)), "public")
        if dataset.destination_client.config.destination_type == POSTGRES:
            from cargo_source.push.postgres import postgres_query

            return postgres_query(text, dataset.sql_client)
        return dlt_relation(dataset(text, _execute_raw_query=True))
    except (SqlglotError, ValueError) as error:
        # dlt takes one SELECT, and its own words quote it.
        raise BadSettings(f"the query failed: it has to be a SELECT ({type(error).__name__})") from None
    except DatabaseException as error:
        cause = error.dbapi_exception
        told = _words(cause) if isinstance(cause, duckdb.Error) else type(error).__name__
        raise BadSettings(f"the query failed: {told}") from None
    except ConfigFieldMissingException:
        raise BadSettings(
            "database: its URL has to name a user, a password, a host and a database:"
            " postgresql://user:password@host:5432/database"
        ) from None
    except DltException as error:
        raise BadSettings(f"database: it cannot be asked ({type(error).__name__})") from None
    except Exception as error:
        if not is_unreached(error):
            raise
        raise BadSettings(
            f"database: it cannot be reached ({type(error).__name__}): is it up, and are user, password and database"
            " of its URL right?"
        ) from None


def is_unreached(error: BaseException) -> bool:
    """Say whether a database does not answer. Drivers have errors of their own, whose names they share.

    Their words may hold the URL.
    """
    return type(error).__name__ in _UNREACHED


def dlt_destination(url: str) -> Any:
    """Give dlt's destination for the URL of a database. Raises BadSettings where there is none, or no driver."""
    from dlt.common.destination import Destination
    from dlt.common.destination.exceptions import UnknownDestinationModule
    from dlt.common.exceptions import MissingDependencyException

    kind = url.partition("://")[0].partition("+")[0] if "://" in url else ""
    if not kind:
        raise BadSettings("database: give a dlt pipeline, a DuckDB file, or a URL such as postgresql://...")
    name = {"postgresql": "postgres"}.get(kind, kind)
    try:
        made: Any = Destination.from_reference(name, credentials=url)
        made.client_class  # noqa: B018 - asked for here, so that a driver that lacks is told as what it is
    except UnknownDestinationModule:
        raise BadSettings(f"database: dlt knows no {kind!r}; give a URL such as postgresql://...") from None
    except (MissingDependencyException, ImportError):
        raise BadSettings(f"database: dlt needs a driver: pip install 'dlt[{name}]'") from None
    return made


def dlt_relation(relation: Any) -> Incoming:
    """Open a relation of a dlt dataset."""
    from dlt.common.exceptions import DltException

    tables = relation.iter_arrow(chunk_size=BATCH)
    first = next(tables, None)
    if first is None:
        # Without rows there are no parts, but the whole still has columns.
        with warnings.catch_warnings():
            # dlt calls DuckDB by a name that it deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            first = relation.arrow()
    if first is None:
        raise BadSettings("the query gives no rows, and so no columns: there is nothing to push")
    batches = (batch for table in itertools.chain([first], tables) for batch in table.to_batches(BATCH))
    return arriving(first.schema, batches, DltException, duckdb.Error)
