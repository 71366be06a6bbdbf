"""What a sync did to each table, for the summary that people and scripts read."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Status = Literal["complete", "refreshing", "skipped", "failed"]


@dataclass
class Outcome:
    """One table of one sync. ``requests`` counts what was asked of the API for it, ``seconds`` what that took."""

    entity: str
    table: str
    rows: int = 0
    requests: int = 0
    lane: str = "list"
    status: Status = "complete"
    seconds: float = 0.0
    note: str = ""

    def after(self, earlier: "Outcome") -> "Outcome":
        """Give the outcome of two loads of one sync together."""
        sums = {name: getattr(self, name) + getattr(earlier, name) for name in ("rows", "requests", "seconds")}
        return replace(self, **sums, note=self.note or earlier.note)

    def as_json(self) -> dict[str, Any]:
        """Give the outcome as JSON: exactly these names."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}
