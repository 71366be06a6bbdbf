"""What to do while Cargo is still writing what is read: wait a little, then make do, but not for ever.

``isRefreshing`` says that pending writes are being loaded, so that rows may be missing. What is read all the same is
merged and marked; no delete is derived from it, and its watermark stays, so that the next sync reads it again.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from cargo_source.errors import IncompleteRead
from cargo_source.pull.session import Session

log = logging.getLogger("cargo_source")

PATIENCE = 60.0
"""Seconds that one sync waits in all for models that Cargo is writing."""
FIRST_LOOK, LONGEST = 2.0, 15.0
"""Seconds until it is looked for the first time whether that is over, and at most between two looks."""
RUNS = 3
"""Syncs in a row that may load a model in this state."""


def looks(session: Session, still: Callable[[], bool]) -> Iterator[None]:
    """Wait, and give control back each time that ``still`` says no more; end when patience does."""
    pause = FIRST_LOOK
    budget = min(PATIENCE, session.client.settings.wait_budget)
    while session.waited + pause <= budget:
        session.sleep(pause)
        session.waited += pause
        if still():
            pause = min(2 * pause, LONGEST)
        else:
            yield


def note_refreshing(session: Session, uuid: str, table: str, *, refreshing: bool) -> None:
    """Count the syncs in a row that met a model while it was written. Raises IncompleteRead after too many."""
    met: dict[str, Any] = session.state.setdefault("refreshing", {})
    if not refreshing:
        met.pop(uuid, None)
        return
    if met.get(uuid, 0) >= RUNS:
        raise IncompleteRead(
            f"{table}: Cargo has been writing this model during {RUNS} syncs in a row, and is at it still: look at the"
            " model in Cargo, or leave it out with --models"
        )
    met[uuid] = met.get(uuid, 0) + 1
    log.warning("%s: Cargo is still writing this model: what is there loads, and comes again with the next sync", table)
