"""The push as a dlt destination: any dlt pipeline can load into a Cargo model.

A thin adapter: each parquet file of a load is one push, planned and applied by the same engine, so a load that is
retried repeats nothing that was done. Its limits are those of dlt's custom destinations: a file is all that it sees, so
``mirror`` is not for it; columns that are null in every row and of no declared type are not in the file; there is no
plan to look at, so brakes stop the load.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cargo_source.errors import BadSettings, CargoError, StalePlan, TryLater
from cargo_source.push.brakes import Limits
from cargo_source.push.compare import Mode
from cargo_source.push.ledger_places import ledger_in
from cargo_source.push.planning import Wish
from cargo_source.push.target import Columns
from cargo_source.settings import Secret
from cargo_source.workspace import DEFAULT_LEDGER, Workspace


def cargo_destination(  # noqa: PLR0913 - each is a wish of its own
    model: str,
    key: str,
    mode: Mode = "upsert",
    *,
    table: str | None = None,
    columns: Columns = None,
    nulls: str = "write",
    limits: Limits | None = None,
    allow_rejected: bool = False,
    ledger: Any = DEFAULT_LEDGER,
    ledger_keys: str = "hash",
    allow_connector_models: bool = False,
    try_dates: bool = False,
    token: str | Secret | None = None,
    url: str | None = None,
) -> Any:
    """Give a dlt destination that writes into a model: see :meth:`Workspace.push` for what can be wished.

    A pipeline that loads several tables names the one that is for the model as ``table``; any other is refused. Rows
    that Cargo or the plan refuses fail the load after the others have gone through, unless ``allow_rejected``; they are
    in the ledger with their reasons. Rate limits, networks and servers that fail, and a model that somebody else writes
    to meanwhile, are told to dlt as transient, so that it retries; all else is terminal. Raises BadSettings where what
    is wished cannot be.

    >>> dlt.pipeline("scores", destination=cargo_destination("companies", "domain"))  # doctest: +SKIP
    """
    if mode == "mirror":
        raise BadSettings(
            "mode: a destination sees a load file by file, so it cannot tell what is gone from the source"
        )
    import dlt
    from dlt.common.destination.exceptions import DestinationTerminalException, DestinationTransientException

    wish: dict[str, Any] = {
        "key": key,
        "mode": mode,
        "columns": columns,
        "nulls": nulls,
        "ledger_keys": ledger_keys,
        "allow_connector_models": allow_connector_models,
        "try_dates": try_dates,
    }
    Wish(**wish)
    ledger_in(ledger)
    # A file without rows is one of a table without news, and nothing can be gone by it.
    brakes = replace(limits or Limits(), allow_empty=True)
    hidden = Secret(token) if isinstance(token, str) else token
    del token

    @dlt.destination(
        name="cargo",
        loader_file_format="parquet",
        batch_size=0,
        naming_convention="direct",
        skip_dlt_columns_and_tables=True,
        loader_parallelism_strategy="sequential",
    )
    def cargo(items: Any, schema: Any, /) -> None:
        name = str(schema["name"])
        if table is not None and name != table:
            raise DestinationTerminalException(f"table {name!r} is not for {model}: it takes {table!r} alone")
        try:
            with Workspace(hidden, url) as ws:
                plan = ws.push(Path(items), model, limits=brakes, ledger=ledger, **wish)
                report = plan.apply()
        except (StalePlan, TryLater) as error:
            raise DestinationTransientException(str(error)) from error
        except CargoError as error:
            raise DestinationTerminalException(str(error)) from error
        if (report.rejected or report.unknown) and not allow_rejected:
            reasons = sorted({each.reason for each in report.rejects})[:5]
            raise DestinationTerminalException(
                f"{report.rejected:,} rows were rejected, {report.unknown:,} are unknown ({'; '.join(reasons)}): see"
                " _cargo_push_rows in the ledger"
            )

    return cargo
