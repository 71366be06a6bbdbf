"""What a sync did to each table, for the summary that people and scripts read."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cargo_source.api.stats import Counts
from cargo_source.errors import passes
from cargo_source.pull.evidence import Evidence, added, in_sum

Status = Literal["complete", "unproven", "refreshing", "skipped", "failed"]

WORST: tuple[Status, ...] = ("complete", "skipped", "unproven", "refreshing", "failed")
"""Statuses, the worst last."""

COUNTS = ("rows", "requests", "retries", "rate_limited", "bytes", "seconds")
"""What adds up over several loads of a table."""


@dataclass
class Outcome:
    """One table of one sync.

    ``evidence`` says what told that its rows are complete, ``expected`` how many were counted and ``got`` how many of
    those came. ``requests``, ``retries``, ``rate_limited`` (answers with 429) and ``bytes`` count what was asked of the
    API for it, ``seconds`` what that took. ``watermark`` is how far it has been read, in the server's time.

    ``complete`` was shown to be whole, ``unproven`` loaded without anything that shows it, ``refreshing`` while Cargo
    was still writing; ``skipped`` is what the token may not read, and ``failed`` was not loaded, for ``error`` if the
    failure was its own.
    """

    entity: str
    table: str
    rows: int = 0
    requests: int = 0
    lane: str = "list"
    status: Status = "complete"
    seconds: float = 0.0
    note: str = ""
    evidence: str = ""
    expected: int | None = None
    got: int | None = None
    bytes: int = 0
    retries: int = 0
    rate_limited: int = 0
    watermark: str | None = None
    error: str | None = None

    def charge(self, asked: Counts) -> None:
        """Add what was asked of the API for it."""
        self.requests += asked.requests
        self.retries += asked.retries
        self.rate_limited += asked.rate_limited
        self.bytes += asked.bytes

    def state(self, evidence: Evidence) -> None:
        """Take what stands behind its rows, and what that makes of it."""
        self.evidence, self.expected, self.got = str(evidence), evidence.expected, evidence.got
        if evidence.doubted and self.status == "complete":
            self.status = "unproven"

    def fail(self, error: BaseException) -> None:
        """Say that it was not loaded, and why: the text is ours, and quotes no value."""
        self.status, self.error, self.note, self.rows = "failed", type(error).__name__, str(error), 0

    def drop(self) -> None:
        """Say that it was read, and not loaded, because the sync failed elsewhere."""
        if self.status not in {"failed", "skipped"}:
            self.status, self.rows, self.watermark = "failed", 0, None
            self.note = "not loaded, since the sync failed"

    def after(self, earlier: "Outcome") -> "Outcome":
        """Give the outcome of two loads of one sync together."""
        # A table in which nothing moved meanwhile is as the earlier load left it.
        shown = self if self.evidence or self.status != "complete" else earlier
        return replace(
            self,
            **self.sums(earlier),
            lane=earlier.lane if self.lane == "none" else self.lane,
            status=shown.status,
            evidence=shown.evidence,
            expected=shown.expected,
            got=shown.got,
            watermark=self.watermark or earlier.watermark,
            note=self.note or earlier.note,
            error=self.error or shown.error,
        )

    def sums(self, other: "Outcome") -> dict[str, Any]:
        """Give what two outcomes of one table count together."""
        return {name: getattr(self, name) + getattr(other, name) for name in COUNTS}

    def plus(self, more: "Outcome") -> "Outcome":
        """Put two that were read apart into one: counts in sum, the lanes that were read, the worse status."""
        notes = dict.fromkeys(note for note in (self.note, more.note) if note)
        lanes = dict.fromkeys(lane for lane in (*self.lane.split(", "), more.lane) if lane != "none")
        expected, got = added(self.expected, more.expected), added(self.got, more.got)
        return replace(
            self,
            **self.sums(more),
            lane=", ".join(lanes) or "none",
            status=max((self.status, more.status), key=WORST.index),
            evidence=in_sum((self.evidence, more.evidence), expected, got),
            expected=expected,
            got=got,
            note="; ".join(notes),
            error=self.error or more.error,
        )

    @property
    def lacking(self) -> bool:
        """Whether rows that are there in Cargo were not loaded."""
        return self.status in {"refreshing", "failed"}

    @property
    def retry_helps(self) -> bool:
        """Whether what is lacking may come if the same is run again a while later."""
        return self.status == "refreshing" or passes(self.error)

    def shown(self) -> dict[str, Any]:
        """Give what there is to show of it, for a scheduler's page: no name, and nothing that says nothing."""
        first = dict.fromkeys(("status", "rows", "expected", "lane", "evidence"))
        told = {**first, **self.as_json(), "lane": self.shown_lane}
        dull = {name for name in ("retries", "rate_limited") if not told[name]} | {"entity", "table"}
        return {name: value for name, value in told.items() if name not in dull and value not in (None, "")}

    @property
    def shown_lane(self) -> str:
        """The lane as people read it."""
        return "unmoved" if self.lane == "none" else self.lane

    def as_json(self) -> dict[str, Any]:
        """Give the outcome as JSON: exactly these names."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def together(outcomes: Iterable[Outcome], by: Literal["entity", "table"]) -> dict[str, Outcome]:
    """Give one outcome for each table, or each entity, in sum; the tables of models are one entity."""
    found: dict[str, Outcome] = {}
    for outcome in outcomes:
        name = getattr(outcome, by)
        found[name] = found[name].plus(outcome) if name in found else replace(outcome)
    return found
