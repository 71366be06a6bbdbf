"""Columns of entity tables, and the short notation in which the catalogue writes them.

One line a column: the API's field, its type, and what it means::

    uuid           text!   the run
    workflowUuid   text    -> workflows.uuid  the workflow that ran
    recordTitle    text~   title of the record
    kind           text{native|connector}  who fills it

``!`` marks a column that is never null, ``~`` one that holds personal data. ``-> table.column`` is a reference, and
``{a|b}`` are the values that the API is known to send: another one lands as well, and is reported.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

Type = Literal["text", "integer", "decimal", "number", "boolean", "timestamp", "json"]

_LINE = re.compile(
    r"^(?P<field>\w+)\s+(?P<type>[a-z]+)(?:\{(?P<values>[\w.|-]+)\})?(?P<mark>[!~]?)\s+"
    r"(?:->\s*(?P<table>\w+)\.(?P<column>\w+)\s+)?(?P<text>\S.*)$"
)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Column:
    """One column: its name in the table, the API's field behind it, and its type.

    ``references`` is the table and column that it points to. ``personal`` columns land only when asked for.
    ``values`` are those that the API is known to send (empty: any). ``pii`` is what becomes of personal values.
    """

    name: str
    field: str
    type: Type
    description: str
    required: bool = False
    personal: bool = False
    references: tuple[str, str] | None = None
    values: tuple[str, ...] = ()
    pii: Literal["", "hash", "null"] = ""


def snake_case(field: str) -> str:
    """Turn the API's camelCase into the snake_case of tables: ``lastEmittedAt`` to ``last_emitted_at``."""
    return _HUMP.sub("_", field).lower()


def columns(text: str) -> tuple[Column, ...]:
    """Read columns from the notation that this module describes; a line that does not fit raises ValueError."""
    return tuple(_column(line.strip()) for line in text.splitlines() if line.strip())


def _column(line: str) -> Column:
    match = _LINE.match(line)
    kind = next((known for known in get_args(Type) if match and known == match["type"]), None)
    if match is None or kind is None:
        raise ValueError(f"not a column of the catalogue: {line!r}")
    return Column(
        name=snake_case(match["field"]),
        field=match["field"],
        type=kind,
        description=match["text"],
        required=match["mark"] == "!",
        personal=match["mark"] == "~",
        references=(match["table"], match["column"]) if match["table"] else None,
        values=tuple(match["values"].split("|")) if match["values"] else (),
    )
