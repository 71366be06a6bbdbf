"""What the destination holds already, asked in SQL: which tables there are, and which rows are still open.

State holds cursors only, so what has to be followed to its end is found here, in the rows themselves.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol


class Destination(Protocol):
    """The little that is asked of a destination."""

    def has(self, table: str) -> bool:
        """Say whether the table exists."""
        ...

    def has_load(self, load_id: str) -> bool:
        """Say whether it holds what a load brought."""
        ...

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        """Give these columns of the rows where ``where`` holds; column names in it are plain."""
        ...


class Nothing:
    """A destination that cannot be asked, as when the source is iterated without a pipeline."""

    def has(self, table: str) -> bool:  # noqa: ARG002 - the protocol's shape
        """Hold no table."""
        return False

    def has_load(self, load_id: str) -> bool:  # noqa: ARG002 - as above
        """Hold no load."""
        return False

    def select(self, table: str, columns: Sequence[str], where: str) -> list[tuple[Any, ...]]:  # noqa: ARG002 - as above
        """Hold no row."""
        return []


def quoted(values: Iterable[str]) -> str:
    """Write strings as a list of SQL literals."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
