"""Models that a client makes, changes and removes.

A model that is written into has its table at once; one that is fetched gets it with its first run. A removed model
stays in the lists with the time of its removal, and keeps its slug; its relationships are gone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.moments import iso
from cargo_source.sandbox.workspace import storage
from cargo_source.sandbox.workspace.drafts import checked_schedule, checked_slug, declared, drafted, refuse_twins
from cargo_source.sandbox.workspace.integrations import native_integration
from cargo_source.sandbox.workspace.warehouse import quoted
from cargo_source.sandbox.workspace.writing import Unwritable

if TYPE_CHECKING:
    from cargo_source.sandbox.models import ModelSpec
    from cargo_source.sandbox.models.spec import Col
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

RESERVED = frozenset({"accounts", "contacts"})
"""Slugs in the native dataset that the platform keeps for itself."""
CHANGEABLE = ("name", "description", "position", "config", "unification", "schedule", "folderUuid")


class Modelling:
    """Makes, changes and removes models; `tabled` are those that have a table though nothing was emitted into it.

    Raises Unwritable with the reason, or with a text where none is documented.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.tabled: set[str] = set()

    def living(self, uuid: str) -> Wire:
        """Give a model that was not removed."""
        model: Wire | None = self._world.tables["models"].get(uuid)
        if model is None or model["deletedAt"]:
            raise Unwritable(reason="modelNotFound")
        self._dataset(model["datasetUuid"])
        return model

    def mode(self, model: Wire) -> str:
        """Say how a model is filled: native, ingest or fetch."""
        if model["kind"] == "native":
            return "native"
        extractors = self._integration(model["connectorUuid"])["extractors"]
        return str(extractors.get(model["extractorSlug"], {"mode": {"kind": "fetch"}})["mode"]["kind"])

    def is_taken(self, dataset: str, slug: str) -> bool:
        """Say whether a model of a dataset is called so, or once was, or must not be."""
        folded = slug.casefold()
        models = self._world.tables["models"].values()
        taken = {model["slug"].casefold() for model in models if model["datasetUuid"] == dataset}
        is_native = self._world.tables["datasets"][dataset]["kind"] == "native"
        return folded in taken or (is_native and folded in RESERVED)

    def create(self, sent: Wire) -> Wire:
        """Make a model in a dataset."""
        world, dataset = self._world, self._dataset(sent["datasetUuid"])
        mode = self._mode_of_new(dataset, sent["extractorSlug"])
        if self.is_taken(dataset["uuid"], checked_slug(sent["slug"])):
            raise Unwritable(reason="duplicateSlug")
        self._check_place(sent, mode)
        origin = f"{dataset['slug']}.{sent['slug']} of {world.moment + 1}"
        spec = drafted(dataset["slug"], sent, is_hook=mode == "ingest", origin=origin)
        world.tick()
        world.warehouse.make(spec)
        world.remember_model(spec)
        model = storage.new_model(world.team, 0, spec, world.moment)
        model |= {"connectorUuid": dataset["connectorUuid"], "description": sent.get("description")}
        model |= {"config": sent["config"], "folderUuid": sent.get("folderUuid")}
        model["schedule"] = _shown_schedule(model["uuid"], sent.get("schedule"))
        world.tables["models"][model["uuid"]] = model
        if mode != "fetch":
            self.tabled.add(model["uuid"])
        self._count(model, 1)
        return model

    def update(self, uuid: str, sent: Wire) -> Wire:
        """Change what a client may change of a model; a new config brings and takes columns."""
        model = self.living(uuid)
        self._check_place(sent, self.mode(model))
        if "config" in sent and model["extractorSlug"] == "defineCustom":
            self._redeclare(self._world.spec_of(uuid), sent["config"])
        changed = {name: sent[name] for name in CHANGEABLE if name in sent}
        if "schedule" in changed:
            changed["schedule"] = _shown_schedule(uuid, changed["schedule"])
        self._world.tick()
        model |= changed | {"updatedAt": iso(self._world.moment)}
        self._world.revision += 1
        return model

    def remove(self, uuid: str) -> None:
        """Remove a model that no segment, play or tool rests on."""
        model, tables = self.living(uuid), self._world.tables
        if any(not row["deletedAt"] and uuid in json.dumps(row) for row in tables["workflows"].values()):
            raise Unwritable(reason="hasWorkflows")
        if any(not play["deletedAt"] and play["modelUuid"] == uuid for play in tables["plays"].values()):
            raise Unwritable(reason="hasWorkflows")
        for segment in tables["segments"].values():
            named = segment["modelUuid"] == uuid or uuid in json.dumps(segment["filter"])
            if named and not segment["deletedAt"]:
                raise Unwritable(reason="hasSegments")
        self._world.catch_up(at_once=True)
        for key, edge in list(tables["relationships"].items()):
            if uuid in {edge["fromModelUuid"], edge["toModelUuid"]}:
                del tables["relationships"][key]
        self._world.tick()
        model["deletedAt"] = model["updatedAt"] = iso(self._world.moment)
        self._count(model, -1)

    def _dataset(self, uuid: str) -> Wire:
        dataset: Wire | None = self._world.tables["datasets"].get(uuid)
        if dataset is None or dataset["deletedAt"]:
            raise Unwritable(reason="datasetNotFound")
        return dataset

    def _integration(self, connector_uuid: str) -> Wire:
        connector = self._world.tables["connectors"].get(connector_uuid)
        if connector is None or connector["deletedAt"]:
            raise Unwritable(reason="connectorNotFound")
        integration: Wire | None = self._world.tables["integrations"].get(connector["integrationSlug"])
        if integration is None:
            raise Unwritable(reason="integrationNotFound")
        return integration

    def _mode_of_new(self, dataset: Wire, slug: str) -> str:
        """Say how a model of an extractor would be filled in a dataset."""
        native = dataset["kind"] == "native"
        whole = native_integration() if native else self._integration(dataset["connectorUuid"])
        extractor = whole["extractors"].get(slug)
        if extractor is None:
            raise Unwritable(reason="modelNotCompatible" if native else "integrationNotCompatible")
        if extractor["kind"] == "file":
            raise Unwritable(reason="modelNotCompatible")
        return "native" if native else str(extractor["mode"]["kind"])

    def _check_place(self, sent: Wire, mode: str) -> None:
        """Refuse a folder that is none of models, and a schedule that a model does not take."""
        if sent.get("folderUuid") is not None:
            folder = self._world.tables["folders"].get(sent["folderUuid"])
            if folder is None or folder["deletedAt"]:
                raise Unwritable(reason="folderNotFound")
            if folder["kind"] != "model":
                raise Unwritable(reason="folderNotCompatible")
        checked_schedule(sent.get("schedule"), is_fetched=mode == "fetch")

    def _redeclare(self, spec: ModelSpec, config: Wire) -> None:
        """Give a model the columns of its new config: one that the config leaves out is gone, with its cells."""
        own = {col.slug: col for col in spec.cols if col.kind == "original"}
        wanted = {col.slug: col for col in declared(config, own.keys()) if col.slug != spec.id}
        gone = [col for slug, col in own.items() if slug not in wanted and slug != spec.id]
        for col in gone:
            if col.slug in {spec.title, spec.time}:
                raise Unwritable(f"Column {col.slug} is the model's title or time")
        refuse_twins([*(col.name for col in spec.cols if col.kind != "original"), spec.id, *wanted])
        self._world.writing.settle(at_once=True)
        for col in gone:
            spec = self._world.reshape.drop(spec, col)
        for slug, col in wanted.items():
            spec = self._put(spec, own.get(slug), col)

    def _put(self, spec: ModelSpec, old: Col | None, new: Col) -> ModelSpec:
        if old is None:
            return self._world.reshape.add(spec, new)
        return spec if old.type == new.type else self._world.reshape.swap(spec, old, new, recast(old, new))

    def _count(self, model: Wire, more: int) -> None:
        """Let the connector count its models anew."""
        if model["connectorUuid"]:
            self._world.tables["connectors"][model["connectorUuid"]]["modelsCount"] += more
        self._world.revision += 1


def recast(old: Col, new: Col) -> str:
    """Give the SQL of a cell in another type; what does not fit is lost."""
    return f"TRY_CAST({quoted(old.name)}::VARCHAR AS {new.sql_type})"


def _shown_schedule(model: str, schedule: Wire | None) -> Wire | None:
    """Return a schedule as a model shows it: one of times is kept by a scheduler, under a name of its own."""
    if schedule is None or schedule["type"] != "cron":
        return schedule
    return schedule | {"temporalScheduleWorkflowId": f"schedule-{model}"}
