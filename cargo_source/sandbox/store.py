"""What operations read: the world, with what is kept ready for quick answers."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from cargo_source.sandbox.clickhouse import ClickHouse
from cargo_source.sandbox.exports import Exports
from cargo_source.sandbox.listings import Lists
from cargo_source.sandbox.rows import RecordPages
from cargo_source.sandbox.runtime_tables import RuntimeTables

if TYPE_CHECKING:
    from cargo_source.sandbox.runtime_tables import Columns
    from cargo_source.sandbox.world import World


class Store:
    """The world, its lists, its encoded rows, its runtime tables and its export files.

    `lock` lets one thread in at a time.
    """

    def __init__(self, world: World, *, sql_columns: Columns = "confirmed", sql_lag: float = 0) -> None:
        self.lock = RLock()
        self.world = world
        self.lists = Lists(world)
        self.pages = RecordPages(world)
        self.runtime = ClickHouse(RuntimeTables(world, sql_columns, sql_lag))
        self.exports = Exports(world.seed)
        self.origin = "http://127.0.0.1"

    def close(self) -> None:
        """Remove export files from disk."""
        self.exports.close()
