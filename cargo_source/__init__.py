"""A connector between Cargo (getcargo.io, the go-to-market platform) and your warehouse, built on dlt.

>>> import dlt
>>> from cargo_source import cargo
>>> dlt.pipeline("warehouse", destination="duckdb", dataset_name="cargo").run(cargo())  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cargo_source.analysis import ask, warehouse
    from cargo_source.dlt_destination import cargo_destination
    from cargo_source.pull.backfill import BackfillReport, backfill
    from cargo_source.pull.destination import group_pipeline
    from cargo_source.pull.source import cargo
    from cargo_source.pull.sync import SyncReport, sync
    from cargo_source.pull.windows import window_of_run
    from cargo_source.push.brakes import Limits
    from cargo_source.push.plan import Plan
    from cargo_source.push.report import PushReport
    from cargo_source.report import write_report
    from cargo_source.views import install_views
    from cargo_source.workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "BackfillReport",
    "Limits",
    "Plan",
    "PushReport",
    "SyncReport",
    "Workspace",
    "__version__",
    "ask",
    "backfill",
    "cargo",
    "cargo_destination",
    "group_pipeline",
    "install_views",
    "sync",
    "warehouse",
    "window_of_run",
    "write_report",
]

_HOMES = {
    "ask": "cargo_source.analysis",
    "backfill": "cargo_source.pull.backfill",
    "BackfillReport": "cargo_source.pull.backfill",
    "cargo": "cargo_source.pull.source",
    "cargo_destination": "cargo_source.dlt_destination",
    "group_pipeline": "cargo_source.pull.destination",
    "install_views": "cargo_source.views",
    "Limits": "cargo_source.push.brakes",
    "Plan": "cargo_source.push.plan",
    "PushReport": "cargo_source.push.report",
    "sync": "cargo_source.pull.sync",
    "SyncReport": "cargo_source.pull.sync",
    "warehouse": "cargo_source.analysis",
    "window_of_run": "cargo_source.pull.windows",
    "Workspace": "cargo_source.workspace",
    "write_report": "cargo_source.report",
}


def __getattr__(name: str) -> Any:
    # dlt takes more than a second to import: only those who use it pay for it.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
