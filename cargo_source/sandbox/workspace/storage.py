"""Datasets, models and relationships as the API shows them."""

from typing import Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.models import MODELS, ModelSpec
from cargo_source.sandbox.models.edges import EDGES, Edge
from cargo_source.sandbox.moments import DAY, HOUR, MINUTE, SECOND, iso
from cargo_source.sandbox.workspace.columns import column, edge_uuid
from cargo_source.sandbox.workspace.team import FOLDERS_EACH, Team
from cargo_source.sandbox.workspace.warehouse import Warehouse, model_uuid

Wire = dict[str, Any]

EMPTY_DATASETS = ("pipedrive", "mixpanel", "outreach", "clearbit", "linkedin", "slack", "bigquery")
RUN_STATUSES = ("success", "success", "error", "running", "success", "pending", "cancelled", "success", "cancelling")
_FINISHED_RUNS = frozenset({"success", "error", "cancelled"})
DELETED_MODEL = "attio.order"
_SCHEDULES: tuple[Wire | None, ...] = (
    None,
    {"type": "cron", "cron": "0 */6 * * *", "temporalScheduleWorkflowId": "schedule-6h"},
    {"type": "dbt", "jobId": "70403103"},
    {"type": "cron", "cron": "7 0 * * *", "temporalScheduleWorkflowId": "schedule-daily"},
)
_UNIFICATIONS: dict[str, Wire] = {
    "hubspot.companies": {"source": "integration"},
    "default.companies": {
        "source": "custom", "type": "account", "uniqueColumns": [{"slug": "domain", "reference": "domain"}],
        "selectedColumnSlugs": ["name"],
    },
    "default.contacts": {
        "source": "custom", "type": "contact", "uniqueColumns": [{"slug": "email", "reference": "email"}],
    },
    "segment.tracks": {
        "source": "custom", "type": "contactEvent", "uniqueColumns": [{"slug": "userId", "reference": "id"}],
        "timeColumnSlug": "timestamp", "parent": {"kind": "reference", "columnSlug": "userId", "reference": "id"},
    },
    "snowflake.usage_daily": {
        "source": "custom", "type": "accountEvent", "uniqueColumns": [{"slug": "account", "reference": "domain"}],
        "timeColumnSlug": "day", "filter": {"conjonction": "and", "groups": []},
    },
}  # fmt: skip


def dataset_uuid(seed: int, slug: str) -> str:
    """Return the uuid of a dataset."""
    return uuid_for(seed, "dataset", slug)


def dataset_slugs() -> list[str]:
    """Every dataset, with those that hold no model yet."""
    return [*dict.fromkeys(spec.dataset for spec in MODELS), *EMPTY_DATASETS]


def datasets(team: Team) -> dict[str, Wire]:
    """Return every dataset by uuid."""
    stream = Stream(team.seed, "datasets")
    found = {}
    for slug in dataset_slugs():
        made = team.created + stream.whole(MINUTE, 20 * DAY)
        uuid = dataset_uuid(team.seed, slug)
        found[uuid] = {
            "uuid": uuid,
            "workspaceUuid": team.workspace_uuid,
            "slug": slug,
            "kind": "native" if slug == "default" else "connector",
            "connectorUuid": team.connectors.get(slug),
            "createdAt": iso(made),
            "updatedAt": iso(made + stream.whole(0, 30 * DAY)),
            "deletedAt": iso(made + 50 * DAY) if slug == "bigquery" else None,
        }
    return found


def relationships(team: Team) -> dict[str, Wire]:
    """Return every relationship by uuid."""
    specs = {spec.key: spec for spec in MODELS}
    return {edge_uuid(team.seed, edge): _relationship(team, edge, specs) for edge in EDGES}


def _relationship(team: Team, edge: Edge, specs: dict[str, ModelSpec]) -> Wire:
    source, target = specs[edge.source], specs[edge.target]
    return {
        "uuid": edge_uuid(team.seed, edge),
        "workspaceUuid": team.workspace_uuid,
        "fromDatasetUuid": dataset_uuid(team.seed, source.dataset),
        "fromModelUuid": model_uuid(team.seed, source),
        "fromColumnSlug": edge.source_column,
        "fromPropertySlug": edge.source_property,
        "toDatasetUuid": dataset_uuid(team.seed, target.dataset),
        "toModelUuid": model_uuid(team.seed, target),
        "toColumnSlug": edge.target_column,
        "toPropertySlug": edge.target_property,
        "fromSelectedColumnSlugs": [source.id] if edge.selected else None,
        "toSelectedColumnSlugs": list(edge.selected) if edge.selected else None,
        "relation": edge.relation,
    }


def models(team: Team, warehouse: Warehouse, start: int) -> dict[str, Wire]:
    """Return every model by uuid, its tables being filled."""
    found = {}
    for place, spec in enumerate(MODELS):
        uuid = model_uuid(team.seed, spec)
        found[uuid] = _model(team, place, spec) | _model_times(team, warehouse, place, spec, start)
    return found


def new_model(team: Team, place: int, spec: ModelSpec, moment: int) -> Wire:
    """Return a model that is made at a moment."""
    made = iso(moment)
    times = {"createdAt": made, "updatedAt": made, "deletedAt": None, "lastEmittedAt": None, "lastRun": None}
    return _model(team, place, spec) | times


def _model(team: Team, place: int, spec: ModelSpec) -> Wire:
    native = spec.dataset == "default"
    return {
        "uuid": model_uuid(team.seed, spec),
        "workspaceUuid": team.workspace_uuid,
        "slug": spec.slug,
        "name": spec.name,
        "description": f"{spec.name}, kept by the revenue team" if place % 3 else None,
        "datasetUuid": dataset_uuid(team.seed, spec.dataset),
        "kind": "native" if native else "connector",
        "connectorUuid": None if native else team.connectors.get(spec.dataset),
        "extractorSlug": spec.extractor,
        "position": {"x": 120.5 * (place % 6), "y": 80.0 * (place // 6)},
        "config": _config(team, spec),
        "schedule": None if native else _SCHEDULES[place % len(_SCHEDULES)],
        "meta": {"color": "blue"} if place % 4 == 1 else None,
        "columns": [column(team, spec, col) for col in spec.cols if col.kind == "original"],
        "additionalColumns": [column(team, spec, col) for col in spec.cols if col.kind != "original"],
        "idColumnSlug": spec.id,
        "unification": _UNIFICATIONS.get(spec.key),
        "titleColumnSlug": spec.title,
        "timeColumnSlug": spec.time,
        "folderUuid": team.folders["model"][place % FOLDERS_EACH] if place % 2 else None,
        "playsCount": 0,
        "segmentsCount": 0,
        "isPaused": place % 9 == 8,
    }


def _model_times(team: Team, warehouse: Warehouse, place: int, spec: ModelSpec, start: int) -> Wire:
    stream = Stream(team.seed, "model", spec.key)
    made = team.created + stream.whole(MINUTE, HOUR)
    emitted = warehouse.last_emitted(spec) if spec.emits else iso(start - stream.whole(MINUTE, DAY))
    return {
        "lastEmittedAt": emitted,
        "createdAt": iso(made),
        "updatedAt": iso(made + stream.whole(DAY, 100 * DAY)),
        "deletedAt": iso(start - 3 * DAY) if spec.key == DELETED_MODEL else None,
        "lastRun": None if spec.dataset == "default" else _last_run(stream, RUN_STATUSES[place % 9], start),
    }


def _last_run(stream: Stream, status: str, start: int) -> Wire:
    began = start - stream.whole(MINUTE, DAY)
    finished = iso(began + 30 * SECOND) if status in _FINISHED_RUNS else None
    return {
        "uuid": stream.uuid(),
        "status": status,
        "errorMessage": "The connector answered 503." if status == "error" else None,
        "createdAt": iso(began),
        "finishedAt": finished,
    }


def _config(team: Team, spec: ModelSpec) -> Wire:
    """Return the extractor's settings; encrypted values hold made-up secrets."""
    if spec.extractor == "defineCustom":
        return {
            "columns": [{"slug": c.slug, "type": c.type, "label": c.slug} for c in spec.cols if c.kind == "original"]
        }
    return {
        key: {**value, "value": team.secret()}
        if isinstance(value, dict) and value.get("type") == "encryption"
        else value
        for key, value in spec.config.items()
    }
