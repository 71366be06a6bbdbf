"""What a sync did to each table, for the summary that people and scripts read."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cargo_source.api.stats import Counts
from cargo_source.errors import passes
from cargo_source.pull.evidence import Evidence

Status = Literal["complete", "unproven", "refreshing", "skipped", "failed"]

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

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be lacking."""
        return self.status not in {"refreshing", "failed"}

    @property
    def retry_helps(self) -> bool:
        """Whether what is lacking may come if the same is run again a while later."""
        return self.status == "refreshing" or passes(self.error)

    def as_json(self) -> dict[str, Any]:
        """Give the outcome as JSON: exactly these names."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}
