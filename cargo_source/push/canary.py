"""One row before all others: what nobody documents is found out on it, before it could happen to every row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cargo_source.errors import CargoError, WriteDiffers
from cargo_source.push.compare import UPDATE
from cargo_source.push.journal import Fate
from cargo_source.push.present import looks
from cargo_source.push.sending import Sender, Stopped
from cargo_source.push.target import Target
from cargo_source.push.wire import Change, Row, differing, record, send


@dataclass
class Canary:
    """Writes one row and reads it back."""

    target: Target
    sender: Sender

    def fly(self, kind: str, change: Change) -> list[Fate]:
        """Send one row, and give what became of it.

        Raises Stopped, by WriteDiffers, where Cargo keeps something else than what was sent, or where an update cleared
        columns that it does not name; those are written back before.
        """
        sender = self.sender
        before = record(sender.client, sender.model, change.id or "")[0] if kind == UPDATE else None
        fates = sender.send(kind, [change])
        told = fates[-1] if fates else None
        if told is None or told.status not in {"created", "updated"}:
            return fates
        after = self._settled(told.id or "")
        if after is None:
            # It cannot be read alone; what the answer held was compared already.
            if told.reason is not None:
                raise Stopped(self._differs(told.column or ""), fates)
            return fates
        wrong = differing(change.cells, after, sender.times)
        cleared = self._cleared(change.cells, before or {}, after)
        if cleared:
            self._write_back(change, before or {}, cleared)
            raise Stopped(
                WriteDiffers(
                    f"{self.target.label}: an update of one row cleared columns that it did not name"
                    f" ({', '.join(cleared)}), so nothing more was sent, and they were written back; push all columns"
                    " of the model together"
                ),
                fates,
            )
        if wrong:
            raise Stopped(self._differs(", ".join(wrong)), fates)
        return fates

    def _differs(self, columns: str) -> WriteDiffers:
        return WriteDiffers(
            f"{self.target.label}: one row was written, and Cargo keeps something else in {columns} than what was sent,"
            " so nothing more was; leave these columns out"
        )

    def _settled(self, key: str) -> Row | None:
        found = None
        for _ in looks(self.sender.sleep):
            found, refreshing = record(self.sender.client, self.sender.model, key)
            if not refreshing:
                break
        return found

    def _cleared(self, sent: Mapping[str, Any], before: Row, after: Row) -> list[str]:
        """Name the columns that had something, were not sent, and have nothing now."""
        return [
            slug
            for slug in self.target.writable
            if slug not in sent and before.get(slug) not in (None, {}) and after.get(slug) is None
        ]

    def _write_back(self, change: Change, before: Row, cleared: list[str]) -> None:
        import json

        # Whole, since that is what this model takes.
        row = {slug: before[slug] for slug in self.target.writable if before.get(slug) not in (None, {})}
        data = json.dumps({**row, **change.cells, **{slug: before[slug] for slug in cleared}})
        try:
            send(self.sender.client, self.sender.model, UPDATE, [Change(change.seq, None, change.id, change.key, data)])
        except CargoError as error:
            raise WriteDiffers(
                f"{self.target.label}: an update of one row cleared columns that it did not name"
                f" ({', '.join(cleared)}), and writing them back failed ({type(error).__name__}): look at record"
                f" {change.id} in Cargo"
            ) from None
