"""What the last sync kept, as far as the destination bears it out, and what this one keeps for the next."""

import copy
import logging
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Entity
from cargo_source.errors import BadSettings
from cargo_source.pull.digest import digest_of
from cargo_source.pull.landed import Destination
from cargo_source.pull.once import Onces
from cargo_source.pull.options import Options

log = logging.getLogger("cargo_source")


class Memory:
    """The state of the source, which dlt keeps. Resources write into it while others still read how it was before."""

    def __init__(self, state: dict[str, Any], destination: Destination, options: Options, run_id: str) -> None:
        self._state, self._destination, self._options = state, destination, options
        self.basis = digest_of(state)
        """A digest of all that the last sync kept: another sync that begins with the same goes over the same ground."""
        self._before = self._remembered(run_id)
        self._onces = Onces()
        self.anew: set[str] = set()
        """Tables that are to be dropped and made again by this load."""

    def _remembered(self, run_id: str) -> dict[str, Any]:
        """Give the state of the last sync, if the destination is the one that it speaks of.

        One state may meet two databases, or one that was restored from yesterday: cursors that are ahead of the rows
        would leave a gap for ever.
        """
        if self._options.window is not None:
            # A window neither rests on the last sync nor is one: it says nothing of where the cursors fit. It writes
            # no state either, so that there is nothing to copy, and windows that are read at once may share it.
            return self._state
        load = self._state.get("load")
        if load and not self._destination.has_load(load):
            log.warning("the destination does not hold the last sync that this state knows: reading from the start")
            self._state.pop("resources", None)
        self._state["load"] = run_id
        return copy.deepcopy(self._state)

    def table_state(self, table: str) -> dict[str, Any]:
        """Give what the last sync kept for ``table``.

        Nothing in a window from outside, and where the table has other columns than then, so that every row has to
        come again, or where the destination has lost it since.
        """
        if self._options.window is not None:
            return {}
        return dict(self._onces.get(("state", table), lambda: self._table_state(table)))

    def _table_state(self, table: str) -> dict[str, Any]:
        kept = self._before.get("resources", {}).get(table, {}).get("kept")
        if not kept or self._is_lost(table) or kept.get("columns") != self.fingerprint(ENTITIES[table]):
            return {}
        return dict(kept)

    def _is_lost(self, table: str) -> bool:
        """Say whether a table that was synced before is not in the destination any more."""
        if self._onces.get(("has", table), lambda: self._destination.has(table)):
            return False
        if table not in self.anew:
            log.warning("%s: synced before, but the destination has no such table: reading it from the start", table)
            self.anew.add(table)
        return True

    def fingerprint(self, entity: Entity) -> str:
        """A short digest of the columns that land of ``entity``."""
        salted = self._options.shaping.salted
        return digest_of([[c.name, c.type, c.pii, c.pii and salted] for c in self._options.columns(entity)])

    @property
    def known_models(self) -> dict[str, dict[str, Any]]:
        """What the last sync kept for the rows of models, by their uuid."""
        return {uuid: kept for uuid, kept in self._before.get("resources", {}).get("records", {}).items() if kept}

    def record_state(self, uuid: str, table: str) -> dict[str, Any]:
        """Give what the last sync kept for the rows of a model.

        Nothing where their table has another name than then, or is lost: then every row has to come again. A table
        that holds the rows of another model, or of this one from long ago, is made anew.
        """
        kept = self.known_models.get(uuid, {})
        writer = self._before.get("writers", {}).get(table)
        begun = self._before.get("begun", {}).get(table)
        if self._options.window is not None:
            if {writer, begun} - {None, uuid}:
                raise BadSettings(
                    f"{table} holds the rows of a model that is gone: run a sync without a window, which makes it anew"
                )
            return {}
        if (writer is not None and (writer != uuid or kept.get("table") != table)) or begun not in (None, uuid):
            self.anew.add(table)
            return {}
        if kept.get("table") != table or self._is_lost(table):
            return {}
        return dict(kept)

    def keep_records(self, uuid: str, table: str, kept: dict[str, Any]) -> None:
        """Keep cursors of the rows of a model, and for good whose rows the table holds."""
        self._state.setdefault("resources", {}).setdefault("records", {})[uuid] = kept
        self._state.setdefault("writers", {})[table] = uuid
        self._state.get("begun", {}).pop(table, None)

    def forget_records(self, uuid: str) -> None:
        """Keep nothing more of a model that is gone; its table stays, and so does the note of whose it is."""
        self._state.get("resources", {}).get("records", {}).pop(uuid, None)

    def synced_before(self, name: str) -> bool:
        """Say whether a table, or the rows of any model for ``records``, were synced before."""
        return bool(self._before.get("resources", {}).get(name))

    def keep_state(self, table: str, **values: Any) -> None:
        """Keep cursors of ``table`` for the next sync; they take effect only if the load does."""
        # dlt forgets what lies under a resource's name when that resource is refreshed.
        self._state.setdefault("resources", {}).setdefault(table, {})["kept"] = values
