"""The blast radius of a push: which segments its rows would move, and which plays that would start.

What is foretold is what the write itself causes: membership by each segment's filter before and after, not what time
or others do meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa

from cargo_source.catalog import ENTITIES
from cargo_source.errors import NotFound, PermissionDenied
from cargo_source.pull.listings import Refused
from cargo_source.pull.pages import Row
from cargo_source.pull.records import Model
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Shape
from cargo_source.push.forecast import PlayForecast, Radius, SegmentForecast
from cargo_source.push.from_afar import Afar, has_metrics
from cargo_source.push.membership import KINDS, Members, Touched
from cargo_source.push.run_history import IDS_ASKED, RECENT, RULES, HistoryRefused, RunHistory
from cargo_source.push.segment_truth import Segments, Watch, is_evaluated

__all__ = ["PlayForecast", "Radius", "SegmentForecast", "Touched", "Watchers", "watchers"]


@dataclass(frozen=True)
class Runs:
    """How many runs a play would start, or else at most and why nobody can tell."""

    count: int | None
    at_most: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Watchers:
    """The segments that watch a model, and the enabled plays behind them.

    ``watches`` are segments of the model, each after those that it asks for. ``afar`` are segments of other models,
    with what they ask of this one. ``deployed`` are the workflows that can run,
    None where that cannot be seen. ``unknown`` says what could not be found out at all.
    """

    session: Session
    labels: Mapping[str, str]
    watches: tuple[Watch, ...] = ()
    afar: tuple[tuple[Row, str], ...] = ()
    plays: tuple[Row, ...] = ()
    deployed: frozenset[str] | None = None
    unknown: str | None = None

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the model by which filters and orders know a row; its id is always there."""
        return frozenset(column.field for watch in self.watches for column in watch.columns) - {"_id"}

    def radius(self, touched: Touched) -> Radius:
        """Foretell what the writing of rows would set off."""
        history = RunHistory(self.session)
        known = {watch.uuid: watch for watch in self.watches}
        reasons = {row["uuid"]: reason for row, reason in self.afar}
        plays = []
        with Members.of(touched, self.watches) as members:
            segments = [self._segment(members, watch) for watch in self.watches]
            for play in self.plays:
                if (watch := known.get(play["segmentUuid"])) is not None:
                    plays.append(_forecast(play, self._runs(play, watch, members, history), history))
                elif play["segmentUuid"] in reasons:
                    plays.append(_forecast(play, Runs(None, None, reasons[play["segmentUuid"]]), history))
        far = [self._told(row, (None, None, None), reason) for row, reason in self.afar]
        return Radius((*segments, *far), tuple(plays), self.unknown)

    def _segment(self, members: Members, watch: Watch) -> SegmentForecast:
        counts = members.counts(watch).values()
        entering, leaving, changed = (None if maybe else sure for sure, maybe in counts)
        unsure = any(maybe for _, maybe in counts)
        return self._told(watch.row, (entering, leaving, changed), members.reason(watch) if unsure else None)

    def _told(self, row: Row, counts: tuple[int | None, int | None, int | None], reason: str | None) -> SegmentForecast:
        label = self.labels.get(row["modelUuid"], str(row["modelUuid"]))
        return SegmentForecast(str(row["uuid"]), str(row["name"]), label, *counts, reason)

    def _runs(self, play: Row, watch: Watch, members: Members, history: RunHistory) -> Runs:
        """Count the runs that a play would start, or say why nobody can."""
        kinds = [kind for kind in KINDS if kind in (play.get("changeKinds") or ())]
        counts = [count for kind, count in members.counts(watch).items() if kind in kinds]
        sure, maybe = sum(sure for sure, _ in counts), sum(maybe for _, maybe in counts)
        most = sure + maybe
        if not most:
            return Runs(0)
        if watch.limit is not None:
            # Those that come and those that stay have to fit in, and so had those that go.
            most = min(most, watch.limit * (bool({"added", "updated"} & {*kinds}) + ("removed" in kinds)))
        if self.deployed is None:
            return Runs(None, most, "whether its workflow is deployed cannot be seen")
        rule = play.get("runCreationRule") or "always"
        if rule not in RULES:
            return Runs(None, most, "its rule of when a record runs again is not known")
        chunks = members.ids(watch, kinds, IDS_ASKED)
        if rule != "always" and (first := next(chunks, None)) is not None:
            # New rows have never run, so they are never asked for.
            try:
                barred = history.barred(str(play["workflowUuid"]), rule, chain([first], chunks))
            except HistoryRefused as refused:
                return Runs(None, most, str(refused))
            sure, maybe = members.left(watch, kinds, pa.table({"id": pa.array(barred, pa.string())}))
        return Runs(None, min(most, sure + maybe), members.reason(watch)) if maybe else Runs(sure)


def watchers(session: Session, model: Model, models: Sequence[Model], shape: Shape) -> Watchers:
    """Find out which segments and plays watch a model. What the token may not list is said to be unknown."""
    listed = {table: _listed(session, table) for table in ("segments", "plays", "workflows")}
    relationships = _listed(session, "relationships") if has_metrics(models) else []
    rows = {str(row["uuid"]): row for row in listed["segments"] or ()}
    segments = Segments(rows, model, models, shape, session.now)
    for uuid, row in rows.items():
        if row["modelUuid"] == model.uuid and is_evaluated(row):
            segments.watch(uuid)
    deployed = _deployed(listed["workflows"])
    unlisted = [table for table in ("segments", "plays") if listed[table] is None]
    return Watchers(
        session,
        {each.uuid: f"{each.dataset}.{each.slug}" for each in models},
        tuple(segments.watches.values()),
        tuple(Afar(rows, model, models, relationships).found()),
        tuple(play for play in listed["plays"] or () if _is_on(play, deployed)),
        deployed,
        f"the token may not list {' and '.join(unlisted)}" if unlisted else None,
    )


def _listed(session: Session, table: str) -> list[Row] | None:
    """Have a list asked for anew, as what watches a model may change between two plans; None is one that is refused."""
    entity = ENTITIES[table]
    try:
        return [row for page in session.lists.rows(entity, entity.listed_by, {}, None) for row in page]
    except (Refused, PermissionDenied, NotFound):
        return None


def _deployed(workflows: list[Row] | None) -> frozenset[str] | None:
    """Give the workflows that can run; None where that cannot be seen."""
    if workflows is None:
        return None
    return frozenset(str(row["uuid"]) for row in workflows if row.get("deployedRelease") and not row.get("deletedAt"))


def _is_on(play: Row, deployed: frozenset[str] | None) -> bool:
    """Say whether a play can start anything."""
    able = deployed is None or play.get("workflowUuid") in deployed
    return bool(play.get("isEnabled")) and not play.get("deletedAt") and able


def _forecast(play: Row, runs: Runs, history: RunHistory) -> PlayForecast:
    spent, why_not = None, None
    try:
        spent = history.credits(str(play["workflowUuid"]))
        if spent is None:
            why_not = f"it has not run in the last {RECENT.days} days"
    except HistoryRefused as refused:
        why_not = str(refused)
    whose = (str(play["uuid"]), str(play["name"]), str(play["segmentUuid"]))
    return PlayForecast(*whose, runs.count, spent, runs.reason, runs.at_most, why_not)
