"""NAME: what a Cargo workspace holds, as data. No input or output happens here.

Each entity of the platform is one :class:`~cargo_source.catalog.entity.Entity`. To add one, write its entry in the
file of its group and list it below; paging, cursor, typing, the row in the README and the conformance tests follow.
"""

from cargo_source.catalog.ai import AGENT_RELEASES, AGENT_RUNS, AGENTS, CHATS, MESSAGES
from cargo_source.catalog.entity import Entity
from cargo_source.catalog.orchestration import EXECUTIONS, PLAYS, RUNS, SPANS, TOOLS, TRACES, WORKFLOWS
from cargo_source.catalog.segmentation import CHANGE_ROWS, CHANGES, SEGMENTS
from cargo_source.catalog.storage import COLUMNS, DATASETS, MODELS, RELATIONSHIPS
from cargo_source.catalog.workspace import WORKSPACES

ENTITIES: dict[str, Entity] = {
    entity.table: entity
    for entity in (
        WORKSPACES,
        DATASETS,
        MODELS,
        COLUMNS,
        RELATIONSHIPS,
        SEGMENTS,
        CHANGES,
        CHANGE_ROWS,
        WORKFLOWS,
        PLAYS,
        TOOLS,
        RUNS,
        EXECUTIONS,
        SPANS,
        TRACES,
        AGENTS,
        AGENT_RELEASES,
        AGENT_RUNS,
        CHATS,
        MESSAGES,
    )
}
"""Every entity by the name of its table, in the order in which a person would read about them."""

__all__ = ["ENTITIES", "Entity"]
