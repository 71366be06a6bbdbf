"""Parts of a workspace that a scheduler syncs as tasks of their own, each with a pipeline, a state and a schema.

What is made out of one another is in one part. dlt knows a schema by its name alone: a worker that starts with nothing
gets back the newest one of that name, so parts that share a dataset must not share it.
"""

from collections.abc import Mapping

from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, suggest
from cargo_source.pull.records import RECORDS

GROUPS: Mapping[str, frozenset[str]] = {
    "workspace": frozenset({"workspaceManagement", "connection", "content", "billing"}),
    "models": frozenset({"storage"}),
    "segments": frozenset({"segmentation"}),
    "work": frozenset({"orchestration", "ai"}),
}
"""The permissions that each part needs: whole lists, models with their rows, who moved, what ran and what was said."""


def resources_of(group: str) -> tuple[str, ...]:
    """Give the resources of a part. Raises BadSettings, with a suggestion, where there is no such part."""
    if group not in GROUPS:
        raise BadSettings(f"group: there is no {group!r}{suggest(group, GROUPS)}; known are {', '.join(GROUPS)}")
    tables = [e.table for e in ENTITIES.values() if e.group in GROUPS[group] and not e.on_request]
    return (*tables, RECORDS) if group == "models" else tuple(tables)
