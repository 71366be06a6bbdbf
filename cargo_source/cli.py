"""The command line: ``cargo-source check | discover | sync | preview | views | report | push | rejects | ...``.

Results go to standard output, progress and errors to standard error. Exits: 0 done, 2 settings or usage, 3 stopped
because a read could not be shown to be complete, 1 anything else.
"""

import io
import os
import signal
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cargo_source.command import (
    DEFAULT_STATE_DIR,
    EXIT_INCOMPLETE,
    EXIT_OF_CTRL_C,
    Json,
    die,
    die_of,
    errors_told,
    interrupted,
    names_of,
    pairs_of,
    print_json,
)
from cargo_source.errors import BadSettings
from cargo_source.logs import LogFormat
from cargo_source.push_commands import push, rejects
from cargo_source.table_commands import (
    DEFAULT_DATABASE,
    Database,
    Dataset,
    Destination,
    StateDir,
    pipeline_of,
    report,
    views,
)

app = typer.Typer(
    name="cargo-source",
    help="Load a Cargo workspace (getcargo.io) into your warehouse. The token comes from CARGO_API_TOKEN.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

QUIET_DLT = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
"""No telemetry unless it was asked for, and errors told by us. dlt reads these when it is imported, and never again."""


def main() -> None:
    """Run the command line and exit as its contract says."""
    for name, value in QUIET_DLT.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show is no reason to stop.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, interrupted)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)
    try:
        app()
    except KeyboardInterrupt as stopped:
        die_of(stopped)
    except SystemExit as end:
        # So the library for command lines tells of an interruption that comes before a command has begun.
        if end.code != EXIT_OF_CTRL_C:
            raise
        cause: BaseException | None = end
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__context__
        die_of(cause or KeyboardInterrupt())


def _columns(texts: list[str] | None) -> dict[str, list[str]]:
    """Read the columns to keep, by table. Raises BadSettings where a table or its columns are not named."""
    found = {table: names_of(names) or [] for table, names in pairs_of(texts, "--columns")}
    for table, names in found.items():
        if not table or not names:
            raise BadSettings(
                "--columns: write it as table=column,column; to leave a table out, see --only and --models"
            )
    return found


@app.command()
def check(
    *,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Also look at what the API's documentation leaves open, and write all of it to this file as Markdown,"
            " without secrets, names or data, for a bug report.",
            dir_okay=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the token: whose workspace it opens, which entities it may read, how quickly the API answers."""
    from cargo_source import explore, render
    from cargo_source.pull.connection import find_settings

    with errors_told(as_json=as_json):
        found = explore.check(find_settings(), assumptions=report is not None)
        if report is not None:
            try:
                report.write_text(render.report_text(found))
            except OSError as error:
                raise BadSettings(f"--report {report}: {error.strerror}") from None
        if as_json:
            print_json(found.as_json())
        else:
            render.check(found)


@app.command()
def discover(*, as_json: Json = False) -> None:
    """List the entities and the models of the workspace: tables, columns, rows, cursor and lane."""
    from cargo_source import explore, render
    from cargo_source.pull.connection import find_settings

    with errors_told(as_json=as_json):
        found = explore.discover(find_settings())
        if as_json:
            print_json(found.as_json())
        else:
            render.discovery(found)


@app.command()
def preview(
    model: Annotated[str, typer.Argument(help="The model: its slug, or dataset.slug where two datasets share it.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many rows.")] = 10,
    as_json: Json = False,
) -> None:
    """Show the first rows of a model, as a sync would land them."""
    from cargo_source import explore, render
    from cargo_source.pull.connection import find_settings

    with errors_told(as_json=as_json):
        found = explore.preview(find_settings(), model, limit)
        if as_json:
            print_json(found.as_json())
        else:
            render.preview(found)


@app.command()
def sync(  # noqa: PLR0913 - each is a switch of the command
    *,
    destination: Destination = "duckdb",
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = "cargo",
    state_dir: StateDir = DEFAULT_STATE_DIR,
    only: Annotated[str | None, typer.Option(help="Entity tables, separated by commas; without model rows.")] = None,
    models: Annotated[str | None, typer.Option(help="Models whose rows to load, separated by commas.")] = None,
    include_personal: Annotated[
        bool, typer.Option("--include-personal", help="Land message parts, record titles, memories and query texts.")
    ] = False,
    columns: Annotated[
        list[str] | None, typer.Option(help="Columns to keep of a table, as agents=uuid,name; may be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Columns to leave out, as default__contacts.phone, *.notes or email; may be repeated."),
    ] = None,
    pii: Annotated[
        list[str] | None,
        typer.Option(help="Columns to hash or to empty, as email=hash or *.phone=null; may be repeated."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Where the first sync starts: 2026-03-01 or 2026-03-01T09:00:00+01:00.")
    ] = None,
    lane: Annotated[
        str | None, typer.Option(help="How rows of models come: export, csv or pages (default: the best there is).")
    ] = None,
    window_from: Annotated[
        str | None,
        typer.Option(
            "--from", help="Load the time from here on, whatever was loaded before; later syncs go on where they were."
        ),
    ] = None,
    window_to: Annotated[
        str | None, typer.Option("--to", help="Where that time ends, itself not included (default: now).")
    ] = None,
    step: Annotated[
        str | None, typer.Option(help="Load that time in windows of 30m, 6h, 1d or 1w, one after another.")
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=16, help="How many of these windows to read at once.")] = 1,
    deletes: Annotated[
        str, typer.Option(help="What becomes of rows that are gone in Cargo: soft (marked), hard (removed) or ignore.")
    ] = "soft",
    full_refresh_every: Annotated[
        float, typer.Option(metavar="DAYS", help="Days after which rows of a model are read whole again.")
    ] = 7,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Believe that a table that had many rows has none.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where an entity would be skipped.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Load what is complete where something else fails; exits with 3 then.")
    ] = False,
    publish: Annotated[
        bool,
        typer.Option("--publish", help="Work on a copy of the database and rename it at the end: readers never wait."),
    ] = False,
    views: Annotated[
        bool, typer.Option("--views", help="Make the ready-made views over these tables, as `cargo-source views` does.")
    ] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop reading after so many minutes, with exit 3; the next sync goes on from there."),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="How to log on standard error: text, or one JSON object a line.")
    ] = LogFormat.text,
    as_json: Json = False,
) -> None:
    """Load the workspace, or what is new in it since the last time.

    The first sync loads everything, each later one what moved: run it as often as you like. --only names entity
    tables, and rows of models then load for --models alone; with --models and no --only, every entity loads.

    --from and --to load a stretch of the past once more, or before anything else: loading it twice changes nothing,
    and the next sync without them goes on where the last one ended. With --step it comes in windows; one that fails
    stops the command, which then says where to go on.

    Examples: cargo-source sync; cargo-source sync --only agents,agent_runs; cargo-source sync --models companies;
    cargo-source sync --from 2026-03-01 --to 2026-03-08 --step 1d --parallel 4.
    """
    from cargo_source import render
    from cargo_source.pull.backfill import BackfillReport, backfill
    from cargo_source.pull.connection import find_settings
    from cargo_source.pull.source import cargo
    from cargo_source.pull.sync import SyncReport
    from cargo_source.pull.sync import sync as run_sync
    from cargo_source.pull.windows import step_of

    report = SyncReport("cargo", dataset) if window_from is None else BackfillReport("cargo", dataset)
    with errors_told(as_json=as_json, partial=report.as_json, form=log_format):
        in_duckdb = destination == "duckdb"
        # An empty text, as of a variable that is not set, is no wish for a usual sync.
        alone = window_from is None and (window_to is not None or step is not None)
        if alone or (step is None and parallel > 1):
            raise BadSettings("--to and --step belong to --from, and --parallel to --step: name the time to load first")
        length = step_of(step) if step is not None else None
        find_settings()
        pipeline = pipeline_of(destination, database, dataset, state_dir)
        where = str(database) if in_duckdb else destination
        source = cargo(
            only=names_of(only),
            models=names_of(models),
            include_personal=include_personal,
            since=since,
            columns=_columns(columns),
            exclude=exclude or (),
            pii=dict(pairs_of(pii, "--pii")),  # type: ignore[arg-type] # the source says which treatments there are
            lane=lane,
            strict=strict,
            partial=partial,
            window=(window_from, window_to) if window_from is not None else None,
            deletes=deletes,  # type: ignore[arg-type] # as above
            full_refresh_every=full_refresh_every,
            allow_empty=allow_empty,
        )
        around: dict[str, Any] = {"publish": publish, "views": views, "max_minutes": max_minutes}
        with render.progress(log_format) as watch:
            if isinstance(report, BackfillReport):
                backfill(pipeline, source, step=length, parallel=parallel, watch=watch, report=report, **around)
            else:
                run_sync(pipeline, source, watch=watch, report=report, **around)
        if as_json:
            print_json({**report.as_json(), "database": where})
        elif isinstance(report, BackfillReport):
            render.backfill(report, where)
        else:
            render.report(report, where)
    if report.status in UNFINISHED:
        again = "the next sync" if window_from is None else "the same window, if it is loaded again"
        die(UNFINISHED[report.status].format(again=again), code=EXIT_INCOMPLETE, form=log_format)


UNFINISHED = {
    "failed": "what is marked failed was not loaded and stays as it was: it comes with {again}",
    "refreshing": "the workspace was still being written: what is marked refreshing comes again with {again}",
}
"""What is said where a sync ends with tables that are not as they should be."""


app.command()(views)
app.command()(report)
app.command()(push)
app.command()(rejects)


class SqlColumns(StrEnum):
    """Which columns the sandbox's runtime tables have."""

    confirmed = "confirmed"
    all = "all"


@app.command()
def sandbox(  # noqa: PLR0913 - each is a switch of the command
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same workspace.")] = 7,
    companies: Annotated[int, typer.Option(min=1, help="Companies in the workspace; the rest grows with them.")] = 500,
    start: Annotated[datetime | None, typer.Option(help="The time that it starts with (UTC).")] = None,
    rate_limit: Annotated[float | None, typer.Option(min=0.1, help="Requests per second, then 429.")] = None,
    faults: Annotated[Path | None, typer.Option(help="A JSON file of faults.", exists=True, dir_okay=False)] = None,
    sql_columns: Annotated[
        SqlColumns, typer.Option(help="Columns of orchestration/query: those confirmed, or all that are presumed.")
    ] = SqlColumns.confirmed,
    sql_lag: Annotated[float, typer.Option(min=0, help="Seconds until orchestration/query sees a row.")] = 0,
    as_json: Json = False,
) -> None:
    """Serve a made-up Cargo workspace on this machine until it is stopped.

    A faults file is a list such as [{"path": "orchestration/*", "kind": "429", "count": 5}].
    """
    from cargo_source import render
    from cargo_source.sandbox import serve

    def announce(where: dict[str, str]) -> None:
        if as_json:
            print_json(where)
        else:
            render.sandbox(where)

    try:
        serve(
            port=port,
            seed=seed,
            companies=companies,
            start=start.replace(tzinfo=UTC) if start else None,
            rate_limit=rate_limit,
            faults=faults,
            sql_columns=sql_columns.value,
            sql_lag=sql_lag,
            announce=announce,
        )
    except (OSError, ValueError) as error:
        die(f"the sandbox cannot start: {error}", code=BadSettings.exit_code)


@app.command()
def demo(
    *,
    companies: Annotated[int, typer.Option(min=20, help="Companies in the made-up workspace.")] = 500,
    database: Annotated[Path | None, typer.Option(help="Keep the DuckDB file here (default: a temporary one).")] = None,
) -> None:
    """Run the main job without an account: a sandbox, two syncs, questions in SQL, and an answer pushed back."""
    from cargo_source import demo as story

    with errors_told(as_json=False):
        story.run(companies=companies, database=database)


if __name__ == "__main__":
    main()
