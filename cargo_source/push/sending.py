"""How rows are sent so that none is created twice and none is lost, whatever becomes of an answer.

The API has no upsert and no idempotency key, and makes the identifiers. So a creation whose answer did not come, or
that was refused, is looked up by key before any part of it is sent again; updates and removals go by identifier and
may be repeated. What is refused is halved down to the rows that are bad.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cargo_source.api import CargoClient
from cargo_source.catalog.columns import Column
from cargo_source.errors import (
    AuthError,
    Busy,
    CargoError,
    NetworkFailed,
    NotFound,
    PermissionDenied,
    RequestRefused,
    ServerFailed,
    UnexpectedShape,
    WaitBudgetSpent,
    WriteDiffers,
)
from cargo_source.push.compare import CREATE, REMOVE, UPDATE
from cargo_source.push.journal import Fate, Journal, Status
from cargo_source.push.present import Present, looks
from cargo_source.push.reasons import reason_of
from cargo_source.push.sizes import Sizes
from cargo_source.push.wire import Change, Row, differing, send

log = logging.getLogger("cargo_source")

STOPS = frozenset(
    {"notEnoughCredits", "incompatibleWithRecordAction", "integrationNotCompatible", "modelNotFound", "datasetNotFound",
     "connectorNotFound", "integrationNotFound"}
)  # fmt: skip
"""Reasons that are about the model or the workspace, not about rows: sending others changes nothing."""
LOST = (NetworkFailed, ServerFailed, WaitBudgetSpent, UnexpectedShape)
"""Failures after which nobody knows whether the rows were written."""
REPEATS = 2
"""How often rows whose answers were lost are sent again."""

DONE: dict[str, Status] = {CREATE: "created", UPDATE: "updated", REMOVE: "removed"}
GONE = "names a record that is not there any more"


class Stopped(Exception):
    """Nothing more is to be sent; ``cause`` says why, ``fates`` what became of the rows that were at it."""

    def __init__(self, cause: CargoError, fates: Sequence[Fate]) -> None:
        super().__init__(str(cause))
        self.cause, self.fates = cause, [*fates]


Call = Callable[[CargoClient, str, str, Sequence[Change]], list[Row] | None]
"""Sends changes of one kind to a model, and gives the rows that the answer holds; None where it holds none."""


@dataclass
class Sender:
    """Sends batches of one model's rows; threads share it.

    ``key`` is the model's column that rows are told apart by; None where they are by their identifiers. ``id_slug`` is
    the column of those, ``times`` are the columns of times.
    """

    client: CargoClient
    model: str
    present: Present
    journal: Journal
    sizes: Sizes
    key: Column | None
    id_slug: str
    times: frozenset[str] = frozenset()
    call: Call = send
    sleep: Callable[[float], None] = lambda _seconds: None
    stopping: threading.Event = field(default_factory=threading.Event)

    def send(self, kind: str, batch: Sequence[Change]) -> list[Fate]:
        """Send a batch and tell what became of each row. Raises Stopped where nothing more is to be sent."""
        fates: list[Fate] = []
        try:
            self._sent(kind, batch, fates, REPEATS)
        except CargoError as error:
            raise Stopped(error, fates) from error
        return fates

    def _sent(self, kind: str, batch: Sequence[Change], fates: list[Fate], repeats: int) -> None:
        """Send rows, and halves of them where they are refused; what became of them goes to ``fates``."""
        if not batch or self.stopping.is_set():
            return
        self.journal.send(kind, [{"seq": c.seq, "row": c.row, "key": c.key, "id": c.id} for c in batch])
        try:
            stored = self.call(self.client, self.model, kind, batch)
        except RequestRefused as error:
            if error.reason in STOPS:
                self._tell(fates, [Fate(c.seq, "unsent") for c in batch])
                raise
            self._refused(kind, batch, fates, error, repeats)
        except NotFound as error:
            # A single record may be gone; anything else that is not there is not about rows.
            if error.reason in STOPS or error.reason != "recordNotFound":
                self._tell(fates, [Fate(c.seq, "unsent") for c in batch])
                raise
            self._refused(kind, batch, fates, error, repeats)
        except (AuthError, Busy, PermissionDenied):
            # It was refused as it is, whatever its rows: nothing of it was done.
            self._tell(fates, [Fate(c.seq, "unsent") for c in batch])
            raise
        except LOST as error:
            self._lost(kind, batch, fates, error, repeats)
        else:
            self._stored(kind, batch, fates, stored)
            self.sizes.went_well(kind, len(batch))

    # Answers that came ---------------------------------------------------------------------------------------------

    def _stored(self, kind: str, batch: Sequence[Change], fates: list[Fate], stored: Sequence[Row] | None) -> None:
        """Match what an answer holds with what was sent: by key or identifier, never by position."""
        if kind == REMOVE or stored is None:
            self._tell(fates, [Fate(c.seq, DONE[kind], c.id) for c in batch])
            return
        found = {self._identity(kind, row): row for row in stored}
        told: list[Fate] = []
        missing: list[Change] = []
        for change in batch:
            cells = change.cells
            row = found.pop(cells.get(self._key_slug) if kind == CREATE else change.id, None)
            if row is None:
                missing.append(change)
                continue
            wrong = differing(cells, row, self.times)
            reason = "is stored otherwise than it was sent" if wrong else None
            id_ = str(row.get("_id") or row.get(self.id_slug) or "") or change.id
            told.append(
                Fate(change.seq, "created" if kind == CREATE else "updated", id_, reason, ", ".join(wrong) or None)
            )
        self._tell(fates, told)
        if not missing:
            return
        if kind == UPDATE:
            # Identifiers that nobody has are passed over, where the answer holds the rows that there are.
            gone = bool(stored) or len(batch) == 1
            self._tell(fates, [_rejected(c, GONE) if gone else Fate(c.seq, "updated", c.id) for c in missing])
        elif found:
            self._tell(fates, [Fate(c.seq, "unknown") for c in missing])
            raise WriteDiffers(
                f"{len(missing)} rows were created under another key than they were sent with, so that a next push"
                " would create them again: look at the key's values in Cargo, which may have changed their spelling"
            )
        else:
            self._look_up(missing, fates, UnexpectedShape("the answer lacks rows that were sent"), REPEATS)

    @property
    def _key_slug(self) -> str:
        return self.key.field if self.key else ""

    def _identity(self, kind: str, row: Row) -> Any:
        if kind == CREATE:
            return row.get(self._key_slug)
        return str(row.get("_id") or row.get(self.id_slug))

    # Answers that refuse -------------------------------------------------------------------------------------------

    def _refused(self, kind: str, batch: Sequence[Change], fates: list[Fate], error: CargoError, repeats: int) -> None:
        too_large = error.status == 413
        if too_large:
            self.sizes.went_wrong(kind, len(batch), too_large=True)
        if kind == CREATE and len(batch) > 1 and not too_large:
            # Whether a refused call has stored some of its rows is not documented.
            batch = self._found(batch, fates, await_them=False)
            if len(batch) == 1:
                # It was one of several until now: by itself it may be fine.
                self._sent(kind, batch, fates, repeats)
                return
        if len(batch) == 1:
            self._tell(fates, [_rejected(batch[0], *reason_of(error, batch[0].cells))])
        else:
            self._halves(kind, batch, fates, repeats)

    def _halves(self, kind: str, batch: Sequence[Change], fates: list[Fate], repeats: int) -> None:
        middle = max(1, len(batch) // 2)
        for half in (batch[:middle], batch[middle:]):
            self._sent(kind, half, fates, repeats)

    # Answers that did not come -------------------------------------------------------------------------------------

    def _lost(self, kind: str, batch: Sequence[Change], fates: list[Fate], error: CargoError, repeats: int) -> None:
        self.sizes.went_wrong(kind, len(batch))
        log.info("the answer to %s rows did not come (%s)", len(batch), type(error).__name__)
        if kind == CREATE:
            self._look_up(batch, fates, error, repeats)
        elif repeats and not isinstance(error, WaitBudgetSpent):
            self._halves(kind, batch, fates, repeats - 1)
        else:
            self._tell(fates, [Fate(c.seq, "unknown", c.id) for c in batch])
            raise error

    def _look_up(self, batch: Sequence[Change], fates: list[Fate], error: CargoError, repeats: int) -> None:
        """Find by key which rows were created all the same, and send the others again."""
        try:
            rest = self._found(batch, fates, await_them=True)
        except CargoError:
            known = {fate.seq for fate in fates}
            self._tell(fates, [Fate(c.seq, "unknown") for c in batch if c.seq not in known])
            raise
        if not rest:
            return
        if not repeats:
            self._tell(fates, [Fate(c.seq, "unsent") for c in rest])
            raise error
        self._halves(CREATE, rest, fates, repeats - 1)

    def _found(self, batch: Sequence[Change], fates: list[Fate], *, await_them: bool) -> list[Change]:
        """Look rows up by their key, tell of those that are there, and give the others.

        ``await_them`` looks once more after a while where none is there: they may still be on their way.
        """
        key = self.key
        if key is None:
            raise Busy("rows that are told apart by identifiers are never created")
        rest = [*batch]
        for _ in islice(looks(self.sleep), LOOKS if await_them else 1):
            keys = {change.cells.get(key.field): change for change in rest}
            there = self.present.by_key(key, [*keys])
            rest = [change for each, change in keys.items() if each not in there]
            self._tell(
                fates, [Fate(change.seq, "created", there[each][0]) for each, change in keys.items() if each in there]
            )
            if not rest:
                break
        return rest

    def _tell(self, fates: list[Fate], told: Sequence[Fate]) -> None:
        if told:
            self.journal.tell(told)
            fates.extend(told)


LOOKS = 5
"""How often rows are looked for whose answer was lost, before they are sent again: over half a minute, since a server
may still be at what it never answered."""


def _rejected(change: Change, reason: str, column: str | None = None) -> Fate:
    return Fate(change.seq, "rejected", change.id, reason, column, change.row)
