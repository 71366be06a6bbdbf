"""One page of HTML for people who do not write SQL: how syncs went, what was spent, who moved, what failed.

It holds all that it shows: no script, no request, no font from elsewhere. Names of agents, plays and segments are on
it, and reasons of failures; no row of a model, and no token.

>>> write_report("report.html", database="warehouse.duckdb")  # doctest: +SKIP
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from dlt.pipeline.pipeline import Pipeline

from cargo_source import __version__
from cargo_source.errors import BadSettings
from cargo_source.report.asking import DuckDbPlace, PipelinePlace, Place
from cargo_source.report.charts import credits_chart, flow_chart
from cargo_source.report.figures import DAYS, Figures, figures

__all__ = ["Figures", "write_report"]

LEDGER_SCHEMA = "cargo"


def write_report(
    path: str | Path,
    *,
    database: str | Path | None = None,
    dataset: str = "cargo",
    pipeline: Pipeline | None = None,
    ledger: str | Path | None = None,
) -> Figures:
    """Write the page to ``path`` and give its figures.

    They come from the schema ``dataset`` of a DuckDB file, or from the dataset of a ``pipeline``; ``ledger`` is the
    DuckDB file or the URL of the database in which pushes are remembered, if there are any. Raises BadSettings where
    one of them cannot be opened, or the page cannot be written.
    """
    with ExitStack() as stack:
        place = stack.enter_context(_place(database, dataset, pipeline))
        pushes: Place | None = None
        if "://" in str(ledger):
            pushes = stack.enter_context(PipelinePlace.at(str(ledger), LEDGER_SCHEMA))
        elif ledger is not None and Path(ledger).exists():
            pushes = stack.enter_context(DuckDbPlace.opened(Path(ledger), LEDGER_SCHEMA))
        elif pipeline is not None:
            # A push whose ledger is a pipeline writes beside the tables.
            pushes = place
        found = figures(place, pushes)
    text = page(found)
    target, fresh = Path(path), Path(f"{path}.{os.getpid()}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(target)
    except OSError as error:
        raise BadSettings(f"{path} cannot be written: {error.strerror}") from None
    finally:
        fresh.unlink(missing_ok=True)
    return found


@contextmanager
def _place(database: str | Path | None, dataset: str, pipeline: Pipeline | None) -> Iterator[Place]:
    if (database is None) == (pipeline is None):
        raise BadSettings("report: take one of database and pipeline")
    if pipeline is not None:
        with PipelinePlace.opened(pipeline) as place:
            yield place
        return
    file = Path(str(database))
    if not file.exists():
        raise BadSettings(f"--database {file}: there is no such file; sync first")
    with DuckDbPlace.opened(file, dataset) as found:
        yield found


def page(found: Figures) -> str:
    """Write the page of some figures."""
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise BadSettings("a page needs jinja2: pip install 'cargo-source[report]'") from None

    charts = {
        "credits": partial(credits_chart, found.credits.get("days", [])),
        "segments": partial(flow_chart, found.segments.get("days", [])),
    }

    def chart(name: str) -> Markup:
        both = (f'<div class="{theme}">{charts[name](theme)}</div>' for theme in ("light", "dark"))
        return Markup("".join(both))  # noqa: S704 - Vega has escaped what is in it

    def lacking(part: str) -> Markup:
        tables = ", ".join(found.lacking.get(part, []))
        text = f"Nothing yet: {tables} were never loaded." if tables else "Nothing yet."
        return Markup('<p class="soft">{}</p>').format(text)

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= FILTERS
    template = environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(f=found, days=DAYS, version=__version__, chart=chart, lacking=lacking, share=_share)


def _share(value: float, rows: list[dict[str, Any]], name: str) -> float:
    largest = max(float(row[name]) for row in rows)
    return round(100 * float(value) / largest, 1) if largest else 0.0


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


def _moment(value: datetime | None) -> str:
    return "never" if value is None else f"{value.astimezone(UTC):%-d %B %Y, %H:%M} UTC"


def _day(value: date) -> str:
    return f"{value:%-d %B %Y}"


FILTERS = {"number": _number, "decimal": _decimal, "moment": _moment, "day": _day}
