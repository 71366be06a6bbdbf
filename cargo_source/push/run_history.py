"""What the runs of a play's workflow tell: what one costs, and which records may not run again."""

from collections.abc import Iterable
from datetime import timedelta

from cargo_source.pull.pages import Row
from cargo_source.pull.query import CAP, REFUSALS, ask
from cargo_source.pull.session import Session
from cargo_source.pull.times import format_time

RECENT = timedelta(days=30)
LAST = 1000
"""Runs, the newest of the recent ones, that the average is made of."""
IDS_ASKED = 1000
"""Record ids in one query."""
_FINISHED = "status IN ('success', 'error', 'cancelled', 'skipped')"
_BARRING = {"once": "", "noConcurrency": " AND status IN ('idle', 'pending', 'running', 'cancelling')"}
"""The runs that bar a record from another one, by the rule of the play."""


RULES = frozenset({"always", *_BARRING})
"""Rules of when a record runs again."""


class HistoryRefused(Exception):
    """The runs of the past could not be asked for; the message says why."""


class RunHistory:
    """The runs of the past, by SQL; its newest minutes may be missing."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def credits(self, workflow: str) -> float | None:
        """Give what a recent finished run cost on average; None where there was none. Raises HistoryRefused."""
        since = format_time(self._session.now - RECENT).replace("T", " ").removesuffix("Z")
        runs = (
            f"SELECT credits_used_count FROM runs WHERE workflow_uuid = {_literal(workflow)}"
            f" AND {_FINISHED} AND created_at >= '{since}' ORDER BY created_at DESC LIMIT {LAST}"
        )
        found = self._ask(f"SELECT count(*) AS n, avg(credits_used_count) AS credits FROM ({runs})")[0]
        return float(found["credits"] or 0) if int(found["n"]) else None

    def barred(self, workflow: str, rule: str, chunks: Iterable[list[str]]) -> list[str]:
        """Give records, of those in ``chunks`` at least, that the rule bars. Raises HistoryRefused.

        Where few are barred they all come at once; otherwise they are asked for chunk by chunk.
        """
        where = f"workflow_uuid = {_literal(workflow)}{_BARRING[rule]}"
        count = int(self._ask(f"SELECT count(DISTINCT record_id) AS n FROM runs WHERE {where}")[0]["n"])
        if not count:
            return []
        if count < CAP:
            return self._records(where)
        found: list[str] = []
        for ids in chunks:
            found += self._records(f"{where} AND record_id IN ({', '.join(map(_literal, ids))})")
        return found

    def _records(self, where: str) -> list[str]:
        rows = self._ask(f"SELECT DISTINCT record_id FROM runs WHERE {where}")
        if len(rows) >= CAP:
            raise HistoryRefused("more records ran meanwhile than one answer holds")
        return [str(row["record_id"]) for row in rows if row["record_id"] is not None]

    def _ask(self, query: str) -> list[Row]:
        try:
            return ask(self._session, query)
        except REFUSALS as error:
            raise HistoryRefused(f"its runs cannot be asked for by SQL: {error.reason or error.status}") from error


def _literal(value: str) -> str:
    r"""Quote a text for ClickHouse, where a backslash escapes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
