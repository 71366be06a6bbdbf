"""ClickHouse's dialect in DuckDB's: what sqlglot leaves as it is, or would give another meaning."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlglot import exp

_CLOCKS = {
    "now": ("TIMESTAMP_S", 0),
    "now64": ("TIMESTAMP_S", 0),
    "currenttimestamp": ("TIMESTAMP_S", 0),
    "today": ("DATE", 0),
    "currentdate": ("DATE", 0),
    "yesterday": ("DATE", 1),
}
"""What asks for the time gets the sandbox's own: as which type, and how many days ago."""
_DATES = frozenset({"WEEK", "MONTH", "QUARTER", "YEAR"})
_STRICT: dict[type[exp.Expr], type[exp.Expr]] = {exp.GT: exp.GT, exp.GTE: exp.GT, exp.LT: exp.LT, exp.LTE: exp.LT}


def in_duckdb(tree: exp.Query, now: datetime) -> str:
    """Give the DuckDB SQL of a query."""
    tree = tree.copy()
    _name_columns(tree)
    _set_clocks(tree, now)
    _type_truncations(tree)
    for distinct in list(tree.find_all(exp.ApproxDistinct)):
        distinct.replace(exp.Count(this=exp.Distinct(expressions=[distinct.this.copy()])))
    for comparison in list(tree.find_all(*_STRICT)):
        if isinstance(comparison.this, exp.Tuple) and isinstance(comparison.expression, exp.Tuple):
            comparison.replace(_one_by_one(comparison))
    for final in list(tree.find_all(exp.Final)):
        final.replace(final.this.copy())
    for query in tree.find_all(exp.Query):
        query.set("format", None)
    return tree.sql(dialect="duckdb", identify=True)


def _name_columns(tree: exp.Query) -> None:
    """Name what has no name by its own text, as ClickHouse does."""
    for each in tree.expressions if isinstance(tree, exp.Select) else ():
        if not isinstance(each, exp.Alias | exp.Column) and not each.is_star:
            each.replace(exp.alias_(each.copy(), each.sql("clickhouse"), quoted=True))


def _set_clocks(tree: exp.Query, now: datetime) -> None:
    for node in list(tree.find_all(exp.Func)):
        kind, days = _CLOCKS.get(name_of(node), ("", 0))
        if kind:
            moment = now - timedelta(days=days)
            node.replace(_cast(exp.Literal.string(moment.strftime("%Y-%m-%d %H:%M:%S")), kind))


def _type_truncations(tree: exp.Query) -> None:
    """Give the start of an hour as a time without milliseconds, and that of a month as a date."""
    for trunc in list(tree.find_all(exp.TimestampTrunc, exp.DateTrunc)):
        unit = trunc.text("unit").upper()
        trunc.replace(_cast(trunc.copy(), "DATE" if unit in _DATES else "TIMESTAMP_S"))


def _one_by_one(comparison: exp.Expr) -> exp.Expr:
    """Compare tuples cell by cell, so that each literal takes the type of its column."""
    pairs = list(zip(comparison.this.expressions, comparison.expression.expressions, strict=False))
    kind = type(comparison)
    ways = []
    for place, (left, right) in enumerate(pairs):
        same = [exp.EQ(this=a.copy(), expression=b.copy()) for a, b in pairs[:place]]
        strict = kind if place == len(pairs) - 1 else _STRICT[kind]
        ways.append(exp.and_(*same, strict(this=left.copy(), expression=right.copy())))
    return exp.paren(exp.or_(*ways))


def _cast(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(kind, dialect="duckdb"))


def name_of(function: exp.Func) -> str:
    """Give the name of a function in lower case, without underscores."""
    name = function.name if isinstance(function, exp.Anonymous) else function.sql_name()
    return name.lower().replace("_", "")
