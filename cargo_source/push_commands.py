"""The commands ``push`` and ``rejects``: a table into a model, and what of it was rejected."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cargo_source.command import (
    DEFAULT_STATE_DIR,
    EXIT_INCOMPLETE,
    Json,
    die,
    errors_told,
    names_of,
    print_json,
)
from cargo_source.errors import BadSettings
from cargo_source.logs import LogFormat

LEFT = "what was sent is written down in the ledger, and nothing else was sent"

Source = Annotated[
    str | None,
    typer.Argument(help="A parquet file, or a query in SQL on --database.", show_default=False),
]
Database = Annotated[
    str | None, typer.Option(help="Where to run the query: a DuckDB file, or a URL such as postgresql://...")
]
ModelName = Annotated[str | None, typer.Option(help="The model: its slug, or dataset.slug.", show_default=False)]
Key = Annotated[str | None, typer.Option(help="The column that rows are told apart by.", show_default=False)]
Columns = Annotated[
    list[str] | None,
    typer.Option(help="Columns to push, as domain,score or score=leadScore; may be repeated (default: all)."),
]
LedgerPlace = Annotated[str, typer.Option(help="What remembers every push: a DuckDB file, or the URL of a database.")]
LEDGER = str(DEFAULT_STATE_DIR / "pushes.duckdb")


def push(  # noqa: PLR0913 - each is a switch of the command
    source: Source = None,
    *,
    model: ModelName = None,
    key: Key = None,
    mode: Annotated[
        str,
        typer.Option(
            help="insert (new rows only), update (known ones only), upsert (both), mirror (both, and records that"
            " are this ledger's own and gone from the source are removed) or fill_empty (cells that are null)."
        ),
    ] = "upsert",
    columns: Columns = None,
    database: Database = None,
    nulls: Annotated[
        str, typer.Option(help="A null in the source is written (write), left out (skip) or refused (error).")
    ] = "write",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the plan, which is what happens anyway.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Apply the plan after it has been shown.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can be asked.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="Keep the plan in this file, with its values, to be applied later.", dir_okay=False),
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="Take a plan that was saved, in place of a source.")] = None,
    max_delete_pct: Annotated[float, typer.Option(min=0, help="Most rows to remove, in percent of the model.")] = 5,
    max_change_pct: Annotated[float, typer.Option(min=0, help="Most rows to update or remove, in percent.")] = 50,
    max_create_pct: Annotated[
        float | None, typer.Option(min=0, help="Most rows to create, in percent (default: any number).")
    ] = None,
    allow_empty: Annotated[bool, typer.Option("--allow-empty", help="Take a source without rows for meant.")] = False,
    allow_no_known_key: Annotated[
        bool, typer.Option("--allow-no-known-key", help="Take a source of which no row is in the model for meant.")
    ] = False,
    allow_connector_models: Annotated[
        bool, typer.Option("--allow-connector-models", help="Write into a model that a connector fills, too.")
    ] = False,
    remove_untracked: Annotated[
        bool, typer.Option("--remove-untracked", help="Let a mirror remove records that are not this ledger's own.")
    ] = False,
    try_dates: Annotated[
        bool,
        typer.Option("--try-dates", help="Write dates to a native model, if one row shows that it keeps them."),
    ] = False,
    allow_rejected: Annotated[
        bool, typer.Option("--allow-rejected", help="Exit with 0 though rows were rejected.")
    ] = False,
    ledger: LedgerPlace = LEDGER,
    ledger_keys: Annotated[
        str, typer.Option(help="How the ledger remembers keys: by their digest (hash), or as they are (clear).")
    ] = "hash",
    log_format: Annotated[
        LogFormat, typer.Option(help="How to log on standard error: text, or one JSON object a line.")
    ] = LogFormat.text,
    as_json: Json = False,
) -> None:
    """Write a table into a model: as a plan that is shown, and applied only with --apply.

    The plan says what it would create, update and remove, which rows are refused and why, and which plays it would
    start. Nothing is sent before. Only cells that differ are sent, so the same command may run as often as you like.

    Examples: cargo-source push scores.parquet --model companies --key domain; cargo-source push "SELECT domain, score
    FROM cargo.scores" --database warehouse.duckdb --model companies --key domain --mode update --apply --yes.
    """
    from cargo_source import render
    from cargo_source.push.brakes import Limits
    from cargo_source.workspace import Workspace

    done: dict[str, Any] = {}
    with errors_told(as_json=as_json, partial=lambda: _known(done), form=log_format, left=LEFT):
        if dry_run and apply:
            raise BadSettings("--dry-run and --apply: take one of them")
        if apply and not yes and (as_json or not sys.stdin.isatty()):
            raise BadSettings("--apply: nobody can be asked here, so say --yes as well")
        limits = Limits(max_delete_pct, max_change_pct, max_create_pct, allow_empty, allow_no_known_key)
        with Workspace() as ws:
            with render.progress(log_format) as watch:
                if plan is not None:
                    if source is not None:
                        raise BadSettings("--plan: a plan that was saved has its rows already; leave the source out")
                    made = ws.load_plan(plan, ledger=ledger, limits=limits)
                else:
                    made = ws.push(
                        _given(source, "a parquet file, or a query with --database"),
                        _given(model, "--model"),
                        key=_given(key, "--key"),
                        mode=mode,  # type: ignore[arg-type] # it says itself which there are
                        columns=_mapping(columns),
                        database=database,
                        nulls=nulls,
                        ledger=ledger,
                        limits=limits,
                        watch=watch,
                        allow_connector_models=allow_connector_models,
                        remove_untracked=remove_untracked,
                        try_dates=try_dates,
                        ledger_keys=ledger_keys,
                    )
                done["plan"] = made
                if save is not None:
                    made.save(save)
            _shown_and_applied(done, log_format, apply=apply, yes=yes, as_json=as_json)
    _end(done, log_format, allow_rejected=allow_rejected)


def _shown_and_applied(done: dict[str, Any], form: LogFormat, *, apply: bool, yes: bool, as_json: bool) -> None:
    """Show the plan of ``done``, and apply it where that is wanted and nobody says no; its report goes there too."""
    from cargo_source import render
    from cargo_source.push import shown

    made = done["plan"]
    if not as_json:
        shown.plan(made)
    if apply and (yes or _agreed(made.counts.changes)):
        with render.progress(form) as watch:
            done["report"] = made.watched(watch).apply()
    if as_json:
        print_json(_known(done))
    elif "report" in done:
        shown.report(done["report"])


def _given(value: str | None, what: str) -> str:
    if not value:
        raise BadSettings(f"name what to push: {what} is missing; see cargo-source push --help")
    return value


def _mapping(texts: list[str] | None) -> dict[str, str] | None:
    """Read the columns to push: names, or name=slug."""
    names = [name for text in texts or () for name in names_of(text) or ()]
    if texts is None:
        return None
    pairs = [name.partition("=") for name in names]
    return {name.strip(): (slug.strip() if sign else name.strip()) for name, sign, slug in pairs}


def _agreed(changes: int) -> bool:
    return changes > 0 and typer.confirm("Apply it?", err=True)


def _known(done: dict[str, Any]) -> dict[str, Any]:
    """Give what is known of a push as plain data."""
    error = sys.exception()
    found = {"plan": done["plan"].as_json()} if "plan" in done else {}
    report = done.get("report") or getattr(error, "report", None)
    status = report.status if report else "planned"
    return {**found, **({"report": report.as_json()} if report else {}), "status": status}


def _end(done: dict[str, Any], form: LogFormat, *, allow_rejected: bool) -> None:
    report = done.get("report")
    if report is None or allow_rejected:
        return
    if report.lacking:
        die(
            f"not every row is as it should be: {report.lacking}; `cargo-source rejects` lists them, and the next push"
            " tries them again",
            code=EXIT_INCOMPLETE,
            form=form,
        )


def rejects(
    *,
    model: ModelName = None,
    ledger: LedgerPlace = LEDGER,
    retry: Annotated[
        str | None, typer.Option(help="Push the rejected rows again, out of this source, as they were pushed before.")
    ] = None,
    database: Database = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the rows are pushed again.")] = False,
    as_json: Json = False,
) -> None:
    """List the rows that were rejected when they were last pushed, with the reason of each.

    With --retry the source is read again, and only those rows of it are pushed, in the way in which they were pushed
    the last time.
    """
    from cargo_source import render
    from cargo_source.push import shown
    from cargo_source.push.ledger_places import ledger_in
    from cargo_source.workspace import Workspace

    done: dict[str, Any] = {}
    with errors_told(as_json=as_json, partial=lambda: _known(done), left=LEFT):
        if retry is None:
            found = ledger_in(ledger).rejects(model)
            if as_json:
                print_json({"rejects": found})
            else:
                shown.rejects(found)
            return
        if not yes and (as_json or not sys.stdin.isatty()):
            raise BadSettings("--retry: nobody can be asked here, so say --yes as well")
        with Workspace() as ws:
            with render.progress() as watch:
                done["plan"] = ws.retry(retry, model, database=database, ledger=ledger, watch=watch)
            _shown_and_applied(done, LogFormat.text, apply=True, yes=yes, as_json=as_json)
    _end(done, LogFormat.text, allow_rejected=False)
