"""Usage by day: counters that the API gives for one unit and one dimension at a time."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import product
from typing import Any

from cargo_source.catalog.entity import Entity, Metered
from cargo_source.errors import RequestRefused
from cargo_source.pull.digest import digest_of
from cargo_source.pull.pages import Row
from cargo_source.pull.session import Session
from cargo_source.pull.spool import Spooled
from cargo_source.pull.times import Span


def read_usage(
    session: Session, entity: Entity, how: Metered, span: Span, before: str | None
) -> tuple[Spooled, str | None]:
    """Read the days that may have news; nothing where the counters of all units together are as at ``before``.

    Gives what to remember for next time. See ``GET billing/usage/metrics``.
    """
    first, last = _days(session, how, span)
    # Whether the last day is inclusive is not documented.
    days = {how.after: first.isoformat(), how.before: (last + timedelta(days=1)).isoformat()}
    sheet = session.sheet(entity)
    digest = _digest(session, entity, days)
    if digest is None or digest != before:
        cuts = product(how.units, (None, *how.dimensions))

        def take(cut: tuple[str, str | None]) -> None:
            rows = _rows(session, entity, how, days, *cut)
            # The API may give a day more than a window from outside has.
            within = first.isoformat(), last.isoformat()
            sheet.add([row for row in rows if not span.bounded or within[0] <= row["date"][:10] <= within[1]])

        session.each(take, cuts)
    spooled = sheet.finish()
    session.told(entity.table, spooled.rows, spooled.rows)
    return spooled, digest


def _days(session: Session, how: Metered, span: Span) -> tuple[date, date]:
    """Give the first and the last day to read: of a window from outside, every day that it touches."""
    if span.bounded and span.start is not None:
        return span.start.date(), (span.end - timedelta(microseconds=1)).date()
    return (span.start or session.since).date() - timedelta(days=how.reread_days), session.now.date()


def _digest(session: Session, entity: Entity, days: dict[str, str]) -> str | None:
    """Give a digest of the counters of all units in one answer; None where the API wants a unit named."""
    try:
        pages = list(session.lists.rows(entity, entity.listed_by, days))
    except RequestRefused:
        return None
    counters = sorted((day["date"], str(item)) for page in pages for day in page for item in day["items"])
    return digest_of([days, counters])


def _rows(
    session: Session, entity: Entity, how: Metered, days: dict[str, str], unit: str, dimension: str | None
) -> Iterator[Row]:
    asked: dict[str, Any] = {**days, how.unit: unit, how.dimension: dimension}
    try:
        pages = list(session.lists.rows(entity, entity.listed_by, asked))
    except RequestRefused:
        if unit not in how.older:
            raise
        pages = list(session.lists.rows(entity, entity.listed_by, {**asked, how.unit: how.older[unit]}))
    for page in pages:
        for day in page:
            for item in day["items"]:
                yield {
                    **item,
                    "date": day["date"],
                    "unit": unit,
                    "dimension": dimension or "none",
                    # Part of the key, so never null: what cannot be attributed, and what is not split, has no value.
                    "groupBy": item.get("groupBy") or "",
                }
