"""What of a condition the warehouse may do itself, in its own dialect.

Only what is certain is handed over: comparisons of a column whose physical type is the one that it lands as, with
plain literals. What is handed over never drops a row that the condition keeps; where it keeps more, as a warehouse
that compares texts without their case does, the rest falls when the condition is evaluated here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cargo_source.catalog.columns import Column, Type
from cargo_source.pull.shapes import Shape, physical_columns

EXACT: frozenset[Type] = frozenset({"integer", "number", "boolean"})
"""Types that every warehouse compares alike. Texts have collations; decimals a scale; times a zone."""
LARGEST = 2**53
"""Literals up to it are the same number in every type."""


@dataclass(frozen=True)
class Physical:
    """A column of the warehouse: how its DDL spells it, and its type there."""

    spelled: str
    type: Type


@dataclass(frozen=True)
class Pushed:
    """SQL for the warehouse.

    ``exact`` says that it keeps the very rows that the condition keeps: only then may it be negated. ``whole`` says
    that nothing of the condition was left out.
    """

    sql: str
    exact: bool = True
    whole: bool = True


def physical(shape: Shape) -> dict[str, Physical]:
    """Give the columns of the warehouse by our fields, as its DDL spells them; none where it cannot be read."""
    if not shape.ddl or shape.dialect is None:
        return {}
    types = physical_columns(shape.ddl, shape.dialect)
    try:
        found = [column.this for column in sqlglot.parse_one(shape.ddl, read=shape.dialect).find_all(exp.ColumnDef)]
    except SqlglotError:
        return {}
    spelled = {name.name: Physical(name.sql(dialect=shape.dialect), types[name.name]) for name in found}
    columns = dict(spelled)
    for field in shape.fields - spelled.keys():
        alike = [name for name in spelled if name.casefold() == field.casefold() and name not in shape.fields]
        if len(alike) == 1:
            columns[field] = spelled[alike[0]]
    return columns


def pushed(where: exp.Expr, shape: Shape, columns: Mapping[str, Physical]) -> Pushed | None:
    """Give what the warehouse may do of ``where``; None: nothing."""
    sure = {c.name: (c, columns[c.field]) for c in shape.columns if c.field in columns and _is_sure(c, columns)}
    return _Writer(shape.dialect, sure).write(where)


def _is_sure(column: Column, columns: Mapping[str, Physical]) -> bool:
    return not column.pii and columns[column.field].type == column.type and column.type in EXACT | {"text"}


@dataclass(frozen=True)
class _Writer:
    dialect: str | None
    columns: Mapping[str, tuple[Column, Physical]]

    def write(self, node: exp.Expr) -> Pushed | None:
        if any(value for name, value in node.args.items() if name not in _READ):
            # Such as the NOT of NOT LIKE, which is a mark on the LIKE.
            return None
        match node:
            case exp.Paren():
                return self.write(node.this)
            case exp.And():
                return self.both(self.write(node.left), self.write(node.right))
            case exp.Or():
                left, right = self.write(node.left), self.write(node.right)
                return self.either(left, right)
            case exp.Not():
                inner = self.write(node.this)
                return Pushed(f"(NOT {inner.sql})") if inner and inner.exact else None
            case exp.Is() if isinstance(node.expression, exp.Null):
                found = self.column(node.this)
                return found and Pushed(f"({found[1].spelled} IS NULL)")
            case exp.Column():
                found = self.column(node)
                return Pushed(found[1].spelled) if found and found[0].type == "boolean" else None
        return self.test(node)

    def both(self, left: Pushed | None, right: Pushed | None) -> Pushed | None:
        if left and right:
            return Pushed(f"({left.sql} AND {right.sql})", left.exact and right.exact, left.whole and right.whole)
        kept = left or right
        return Pushed(kept.sql, exact=False, whole=False) if kept else None

    def either(self, left: Pushed | None, right: Pushed | None) -> Pushed | None:
        if left is None or right is None:
            return None
        return Pushed(f"({left.sql} OR {right.sql})", left.exact and right.exact, left.whole and right.whole)

    def test(self, node: exp.Expr) -> Pushed | None:
        """Write a comparison of one column with literals."""
        operands = _operands(node)
        found = self.column(operands[0]) if operands else None
        if found is None:
            return None
        column, there = found
        literals = [self.literal(each, column.type) for each in operands[1:]]
        if not literals or None in literals:
            return None
        if column.type == "text":
            return self.text(node, there.spelled, [each for each in literals if each])
        if column.type == "boolean" and not isinstance(node, exp.EQ):
            return None
        if isinstance(node, exp.Between):
            return Pushed(f"({there.spelled} BETWEEN {literals[0]} AND {literals[1]})")
        if isinstance(node, exp.In):
            return Pushed(f"({there.spelled} IN ({', '.join(each for each in literals if each)}))")
        return Pushed(f"({there.spelled} {_SIGN[type(node)]} {literals[0]})") if type(node) in _SIGN else None

    def text(self, node: exp.Expr, spelled: str, literals: list[str]) -> Pushed | None:
        """Write a test of a text, never to be negated: a warehouse may compare without case."""
        if isinstance(node, exp.EQ):
            return Pushed(f"({spelled} = {literals[0]})", exact=False)
        if isinstance(node, exp.In):
            return Pushed(f"({spelled} IN ({', '.join(literals)}))", exact=False)
        # Warehouses disagree on what a backslash in a pattern means.
        if isinstance(node, exp.Like) and "\\" not in node.expression.name:
            return Pushed(f"({spelled} LIKE {literals[0]})", exact=False)
        return None

    def column(self, node: exp.Expr) -> tuple[Column, Physical] | None:
        return self.columns.get(node.name) if isinstance(node, exp.Column) else None

    def literal(self, node: exp.Expr, kind: Type) -> str | None:
        if kind == "boolean":
            return node.sql() if isinstance(node, exp.Boolean) else None
        if kind == "text":
            # Escapes and control characters are written differently everywhere.
            plain = isinstance(node, exp.Literal) and node.is_string and node.name.isprintable()
            return f"'{node.name}'" if plain and not {"\\", "'"} & set(node.name) else None
        number = node.this if isinstance(node, exp.Neg) else node
        if not isinstance(number, exp.Literal) or number.is_string or abs(Decimal(number.name)) > LARGEST:
            return None
        return f"{'-' if number is not node else ''}{number.name}"


_READ = frozenset({"this", "expression", "expressions", "low", "high"})
"""Parts of expressions that are read here: one that has others means something else."""

_SIGN: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}


def _operands(node: exp.Expr) -> list[exp.Expr]:
    """Give the column of a test and what it is compared with."""
    if isinstance(node, exp.Between):
        return [node.this, node.args["low"], node.args["high"]]
    if isinstance(node, exp.In):
        return [node.this, *node.expressions]
    if isinstance(node, (*_SIGN, exp.Like)):
        return [node.this, node.expression]
    return []
