"""One sync's reading of a workspace: each entity once, however many tables come out of it, each request shared.

A row goes from the wire through :mod:`pages`, :mod:`reading` (what to ask for), :mod:`typed` and :mod:`spool`; only
when the whole entity has been read does dlt see it. A read that fails leaves the destination as it was.
"""

import contextvars
import logging
import threading
import time
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from cargo_source import __version__
from cargo_source.api import CargoClient, Reply
from cargo_source.catalog import ENTITIES
from cargo_source.catalog.columns import Column, snake_case
from cargo_source.catalog.entity import SWEEP_HOURS, Derived, Entity, Snapshot, Unfolded
from cargo_source.errors import (
    BadSettings,
    CargoError,
    NotFound,
    PermissionDenied,
    SettingsError,
    UnexpectedShape,
)
from cargo_source.pull.declared import Declared, Typing
from cargo_source.pull.digest import digest_of
from cargo_source.pull.evidence import WHOLE, Evidence, Proof
from cargo_source.pull.landed import Destination, Nothing
from cargo_source.pull.listings import Lists
from cargo_source.pull.manifest import Header, Manifest, Progress
from cargo_source.pull.memory import Memory
from cargo_source.pull.once import Onces
from cargo_source.pull.options import Options
from cargo_source.pull.pages import Row
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Sheet, Spool, Spooled
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.times import Span, format_time, parse_time, time_at
from cargo_source.pull.typed import arrow_schema, arrow_table
from cargo_source.pull.unfolding import children_of

if TYPE_CHECKING:
    from cargo_source.api.stats import Counts

log = logging.getLogger("cargo_source")
T = TypeVar("T")
R = TypeVar("R")

Watch = Callable[[str, int, int | None], None]
"""Told of progress: table, rows so far, total where the API names one."""


@dataclass
class Read:
    """What one reading of an entity gave: sheets by table, and what others need to know of it.

    ``rows`` are those that children or state need, ``values`` the values of fields that show what moved elsewhere.
    ``listed`` is when each row last moved, where rows were listed that did not land; None where all that moved landed.
    """

    sheets: dict[str, Spooled] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    values: dict[str, set[Any]] = field(default_factory=dict)
    listed: dict[Any, datetime | None] | None = None


WATCHED_BY: ContextVar[Watch | None] = ContextVar("WATCHED_BY", default=None)
"""Who is told of a reading in place of the session's own watcher: several may read in one session."""

ReadEntity = Callable[["Session", str, Span], Read]
"""Reads an entity in a span, as :func:`cargo_source.pull.reading.read_entity` does."""


class Session:
    """Everything that one extract shares: the client, the server's time, the spool, and what was read already."""

    def __init__(
        self,
        client: CargoClient,
        options: Options,
        run_id: str,
        state: dict[str, Any],
        destination: Destination | None,
        tables: frozenset[str] = frozenset(),
        shared: Onces | None = None,
    ) -> None:
        self.client, self.options, self.run_id, self.state = client, options, run_id, state
        self.destination: Destination = destination or Nothing()
        self.memory = Memory(state, self.destination, options, run_id)
        self.tables = tables
        self.asked: dict[str, list[Counts]] = defaultdict(list)
        """What was asked of the API for each of ``tables``, those that this sync loads."""
        self.spool = Spool(options.spool_dir)
        self.manifest = Manifest(self.spool)
        # Under a plain pipeline.run() nobody says when it is over.
        weakref.finalize(self, _clean, self.spool, client)
        self.watch: Watch = lambda _table, _rows, _total: None
        self.starts_over = False
        """Whether a load that is cut off is dropped, so that tables may be written without merging."""
        self.sleep: Callable[[float], None] = time.sleep
        self.waited = 0.0
        """Seconds that were waited for what Cargo is writing."""
        self._pool = ThreadPoolExecutor(options.in_flight, thread_name_prefix="cargo-read")
        # Who takes the results is sometimes busy with them; the pool goes on meanwhile.
        self._ahead = 2 * options.in_flight
        self._onces = Onces()
        self.shared = shared
        """What the windows of a backfill read once for all of them: the server's time, whole lists."""
        self.handed = Onces()
        """What the resources ask for, by table; it may have been read ahead."""
        self._lock = threading.Lock()
        self.lists = Lists(self)
        self.can_export = self.can_download = True
        self.lanes: dict[str, str] = {}
        """Lanes that were taken in place of the usual one."""
        self.gone: Counter[str] = Counter()
        """Rows that are here and that Cargo has no more, by table."""
        self.vanished: set[tuple[str, object]] = set()
        """Tables and uuids of parents that vanished while their rows were read."""
        self.surprises: dict[str, Surprises] = defaultdict(Surprises)
        """What came that the catalogue does not know, by table."""
        self.proofs: dict[str, Evidence] = {}
        """What the reads of each table show, as :meth:`shown` gathers it."""

    @property
    def windowed(self) -> bool:
        """Say whether a window was given from outside: then no state moves, and nothing is known to be deleted."""
        return self.options.window is not None

    def forget_rows(self) -> None:
        """Let go of the rows that readings hold for one another; what is :attr:`handed` lies in files."""
        self._onces = Onces()

    def close(self, *, keep: bool = False) -> None:
        """Stop reading, close the connections and remove the spool; ``keep`` leaves it for the next sync to go on."""
        # Nobody may write into the spool any more when it is handed on.
        self._pool.shutdown(wait=keep, cancel_futures=True)
        self.spool.close(keep=keep)
        self.client.close()

    def told(self, table: str, rows: int, total: int | None) -> None:
        """Tell of progress. What a watcher raises ends the reading."""
        (WATCHED_BY.get() or self.watch)(table, rows, total)

    # Shared work -------------------------------------------------------------------------------------------------

    def once(self, what: object, make: Callable[[], T]) -> T:
        """Do something the first time that it is asked for; others who ask wait for it, and share its failure."""
        return self._onces.get(what, make)

    def reading(self, table: str, how: tuple[object, ...], make: Callable[[], T]) -> T:
        """Read an entity the first time that it is asked for. Its requests are its own, whoever asked first."""

        def read() -> T:
            if table not in self.tables:
                return make()
            with self.client.stats.scope(apart=True) as asked:
                try:
                    return make()
                finally:
                    with self._lock:
                        self.asked[table].append(asked)

        if self.shared is not None and isinstance(ENTITIES[table].reading, Snapshot):
            return self.shared.get(("read", table, *how), read)
        return self.once(("read", table, *how), read)

    def many(self, function: Callable[[T], R], items: Iterable[T], *, slow_start: bool = False) -> Iterator[R]:
        """Run ``function`` over ``items``, several at once, and give the results in order.

        Items are taken as results are: there may be no end of them. ``slow_start`` runs no further ahead than results
        were taken, for items of which nobody knows how many are wanted. Must not be called from inside another
        ``many``: the pool would wait for itself.
        """
        waiting: deque[Future[R]] = deque()
        ahead = 1 if slow_start else self._ahead
        left = iter(items)
        try:
            while True:
                for item in islice(left, ahead - len(waiting)):
                    waiting.append(self._pool.submit(contextvars.copy_context().run, function, item))
                if not waiting:
                    return
                result = waiting.popleft().result()
                yield result
                ahead = min(ahead + 1, self._ahead)
        finally:
            for future in waiting:
                future.cancel()

    def each(self, function: Callable[[T], object], items: Iterable[T]) -> None:
        """Run ``function`` over ``items``, several at once, for what it does."""
        for _ in self.many(function, items):
            pass

    # What shows that rows are complete ---------------------------------------------------------------------------

    def shown(self, table: str) -> Evidence:
        """Give the evidence that reads of ``table`` itself add to."""
        with self._lock:
            return self.proofs.setdefault(table, Evidence())

    def evidence(self, table: str) -> Evidence:
        """Give what stands behind the rows of ``table``, whose ever reads they come from.

        ``proven`` says whether something speaks for all of them; only then may a delete be derived from what is absent.
        """
        reading = ENTITIES[table].reading if table in ENTITIES else None
        match reading:
            case Unfolded(parent=parent):
                parents: tuple[str, ...] = (parent,)
            case Derived(parents=several):
                parents = several
            case _:
                return self.shown(table)
        return self.shown(table).merged(*(self.evidence(parent) for parent in parents))

    # The workspace and its time ----------------------------------------------------------------------------------

    @property
    def workspace(self) -> Row | None:
        """The workspace, or None where the token may not see it."""
        reply = self._workspace()
        return reply[0]

    @property
    def now(self) -> datetime:
        """The server's time when this session first spoke to it: the end of every window of this sync."""
        return self._workspace()[1]

    def _workspace(self) -> tuple[Row | None, datetime]:
        return self.reading("workspaces", ("met",), self._meet)

    def _meet(self) -> tuple[Row | None, datetime]:
        reply, row = self._first_answer()
        workspace = row if row and "workspaceUuid" not in row else None
        if workspace:
            self.shown("workspaces").add(Proof(WHOLE))
        uuid = (row or {}).get("uuid" if workspace else "workspaceUuid")
        known = self.state.get("workspace")
        if uuid and known and known != uuid:
            raise SettingsError(
                f"this state belongs to workspace {known}, the token to {uuid}: use that workspace's token,"
                " or another --state-dir and --dataset (pipeline and dataset) for this one"
            )
        if uuid:
            self.state["workspace"] = uuid
        read_with = [uuid, self.client.settings.url, self.memory.basis, self.options.identity(), __version__]
        header = self.manifest.begin(
            Header(digest_of([*read_with, sorted(self.tables)]), server_time(reply), self.run_id)
        )
        # One that goes on keeps to the window that it began with: all of it then is of one time.
        self.run_id = header.run_id
        return workspace, header.now

    def progress(self, reading: str, sheets: Mapping[str, Sheet]) -> Progress:
        """Give the progress of a reading into ``sheets``, with what came before an earlier sync was cut off."""
        return self.manifest.progress(reading, sheets)

    def _first_answer(self) -> tuple[Reply, Row | None]:
        """Give the first answer that the token gets, with the workspace, or else with something that names it."""
        try:
            reply = self.client.get("workspaceManagement/workspaces/current")
            return reply, reply.take("workspace")
        except PermissionDenied as error:
            refused: CargoError = error
        for table in GREETINGS:
            call = ENTITIES[table].listed_by
            try:
                reply = self.client.get(call.path)
            except (PermissionDenied, NotFound):
                continue
            return reply, next(iter(reply.take(call.envelope)), None)
        raise refused

    @property
    def pseudonym(self) -> Pseudonym:
        """What personal values are replaced by: the same for the same value, in this workspace."""
        key = self.client.settings.pii_key
        return Pseudonym(key.reveal() if key else str(self.state.get("workspace", "")))

    @property
    def since(self) -> datetime:
        """Where history starts, for operations that demand a start."""
        if self.options.since is not None:
            return self.options.since
        created = time_at(self.workspace or {}, "createdAt")
        # A workspace that the token may not see: Cargo did not exist before.
        return created or parse_time("2020-01-01T00:00:00Z")

    # Windows and columns ----------------------------------------------------------------------------------------

    def span(self, table: str) -> Span:
        """Give the window that ``table`` has to read: from its watermark less the lookback until now."""
        if self.options.window is not None:
            return self.once("window", self._window)
        kept = self.memory.table_state(table)
        if not kept:
            if self.options.since is not None and self.options.since > self.now:
                raise BadSettings(
                    f"since: {format_time(self.options.since)} is still to come; nothing before it would ever load"
                )
            return Span(self.options.since, self.now, swept=self.options.since)
        swept = parse_time(kept["swept_at"])
        return Span(
            parse_time(kept["watermark"]) - self.options.lookback,
            self.now,
            sweep=self.now - swept >= timedelta(hours=SWEEP_HOURS),
            swept=swept - self.options.lookback,
        )

    def _window(self) -> Span:
        given = self.options.window
        if given is None:
            raise TypeError("there is no window")
        if given.is_ahead_of(self.now):
            log.warning("the window %s ends after Cargo's present: it is loaded until then", given)
        return given.span(self.now)

    # Reading -----------------------------------------------------------------------------------------------------

    def columns(self, entity: Entity) -> tuple[Column, ...]:
        """Give the columns of ``entity`` that this sync lands."""
        return self.options.columns(entity)

    def sheet(self, entity: Entity) -> Sheet:
        """Start the sheet of an entity's table."""
        typing = self._typing(entity)
        return self.spool.sheet(arrow_schema(typing.columns), entity.key, typing.one_by_one)

    def family(self, entity: Entity) -> dict[str, Sheet]:
        """Start the sheets of an entity's table and of what is unfolded from its rows: these fill as it does."""
        declared = self.declared(entity)
        inside = {child.table: self.sheet(child) for child in declared.children}

        def typed(rows: list[Any]) -> Any:
            tables = declared.typed(rows)
            for table, sheet in inside.items():
                for each in tables[table]:
                    sheet.add_table(each)
            return pa.concat_tables(tables[entity.table])

        return {entity.table: self.spool.sheet(arrow_schema(self.columns(entity)), entity.key, typed), **inside}

    def declared(self, entity: Entity) -> Declared:
        """Give what reads the pages of an entity and types its rows."""

        def make() -> Declared:
            typing = {each.table: self._typing(each) for each in (entity, *children_of(entity.table))}
            return Declared(entity, typing, self.run_id, lambda: self.pseudonym, self.spool)

        return self.once(("declared", entity.table), make)

    def _typing(self, entity: Entity) -> Typing:
        columns = self.columns(entity)
        known = entity.fields

        def one_by_one(rows: Sequence[Row]) -> Any:
            return arrow_table(
                rows,
                columns,
                known=known,
                run_id=self.run_id,
                dropped=entity.dropped,
                pseudonym=self.pseudonym,
                surprises=self.surprises[entity.table],
                shy=lambda field: self.options.shaping.hides(entity.table, snake_case(field)),
            )

        return Typing(columns, one_by_one, self.surprises[entity.table])


def _clean(spool: Spool, client: CargoClient) -> None:
    spool.close()
    client.close()


GREETINGS = ("datasets", "segments", "connectors", "workflows", "agents", "libraries", "folders")
"""Lists of one answer, one of each group that has one.

Billing and the query log have none: a token for these alone finds out nowhere whose workspace it is, and cannot sync.
"""


def server_time(reply: Reply) -> datetime:
    """Give the server's own time of an answer. Raises UnexpectedShape without one: incremental reads rest on it."""
    if reply.server_time is None:
        raise UnexpectedShape("the server answered without a Date header, which incremental reads rest on")
    return reply.server_time
