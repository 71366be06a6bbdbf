"""What the destination holds already, asked in SQL: which tables there are, which rows, which of them are still open.

State holds cursors only, so what has to be followed to its end, and what is gone, is found in the rows themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from dlt.common.schema.typing import TFileFormat

from cargo_source.catalog.columns import Type
from cargo_source.pull import sql
from cargo_source.pull.typed import ARROW


class Destination(Protocol):
    """The little that is asked of a destination."""

    @property
    def readable(self) -> bool:
        """Say whether rows can be asked for at all."""
        ...

    @property
    def written_as(self) -> TFileFormat | None:
        """Say in which form rows have to be handed over; None leaves it to dlt."""
        ...

    @property
    def holds_nul(self) -> bool:
        """Say whether its texts may have the character NUL."""
        ...

    def has(self, table: str) -> bool:
        """Say whether the table exists."""
        ...

    def lacks(self, table: str) -> bool:
        """Say whether there surely is no such table."""
        ...

    def has_load(self, load_id: str) -> bool:
        """Say whether it holds what a load brought."""
        ...

    def types(self, table: str) -> dict[str, Type]:
        """Give the columns that a table has there; none where there is no such table."""
        ...

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        """Give these columns of the rows where ``where`` holds; column names in it are plain."""
        ...

    def counts(self, where: Mapping[str, str]) -> dict[str, int]:
        """Count the rows of tables, each under its own condition."""
        ...

    def copy(self, table: str, columns: Mapping[str, Type], where: str, path: Path, key: str = "") -> int:
        """Write these columns of the rows where ``where`` holds into a parquet file, and give how many there are.

        Rows never lie in memory all together, whatever their number, where ``key`` names a column that tells them
        apart by itself.
        """
        ...


class Nothing:
    """A destination that cannot be asked, as when the source is iterated without a pipeline."""

    readable = False
    written_as = None
    holds_nul = True

    def has(self, table: str) -> bool:  # noqa: ARG002 - the protocol's shape
        """Hold no table."""
        return False

    def lacks(self, table: str) -> bool:  # noqa: ARG002 - as above
        """Be sure of nothing."""
        return False

    def has_load(self, load_id: str) -> bool:  # noqa: ARG002 - as above
        """Hold no load."""
        return False

    def types(self, table: str) -> dict[str, Type]:  # noqa: ARG002 - as above
        """Hold no column."""
        return {}

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:  # noqa: ARG002 - as above
        """Hold no row."""
        return []

    def counts(self, where: Mapping[str, str]) -> dict[str, int]:
        """Hold no row."""
        return dict.fromkeys(where, 0)

    def copy(self, table: str, columns: Mapping[str, Type], where: str, path: Path, key: str = "") -> int:  # noqa: ARG002 - as above
        """Write a file without rows."""
        pq.write_table(schema_of(columns).empty_table(), path)
        return 0


def schema_of(columns: Mapping[str, Type]) -> pa.Schema:
    """Give the Arrow schema of columns that were read back."""
    return pa.schema([pa.field(name, ARROW[kind]) for name, kind in columns.items()])


def quoted(values: Iterable[str]) -> str:
    """Write strings as a list of SQL literals."""
    return ", ".join(map(sql.text, values))
