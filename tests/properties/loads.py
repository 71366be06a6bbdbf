"""What a property loads and how it is held against the workspace: at most eight tables each."""

import functools
import os
import shutil
import tempfile
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tenacity import wait_exponential

from cargo_source.catalog import ENTITIES
from cargo_source.pull.sync import SyncReport
from cargo_source.sandbox.moments import DAY, HOUR, iso
from tests.small import tiny_box
from tests.target import Target, entity_differences, model_differences

FIRST_SYNCS = "TESTS_FIRST_SYNCS"


@dataclass(frozen=True)
class Load:
    """Entity tables, and models (``dataset.slug``) whose rows come along."""

    tables: tuple[str, ...]
    models: tuple[str, ...] = ()

    def sync(self, target: Target, box: Any, **options: Any) -> SyncReport:
        """Sync these tables into the target."""
        rows = {"models": list(self.models)} if self.models else {}
        return target.sync(box, only=list(self.tables), **rows, **options)

    def differences(self, target: Target, box: Any, *, excused: Collection[str] = ()) -> list[str]:
        """Everything in which these tables differ from the workspace, but for rows of which one of `excused` tells."""
        slugs = {dataset["uuid"]: dataset["slug"] for dataset in box.truth("datasets")}
        models = {f"{slugs[model['datasetUuid']]}.{model['slug']}": model for model in box.truth("models")}
        with target.opened():
            found = [each for table in self.tables for each in entity_differences(target, box, table)]
            for name in self.models:
                found += model_differences(target, box, models[name])
        return [each for each in found if not any(uuid in each for uuid in excused)] if excused else found


LOADS = {
    "rows": Load(
        ("models", "segments", "changes", "change_rows"),
        ("default.companies", "default.targets", "snowflake.usage_daily"),
    ),
    "runs": Load(("runs", "executions", "spans", "batches")),
    "chats": Load(("traces", "chats", "messages", "agent_runs")),
    "both": Load(("models", "changes", "runs", "chats", "agent_runs"), ("default.companies",)),
}


def asleep(box: Any, swept: int) -> set[str]:
    """Give what only a daily sweep finds, and has moved since the last one: old chats, with their messages.

    Chats that were created more than some weeks ago are listed by sweeps alone. What shows late may have moved before.
    """
    tables, days = box.world.tables, ENTITIES["chats"].reading.days
    horizon, since = iso(box.world.moment - days * DAY), iso(swept - HOUR)
    chats = tables["chats"].values()
    found = {chat["uuid"] for chat in chats if chat["createdAt"] < horizon and chat["updatedAt"] >= since}
    return found | {uuid for uuid, message in tables["messages"].items() if message["chatUuid"] in found}


@functools.cache
def _first_syncs() -> tuple[Path, tempfile.TemporaryDirectory | None]:
    """Give the folder of first syncs: that which processes share (the variable names it), or one of this process."""
    if shared := os.environ.get(FIRST_SYNCS):
        return Path(shared), None
    own = tempfile.TemporaryDirectory(prefix="cargo-first-syncs-")
    return Path(own.name), own


def target_after_first_sync(seed: int, name: str, folder: Path) -> Target:
    """Give a target in `folder` that holds the workspace of a seed as it is when it begins, synced once for all."""
    kept = _first_syncs()[0] / f"{name}-{seed}"
    if not kept.exists():
        target = Target(Path(tempfile.mkdtemp(dir=kept.parent)))
        with tiny_box(seed) as box:
            LOADS[name].sync(target, box)
            assert LOADS[name].differences(target, box) == []
        # Another process may have been quicker; its folder is as good.
        with suppress(OSError):
            target.folder.rename(kept)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    return Target(folder)


def digests(target: Target) -> dict[str, tuple]:
    """Give a fingerprint of each table that is no bookkeeping: its columns and rows, in whatever order.

    Which sync brought a row is not looked at.
    """
    if not target.database.exists():
        return {}
    with target.opened():
        return {table: _digest(target, table) for table in sorted(target.tables()) if not table.startswith("_")}


def _digest(target: Target, table: str) -> tuple:
    types = tuple((name, kind) for name, kind in sorted(target.types(table).items()) if name != "_cargo_run_id")
    names = ", ".join(f'"{name}"' for name, _ in types if not name.startswith("_dlt"))
    rows = f'FROM (SELECT {names} FROM cargo."{table}") AS t'
    return types, *target.query(f"SELECT count(*), sum(hash(t)::HUGEINT), bit_xor(hash(t)) {rows}")[0]


def quick_retries() -> Any:
    """Have the client wait hardly at all between two attempts."""
    return patch("cargo_source.api.retries._WINDOW", wait_exponential(multiplier=0.01, max=0.05))
