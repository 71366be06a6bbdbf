"""A look at a workspace without loading it: what the token opens, what is there, what rows look like."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
from dlt.common.normalizers.naming.snake_case import NamingConvention

from cargo_source.api import CargoClient
from cargo_source.assumptions import Finding, look
from cargo_source.catalog import ENTITIES, Entity, behind, permissions_of
from cargo_source.catalog.entity import Gated, Metered, Window
from cargo_source.errors import NotFound, PermissionDenied
from cargo_source.pull.decoding import Decoder
from cargo_source.pull.lanes import CSV, EXPORT, PAGES, count_rows
from cargo_source.pull.listings import Refused
from cargo_source.pull.options import Options
from cargo_source.pull.record_pages import RecordPages
from cargo_source.pull.records import Model, choose, list_models, shape_model
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.pull.times import format_time
from cargo_source.pull.typed import OURS
from cargo_source.settings import Settings

FOLD = NamingConvention().normalize_path
PATIENCE = 20.0
"""Seconds that a check waits for one answer: it is to be over in a minute."""


@dataclass(frozen=True)
class Access:
    """Whether the token may read one entity. ``permission`` is all that it needs, ``ms`` what the answer took.

    ``lacks`` names what of it the token has not, where permissions are what is lacking, and not the operation.
    """

    entity: str
    permission: str
    admin: bool
    allowed: bool
    ms: float
    note: str = ""
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """What ``check`` found. ``assumptions`` is empty where nobody asked for it."""

    workspace: str
    name: str
    server_time: str
    entities: list[Access]
    assumptions: dict[str, Finding] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """The permissions that the token lacks."""
        return sorted({each for access in self.entities for each in access.lacks})

    def as_json(self) -> dict[str, Any]:
        """Give the result as JSON; ``entities`` is the only list at its top."""
        return {**asdict(self), "missing": ", ".join(self.missing)}


@dataclass(frozen=True)
class ModelFound:
    """One model of the workspace. ``rows`` is None where the workspace has no SQL to count with."""

    dataset: str
    model: str
    table: str
    kind: str
    columns: int
    rows: int | None
    lane: str
    cursor: str
    last_emitted_at: str | None


@dataclass(frozen=True)
class Discovery:
    """What ``discover`` found."""

    entities: list[dict[str, Any]]
    models: list[ModelFound] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Give the result as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Preview:
    """The first rows of a model, typed as a sync would land them."""

    table: str
    rows: pa.Table

    def as_json(self) -> dict[str, Any]:
        """Give the rows as JSON."""
        return {"table": self.table, "rows": self.rows.to_pylist()}


@contextmanager
def opened(settings: Settings) -> Iterator[Session]:
    """Open a session that remembers nothing and writes nothing."""
    with CargoClient(settings) as client:
        session = Session(client, Options(in_flight=settings.in_flight), "explore", {}, None)
        try:
            yield session
        except Refused as refused:
            raise refused.error from None
        finally:
            session.close()


def check(settings: Settings, *, assumptions: bool = False) -> CheckResult:
    """Ask for a row of each entity, and for what the API leaves open where ``assumptions`` are wanted.

    Raises AuthError for a token that opens nothing.
    """
    with opened(replace(settings, wait_budget=min(settings.wait_budget, PATIENCE))) as session:
        now = session.now
        workspace = session.workspace or {}
        probes = {entity.table: _probe(session, entity) for entity in ENTITIES.values() if _stands_alone(entity)}
        entities = [probes.get(entity.table) or _as_parent(entity, probes) for entity in ENTITIES.values()]
        findings = {found.topic: found for found in look(session, FOLD)} if assumptions else {}
        return CheckResult(
            str(workspace.get("uuid", "")), str(workspace.get("name", "")), format_time(now), entities, findings
        )


def _stands_alone(entity: Entity) -> bool:
    """Say whether the list can be asked for without a parent."""
    if entity.call is None or "{" in entity.call.path:
        return False
    how = entity.reading
    return not entity.call.send or (isinstance(how, Gated) and (how.swept == "whole" or how.also is not None))


def _probe(session: Session, entity: Entity) -> Access:
    call, how = entity.listed_by, entity.reading
    if isinstance(how, Gated) and how.also:
        call = how.also
    params: dict[str, Any] = {**call.fixed, **({"limit": 1} if call.page else {})}
    match how:
        case Window(required=True, after=after):
            params[after] = format_time(session.now)
        case Metered(after=after, before=before):
            params |= dict.fromkeys((after, before), session.now.date().isoformat())
    started = time.perf_counter()
    note, refused = "", None
    try:
        if call.method == "GET":
            session.client.get(call.path, params).take(call.envelope)
        else:
            session.client.post(call.path, params, repeatable=True).take(call.envelope)
    except (PermissionDenied, NotFound) as error:
        refused, note = error, f"{error.status} {error.reason or ''}".strip()
    spent = (time.perf_counter() - started) * 1000
    lacks = (entity.needed,) if isinstance(refused, PermissionDenied) else ()
    return Access(entity.table, _needs(entity), entity.admin, refused is None, spent, note, lacks)


def _needs(entity: Entity) -> str:
    return ", ".join(permissions_of(entity))


def _as_parent(entity: Entity, probes: dict[str, Access]) -> Access:
    """Judge an entity that is read through others by what it is read through, which was asked for."""
    asked = [probes[each.table] for each in behind(entity)[1:] if each.table in probes]
    lacks = dict.fromkeys(lacking for each in asked for lacking in each.lacks)
    allowed = all(each.allowed for each in asked)
    note = f"as {', '.join(each.entity for each in asked)}"
    return Access(entity.table, _needs(entity), entity.admin, allowed, 0.0, note, tuple(lacks))


def discover(settings: Settings) -> Discovery:
    """List entities and models. Costs one request a model for its DDL and one to count its rows."""
    with opened(settings) as session:
        entities = [
            {
                "table": e.table,
                "key": ", ".join(e.key),
                "cursor": e.cursor,
                "evidence": e.evidence,
                "permission": _needs(e),
                "about": e.description,
            }
            for e in ENTITIES.values()
        ]
        return Discovery(entities, [_found(session, model) for model in list_models(session, FOLD)])


def _found(session: Session, model: Model) -> ModelFound:
    shape = shape_model(session, model, FOLD)
    rows = count_rows(session, shape)
    return ModelFound(
        dataset=model.dataset,
        model=model.slug,
        table=model.table,
        kind=str(model.row.get("kind")),
        columns=len(shape.columns),
        rows=rows,
        lane=_lane(session, shape),
        cursor="_emitted_at" if shape.has_emitted_at and session.can_export else "lastEmittedAt",
        last_emitted_at=model.row.get("lastEmittedAt"),
    )


def _lane(session: Session, shape: Shape) -> str:
    """Say by which lane a sync would read a model. That there is an export as csv shows when it is asked for only."""
    if not shape.stored:
        return PAGES
    if session.can_export:
        return EXPORT
    return CSV if session.once("segments", lambda: _probe(session, ENTITIES["segments"])).allowed else PAGES


def preview(settings: Settings, name: str, limit: int) -> Preview:
    """Give the first rows of the model called ``name``. Raises BadSettings for a name that fits none or several."""
    with opened(settings) as session:
        (model,) = choose(list_models(session, FOLD), [name])
        shape = shape_model(session, model, FOLD)
        decoder = Decoder(shape, session.run_id, session.pseudonym, session.surprises[shape.table])
        table = decoder.typed(RecordPages(session.client, shape, decoder).at(0)[:limit])
        return Preview(shape.table, table.drop_columns([column.name for column in OURS]))
