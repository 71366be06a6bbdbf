"""The notebook's door: what a workspace holds, and its rows as Arrow, pandas, polars or DuckDB.

>>> from cargo_source import Workspace
>>> ws = Workspace()  # doctest: +SKIP
>>> ws.read("companies", where="employees > 50").df()  # doctest: +SKIP
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cargo_source.api import CargoClient
from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings, NotFound, PermissionDenied
from cargo_source.explore import FOLD
from cargo_source.holdings import Change, Holding, ModelInfo, Segment, also_called
from cargo_source.pull.connection import find_settings
from cargo_source.pull.listings import Refused
from cargo_source.pull.options import Options
from cargo_source.pull.picked import Picked, pick_model
from cargo_source.pull.picking import Names, Pick, pick
from cargo_source.pull.records import choose, list_models, shape_model
from cargo_source.pull.segment_rows import SegmentRead, change_shape, check_filter, pick_change, pick_segment
from cargo_source.pull.session import Session, Watch
from cargo_source.push.applying import Applying
from cargo_source.push.brakes import Limits
from cargo_source.push.compare import Mode
from cargo_source.push.facts import Facts
from cargo_source.push.ledger import Ledger
from cargo_source.push.ledger_places import ledger_in
from cargo_source.push.plan import Plan
from cargo_source.push.planning import Planning, Wish
from cargo_source.push.report import PushReport
from cargo_source.push.store import PlanStore
from cargo_source.push.target import Columns, Target
from cargo_source.rows import Rows, Source
from cargo_source.settings import Secret, Settings

DEFAULT_LEDGER = Path(".cargo-source") / "pushes.duckdb"
"""Where what was pushed is remembered, unless somewhere else is named."""


def _unwatched(_what: str, _rows: int, _total: int | None) -> None:
    """Look at nothing."""


class Workspace:
    """A Cargo workspace, to look around in and to read from.

    Settings that are not given come from the environment (``CARGO_API_TOKEN``, ``CARGO_API_URL``), then from dlt's
    configuration (``[sources.cargo]``); raises BadSettings where there is no token. Nothing is asked of the workspace
    until something of it is wanted. What is in it is asked for once: :meth:`refresh` has it asked for again.
    """

    def __init__(self, token: str | Secret | None = None, url: str | None = None) -> None:
        hidden = Secret(token) if isinstance(token, str) else token
        # A traceback may show the variables of this frame.
        del token
        self._settings = find_settings(hidden, url)
        self._session: Session | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Workspace at {self._settings.url}{', closed' if self._closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and remove the files of all rows that were read."""
        self._closed = True
        if self._session is not None:
            self._session.close()
            self._session = None

    def refresh(self) -> None:
        """Forget which models, segments and changes there are. Rows that were read stay."""
        self._session = None

    # What there is -------------------------------------------------------------------------------------------------

    @property
    def models(self) -> Holding[ModelInfo]:
        """The models, by any of their names: ``ws.models["companies"].columns``."""
        with self._asking() as session:
            models = list_models(session, FOLD)
        found = [ModelInfo(model) for model in sorted(models, key=lambda model: (model.dataset, model.slug))]
        return Holding("models", found, ModelInfo.HEADERS, lambda name: ModelInfo(choose(models, [name])[0]))

    def model(self, name: str) -> ModelInfo:
        """Give the model with a slug, ``dataset.slug``, uuid or table.

        Raises BadSettings for a name that fits none, with a suggestion, or several, which it tells.
        """
        return self.models[name]

    @property
    def segments(self) -> Holding[Segment]:
        """The segments by name, slug or uuid: those that somebody saved, then those that plays made, by their play."""
        with self._asking() as session:
            models = {model.uuid: model for model in list_models(session, FOLD)}
            rows = session.once("segments listed", partial(self._listed, session, "segments"))
            plays = session.once("plays named", partial(self._plays, session))
        called = Counter([name for row in rows for name in (row.get("name"), row.get("slug"))] + [*plays.values()])
        found = []
        for row in rows:
            if row["modelUuid"] in models:
                play = plays.get(row["uuid"]) if row.get("fromPlay") else None
                found.append(Segment(row, models[row["modelUuid"]], play, play if called[play] == 1 else None))
        found.sort(key=lambda each: (bool(each.row.get("fromPlay")), (each.play or each.name).casefold()))
        return Holding("segments", found, Segment.HEADERS)

    def _plays(self, session: Session) -> dict[str, str]:
        """Give the names of plays by their segment; none where the token may not list them."""
        try:
            rows = self._listed(session, "plays")
        except (Refused, PermissionDenied, NotFound):
            return {}
        return {str(row["segmentUuid"]): str(row["name"]) for row in rows if row.get("segmentUuid")}

    def segment(self, name: str) -> Segment:
        """Give the segment with a name, slug or uuid, or a play's by the play. Raises BadSettings as :meth:`model`."""
        return self.segments[name]

    def changes(self, segment: "str | Segment") -> Holding[Change]:
        """Give the changes of a segment, the newest first: each is what an evaluation of it found."""
        chosen = self.segment(segment) if isinstance(segment, str) else segment
        with self._asking() as session:
            rows = self._listed(session, "changes", {"uuid": chosen.uuid})
        newest = sorted(rows, key=lambda row: str(row["createdAt"]), reverse=True)
        return Holding("changes", [Change(row, chosen) for row in newest], Change.HEADERS)

    @staticmethod
    def _listed(session: Session, table: str, parent: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        entity = ENTITIES[table]
        return [row for page in session.lists.rows(entity, entity.listed_by, {}, parent) for row in page]

    # Rows ----------------------------------------------------------------------------------------------------------

    def read(
        self,
        what: "str | ModelInfo | Segment | Change",
        columns: str | Sequence[str] | None = None,
        where: str | None = None,
        limit: int | None = None,
    ) -> Rows:
        """Give the rows of a model, those in a segment, or those of a change.

        A text names a model. ``columns`` are names of the destination, slugs or labels. ``where`` is one SQL condition
        over them, in DuckDB's words: ``"employees > 50 and country = 'FR'"``. ``limit`` is the most rows, the first by
        record id. No row is asked for until a result is; a name that does not exist is refused at once, with a
        suggestion (BadSettings).
        """
        target = self.model(what) if isinstance(what, str) else what
        label = target.label
        source = partial(self._source, target)
        rows = Rows(label, source, lambda names: pick(names, columns, where, limit))
        return rows if columns is None and where is None and limit is None else rows.check()

    def _source(self, target: ModelInfo | Segment | Change) -> Source:
        model = target.model
        with self._asking() as session:
            shape = session.once(("shape", model.uuid), lambda: shape_model(session, model, FOLD))
            read: Callable[[Pick], Picked]
            if isinstance(target, Segment):
                segment = SegmentRead(target.label, target.row, shape)
                check_filter(segment, [each.row for each in list_models(session, FOLD)])
                read = partial(pick_segment, session, segment)
            elif isinstance(target, Change):
                shape = change_shape(shape)
                read = partial(pick_change, session, target.uuid, shape)
            else:
                read = partial(pick_model, session, shape)
        names = Names(target.label, shape.columns, also_called(model, shape))
        return Source(target.label, session, names, partial(self._read, session, read))

    def _read(self, session: Session, read: Callable[[Pick], Picked], wanted: Pick) -> Picked:
        with self._asking(session):
            return read(wanted)

    # Writing -------------------------------------------------------------------------------------------------------

    def push(  # noqa: PLR0913 - each is a wish of its own
        self,
        data: Any,
        model: "str | ModelInfo",
        *,
        key: str,
        mode: Mode = "upsert",
        columns: Columns = None,
        database: Any = None,
        nulls: str = "write",
        ledger: Any = None,
        limits: Limits | None = None,
        watch: Watch = _unwatched,
        allow_connector_models: bool = False,
        remove_untracked: bool = False,
        try_dates: bool = False,
        ledger_keys: str = "hash",
    ) -> Plan:
        """Plan to write a table into a model. Nothing is sent before :meth:`Plan.apply`.

        ``data`` is a pandas, polars or Spark frame, anything of pyarrow, a DuckDB relation, what :meth:`read` gives,
        the path of a parquet file, or, with ``database`` (a dlt pipeline, a DuckDB file, a URL), a query. Rows are told
        apart by ``key``. ``mode`` is insert (new ones only), update (known ones only), upsert (both), mirror (both, and
        records that were pushed before and are not in the source go) or fill_empty (cells that are null). ``columns``
        lists the columns to push, or maps them to the model's. A null is written; ``nulls`` "skip" leaves its cell as
        it is, "error" refuses its row. ``ledger`` is where the record of all pushes is: a DuckDB file, or a dlt
        pipeline; it knows keys by their digests, with ``ledger_keys`` "clear" as they are. ``limits`` are the brakes.

        Three things have to be allowed: to write to a model that a connector fills as well, to have a mirror remove
        records that were never pushed from here, and to write dates to a native model, which may not keep them.

        Raises BadSettings and FixTheData that say what cannot be pushed, and what a read of the model raises.
        """
        wish = Wish(
            key=key,
            mode=mode,
            columns=columns,
            nulls=nulls,
            allow_connector_models=allow_connector_models,
            remove_untracked=remove_untracked,
            try_dates=try_dates,
            ledger_keys=ledger_keys,
        )
        return self._planned(data, model, wish, database, ledger, limits or Limits(), watch)

    def _planned(
        self,
        data: Any,
        model: "str | ModelInfo",
        wish: Wish,
        database: Any,
        ledger: Any,
        limits: Limits,
        watch: Watch,
    ) -> Plan:
        remembered = self._ledger(ledger, database)
        with self._asking() as session, ExitStack() as compared:
            chosen = (self.model(model) if isinstance(model, str) else model).model
            target = Target(chosen, shape_model(session, chosen, FOLD))
            planning = Planning(session, target, list_models(session, FOLD), remembered, wish, watch)
            if is_of_spark(data):
                planning.let_settle()
                data = compared.enter_context(_differing(data, planning, self._settings))
            store, facts = planning.plan(data, database)
        return self._plan(store, facts, remembered, limits, watch)

    def retry(
        self,
        data: Any,
        model: str | None = None,
        *,
        database: Any = None,
        ledger: Any = None,
        watch: Watch = _unwatched,
    ) -> Plan:
        """Plan to push the rows again that were rejected, out of a source that is read again.

        They go as they went the last time that something was pushed to that model (a mirror removes nothing now); a
        ledger that knows of one model alone needs no ``model``. Raises BadSettings where nothing was pushed yet.
        """
        last = self._ledger(ledger, database).last(model)
        mode: Mode = "upsert" if last["mode"] == "mirror" else last["mode"]
        wish = Wish(
            key=last["key"],
            mode=mode,
            columns=last["columns"],
            nulls=last["nulls"],
            allow_connector_models=True,
            try_dates=True,
            only_rejected=True,
            ledger_keys=last["ledger_keys"],
        )
        # None of them may be in the source any more, or in the model.
        limits = Limits(None, None, None, allow_empty=True, allow_no_known_key=True)
        return self._planned(data, last["model_uuid"], wish, database, ledger, limits, watch)

    def load_plan(
        self, path: str | Path, *, ledger: Any = None, limits: Limits | None = None, watch: Watch = _unwatched
    ) -> Plan:
        """Open a plan that was saved, to look at it or to apply it. Raises BadSettings where the file is none."""
        store = PlanStore.opened(Path(path))
        return self._plan(store, store.recounted(), self._ledger(ledger, None), limits or Limits(), watch)

    def _plan(self, store: PlanStore, facts: Facts, ledger: Ledger, limits: Limits, watch: Watch) -> Plan:
        def apply(store: PlanStore, facts: Facts, watch: Watch) -> PushReport:
            with self._asking() as session:
                chosen = choose(list_models(session, FOLD), [facts.model_uuid])[0]
                target = Target(chosen, shape_model(session, chosen, FOLD))
                try:
                    return Applying(session, target, store, facts, ledger, watch=watch).run()
                finally:
                    if target.takes_ingest:
                        # It may have columns now that it had not.
                        self.refresh()

        return Plan(store, facts, limits, apply).watched(watch)

    @staticmethod
    def _ledger(ledger: Any, database: Any) -> Ledger:
        if ledger is None:
            ledger = database if hasattr(database, "sql_client") else DEFAULT_LEDGER
        return ledger_in(ledger)

    @contextmanager
    def _asking(self, session: Session | None = None) -> Iterator[Session]:
        """Give the session, and have a refusal told as what it is."""
        if self._closed:
            raise BadSettings("this workspace is closed: make another Workspace()")
        if session is None:
            session = self._session = self._session or _session(self._settings)
        try:
            yield session
        except Refused as refused:
            raise refused.error from None


def is_of_spark(data: Any) -> bool:
    """Say whether something is a frame of Spark's, which need not be installed."""
    return type(data).__module__.startswith("pyspark.sql.") and hasattr(data, "mapInArrow")


def _differing(frame: Any, planning: Planning, settings: Settings) -> AbstractContextManager[Any]:
    from cargo_source.spark.narrowing import differing

    # What became of rows without an answer is looked for among all rows, and what was rejected is known by its key.
    whole = planning.wish.only_rejected or bool(planning.unanswered())
    return differing(frame, planning.target, planning.wish, settings, whole=whole)


def _session(settings: Any) -> Session:
    return Session(CargoClient(settings), Options(in_flight=settings.in_flight), "workspace", {}, None)
