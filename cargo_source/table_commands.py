"""Commands on the tables of a sync: ready-made views over them, and a page that shows them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cargo_source.command import DEFAULT_STATE_DIR, Json, die, errors_told, print_json
from cargo_source.errors import BadSettings
from cargo_source.push_commands import LEDGER

DEFAULT_DATABASE = Path("warehouse.duckdb")
Destination = Annotated[
    str, typer.Option(help="Where the tables are: duckdb, postgres, or another of dlt's, with dlt's settings for it.")
]
Database = Annotated[Path, typer.Option(help="The DuckDB file.")]
Dataset = Annotated[str, typer.Option(help="The schema in that database.")]
StateDir = Annotated[Path, typer.Option(help="Where cursors and work in progress are kept.")]


def pipeline_of(destination: str, database: Path, dataset: str, state_dir: Path) -> Any:
    """Give the pipeline of the tables that a command is about. Raises BadSettings."""
    from cargo_source.pull.destination import dlt_pipeline, duckdb_pipeline

    if destination == "duckdb":
        return duckdb_pipeline(database, dataset, state_dir)
    if database != DEFAULT_DATABASE:
        raise BadSettings(f"--database is a DuckDB file, and --destination {destination} has settings of its own")
    return dlt_pipeline(destination, dataset, state_dir)


def views(
    *,
    destination: Destination = "duckdb",
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = "cargo",
    state_dir: StateDir = DEFAULT_STATE_DIR,
    as_json: Json = False,
) -> None:
    """Make ready-made SQL views over the tables of a sync: agents, plays, credits, segments, failures, health.

    They show what the last sync has loaded. One that needs a table which was never loaded is left out until it is.

    Example: cargo-source views, then SELECT * FROM cargo.agent_performance_daily in DuckDB.
    """
    from cargo_source import render
    from cargo_source.views import install_views

    with errors_told(as_json=as_json):
        if destination == "duckdb" and not database.exists():
            raise BadSettings(f"--database {database}: there is no such file; sync first")
        made = install_views(pipeline_of(destination, database, dataset, state_dir))
        if as_json:
            print_json({"views": made.as_json()})
        else:
            render.views(made)
        if made.refused:
            die("what is marked refused was not made", code=1)


def report(
    page: Annotated[Path, typer.Argument(help="The file to write, as report.html.")],
    *,
    destination: Destination = "duckdb",
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = "cargo",
    state_dir: StateDir = DEFAULT_STATE_DIR,
    ledger: Annotated[str, typer.Option(help="The DuckDB file, or the URL, where pushes are remembered.")] = LEDGER,
    as_json: Json = False,
) -> None:
    """Write one page of HTML that says how syncs went, what was spent, who moved, what failed and what was pushed.

    It holds all that it shows and asks for nothing over the network, so it can be mailed or put anywhere. Nothing is
    written to the database.

    Example: cargo-source sync, then cargo-source report report.html. Needs pip install 'cargo-source[report]'.
    """
    from cargo_source.report import write_report

    with errors_told(as_json=as_json):
        if destination == "duckdb":
            found = write_report(page, database=database, dataset=dataset, ledger=ledger)
        else:
            found = write_report(page, pipeline=pipeline_of(destination, database, dataset, state_dir), ledger=ledger)
        if as_json:
            print_json({"page": str(page), **found.as_json()})
        else:
            typer.echo(f"{page} is written.")
