"""Which columns and rows of a table somebody wants: checked before any row is asked for.

A condition is one SQL expression in DuckDB's words over the columns of one table. It is always evaluated here, over the
typed rows, so that it means the same whichever way they came; what of it the warehouse may do is in
:mod:`cargo_source.pull.pushing`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cargo_source.catalog.columns import Column
from cargo_source.errors import BadSettings, suggest
from cargo_source.pull.conform import SQL

_REFUSED = (
    exp.Query,
    exp.Subquery,
    exp.Exists,
    exp.Table,
    exp.AggFunc,
    exp.Window,
    exp.Star,
    exp.Alias,
    exp.PropertyEQ,
    exp.Placeholder,
    exp.Parameter,
    exp.Command,
    exp.DDL,
    exp.DML,
)


@dataclass(frozen=True)
class Pick:
    """What is wanted of a table: ``columns`` in this order (None: all), rows that meet ``where``, at most ``limit``.

    The columns in ``where`` are quoted and have the names of the destination.
    """

    columns: tuple[Column, ...] | None = None
    where: exp.Expr | None = None
    limit: int | None = None

    @property
    def tested(self) -> frozenset[str]:
        """The names of the columns that ``where`` reads."""
        return frozenset(column.name for column in self.where.find_all(exp.Column)) if self.where else frozenset()

    @property
    def condition(self) -> str | None:
        """``where`` as DuckDB takes it."""
        return self.where.sql(dialect="duckdb") if self.where else None


class Names:
    """What the columns of a table may be called: by their name in the destination, their slug, or their label."""

    def __init__(self, table: str, columns: Iterable[Column], also: Mapping[str, str] | None = None) -> None:
        """``also`` maps labels and bare slugs to the field of their column."""
        self.table, self.columns = table, tuple(columns)
        by_field = {column.field: column for column in self.columns}
        self._known: dict[str, Column] = {}
        called = {name: by_field[field] for name, field in (also or {}).items() if field in by_field}
        for names in ({column.name: column for column in self.columns}, by_field, called):
            for name, column in names.items():
                self._known.setdefault(name, column)

    def find(self, name: str) -> Column:
        """Give the column that is called ``name``. Raises BadSettings with a suggestion where there is none."""
        if found := self._known.get(name):
            return found
        alike = {c.name: c for known, c in self._known.items() if known.casefold() == name.casefold()}
        if len(alike) == 1:
            return next(iter(alike.values()))
        raise BadSettings(f"{self.table} has no column {name!r}{suggest(name, self._known)}")


def pick(
    names: Names, columns: str | Sequence[str] | None = None, where: str | None = None, limit: int | None = None
) -> Pick:
    """Check what is wanted of a table. Raises BadSettings that says what cannot be."""
    if limit is not None and limit < 0:
        raise BadSettings("limit: a number of rows, 0 or more")
    wanted = None
    if columns is not None:
        asked = [columns] if isinstance(columns, str) else list(columns)
        wanted = tuple({column.name: column for column in map(names.find, asked)}.values())
        if not wanted:
            raise BadSettings("columns: name at least one, or leave it out for all")
    return Pick(wanted, _condition(names, where) if where is not None else None, limit)


def _condition(names: Names, where: str) -> exp.Expr:
    try:
        found = sqlglot.parse(where, read="duckdb")
    except SqlglotError:
        raise BadSettings(f"where: this is no SQL condition: {where}") from None
    if len(found) != 1 or not isinstance(tree := found[0], exp.Expr):
        raise BadSettings("where: one SQL condition, such as \"employees > 50 and country = 'FR'\"")
    if tree.find(*_REFUSED):
        raise BadSettings(
            "where: a condition on the columns of a row alone, without subqueries, other tables, aggregates or"
            " parameters"
        )
    tree = tree.transform(lambda node: _resolved(names, node))
    for node in tree.walk():
        node.pop_comments()
    _try(names, tree)
    return tree


def _resolved(names: Names, node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.Column) or _is_bound(node):
        return node
    if node.args.get("table") is not None:
        raise BadSettings(f"where: {node.sql(dialect='duckdb')}: name columns without a table")
    return exp.column(exp.to_identifier(names.find(node.name).name, quoted=True))


def _is_bound(node: exp.Expr) -> bool:
    """Say whether a name is the parameter of a lambda around it."""
    above = node.find_ancestor(exp.Lambda)
    while above is not None:
        if node.name in {each.name for each in above.expressions}:
            return True
        above = above.find_ancestor(exp.Lambda)
    return False


def _try(names: Names, tree: exp.Expr) -> None:
    """Have DuckDB look at a condition over a row of nulls: it knows its functions and types."""
    cells = ", ".join(
        f"NULL::{SQL[column.type]} AS {exp.to_identifier(column.name, quoted=True).sql(dialect='duckdb')}"
        for column in names.columns
    )
    condition = tree.sql(dialect="duckdb")
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f"CREATE TEMP TABLE nulls AS SELECT {cells}")
        try:
            kind = db.execute(f"SELECT typeof({condition}) FROM nulls").fetchone()  # noqa: S608 - parsed and checked
            # Not as a filter, which stops at its first part that holds for no row.
            db.execute(f"SELECT ({condition}) FROM nulls").fetchall()  # noqa: S608 - as above
        except duckdb.Error as error:
            told = next(iter(str(error).splitlines()), "")
            raise BadSettings(f"where: {told}") from None
    if kind is None or kind[0] not in {"BOOLEAN", '"NULL"'}:
        raise BadSettings("where: this is a value and no condition: compare it with something")
