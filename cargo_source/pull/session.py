"""One sync's reading of a workspace: each entity once, however many tables come out of it, each request shared.

A row goes from the wire through :mod:`pages`, :mod:`reading` (what to ask for), :mod:`typed` and :mod:`spool`; only
when the whole entity has been read does dlt see it. A read that fails leaves the destination as it was.
"""

import contextvars
import logging
import threading
import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from cargo_source import __version__
from cargo_source.api import CargoClient, Reply
from cargo_source.catalog import ENTITIES
from cargo_source.catalog.columns import Column, snake_case
from cargo_source.catalog.entity import SWEEP_HOURS, Call, Entity, Snapshot
from cargo_source.errors import (
    CargoError,
    NotFound,
    PermissionDenied,
    RequestRefused,
    SettingsError,
    UnexpectedShape,
)
from cargo_source.pull.digest import digest_of
from cargo_source.pull.landed import Destination, Nothing
from cargo_source.pull.manifest import Header, Manifest, Progress
from cargo_source.pull.memory import Memory
from cargo_source.pull.once import Onces
from cargo_source.pull.options import Options
from cargo_source.pull.pages import Page, Row, read_list
from cargo_source.pull.shaping import Pseudonym
from cargo_source.pull.spool import Sheet, Spool, Spooled
from cargo_source.pull.surprises import Surprises
from cargo_source.pull.times import Span, parse_time, time_at
from cargo_source.pull.typed import arrow_schema, arrow_table

log = logging.getLogger("cargo_source")
T = TypeVar("T")
R = TypeVar("R")

Watch = Callable[[str, int, int | None], None]
"""Told of progress: table, rows so far, total where the API names one."""


class Refused(Exception):
    """The first request for an entity was refused; ``error`` says how."""

    def __init__(self, table: str, error: CargoError) -> None:
        super().__init__(f"{table}: {error}")
        self.table, self.error = table, error


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
        self.requests: Counter[str] = Counter()
        """Requests that were made for each of ``tables``, those that this sync loads."""
        self.spool = Spool(options.spool_dir)
        self.manifest = Manifest(self.spool)
        # Under a plain pipeline.run() nobody says when it is over.
        weakref.finalize(self, _clean, self.spool, client)
        self.watch: Watch = lambda _table, _rows, _total: None
        self.starts_over = False
        """Whether a load that is cut off is dropped, so that tables may be written without merging."""
        self._pool = ThreadPoolExecutor(options.in_flight, thread_name_prefix="cargo-read")
        # Who takes the results is sometimes busy with them; the pool goes on meanwhile.
        self._ahead = 2 * options.in_flight
        self._onces = Onces()
        self.shared = shared
        """What the windows of a backfill read once for all of them: the server's time, whole lists."""
        self.handed = Onces()
        """What the resources ask for, by table; it may have been read ahead."""
        self._lock = threading.Lock()
        self._answered: set[str] = set()
        self._instead: set[str] = set()
        self.can_export = self.can_download = True
        self.lanes: dict[str, str] = {}
        """Lanes that were taken in place of the usual one."""
        self.gone: Counter[str] = Counter()
        """Rows that are here and that Cargo has no more, by table."""
        self.vanished: set[tuple[str, object]] = set()
        """Tables and uuids of parents that vanished while their rows were read."""
        self.surprises: dict[str, Surprises] = defaultdict(Surprises)
        """What came that the catalogue does not know, by table."""

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
                        self.requests[table] += asked.requests

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
        columns = self.columns(entity)
        known = entity.fields

        def typed(rows: list[Row]) -> Any:
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

        return self.spool.sheet(arrow_schema(columns), entity.key, typed)

    def listing(
        self,
        entity: Entity,
        call: Call,
        params: Mapping[str, Any],
        parent: Row | None = None,
        *,
        parallel: bool = False,
        most: int | None = None,
    ) -> Iterator[list[Row]]:
        """Give the rows of one list operation, page by page, each key once.

        Raises TooLong, before any row, where the server counts more than ``most``.

        A parent that vanished meanwhile has no rows. Raises Refused where the very first answer for this entity is
        that the token may not, or that there is no such operation.
        """
        try:
            for page in self._pages(entity, call, params, parent, parallel=parallel, most=most):
                self._answered.add(entity.table)
                yield [_renamed(row, entity.aliases) for row in page] if entity.aliases else page
        except NotFound as error:
            if parent is not None and (error.reason or "").endswith("NotFound"):
                log.info("%s: its parent vanished meanwhile", entity.table)
                self.vanished.add((entity.table, parent.get("uuid")))
                return
            if entity.table in self._answered:
                raise
            raise Refused(entity.table, error) from error
        except PermissionDenied as error:
            if entity.table in self._answered:
                raise
            raise Refused(entity.table, error) from error

    def first_page(self, entity: Entity, params: Mapping[str, Any]) -> list[Row]:
        """Give the first page of an entity's list, for a hint: there may be more."""
        call = entity.listed_by
        rows: list[Row] = self._ask(call, call.path, {**params, "limit": call.page}).take(call.envelope)
        return rows

    def _pages(
        self,
        entity: Entity,
        call: Call,
        params: Mapping[str, Any],
        parent: Row | None,
        *,
        parallel: bool,
        most: int | None,
    ) -> Iterator[list[Row]]:
        path = call.path.format_map(parent) if parent is not None else call.path
        sent = {
            **call.fixed,
            **{name: parent.get(source) for name, source in call.send.items() if parent and not name.endswith("[]")},
            **{name[:-2]: [parent.get(source)] for name, source in call.send.items() if parent and name.endswith("[]")},
            **params,
        }
        if not call.page:
            rows = self._ask(call, path, sent).take(call.envelope)
            if not rows and self.memory.had_rows(entity):
                # A list that was not empty is not believed to be so at its first word.
                rows = self._ask(call, path, sent).take(call.envelope)
            # An object under a singular key is a list of one.
            yield rows if isinstance(rows, list) else [rows]
            return

        def fetch(offset: int, limit: int) -> Page:
            reply = self._ask(call, path, {**sent, "limit": limit, "offset": offset})
            count = reply.json().get("count") if call.counted else None
            return Page(reply.take(call.envelope), count if isinstance(count, int) else None)

        many = self.many if parallel else map
        yield from read_list(
            fetch, call.page, key_of(entity), many, what=entity.table, confirm=parent is None, most=most
        )

    def _ask(self, call: Call, path: str, params: Mapping[str, Any]) -> Reply:
        if path in self._instead and call.instead:
            return self._send(*call.instead, params)
        try:
            return self._send(call.method, path, params)
        except (NotFound, RequestRefused) as error:
            if call.instead is None or error.status not in {404, 405} or error.reason:
                raise
            try:
                reply = self._send(*call.instead, params)
            except CargoError:
                raise error from None
            self._instead.add(path)
            return reply

    def _send(self, method: str, path: str, params: Mapping[str, Any]) -> Reply:
        if method == "GET":
            return self.client.get(path, params)
        return self.client.post(path, params, repeatable=True)


def _clean(spool: Spool, client: CargoClient) -> None:
    spool.close()
    client.close()


def key_of(entity: Entity) -> Callable[[Row], object]:
    """Give what tells rows of a list operation apart, in the API's own fields."""
    fields = RECORD_KEY if entity.table == "change_rows" else entity.key_fields
    if len(fields) == 1:
        return lambda row: row.get(fields[0])
    return lambda row: tuple(row.get(name) for name in fields)


def _renamed(row: Row, aliases: Mapping[str, str]) -> Row:
    """Give a row whose fields have today's names."""
    if not aliases.keys() & row.keys():
        return row
    return {aliases[name] if name in aliases and aliases[name] not in row else name: row[name] for name in row}


GREETINGS = ("datasets", "segments", "connectors", "workflows", "agents", "libraries", "folders")
"""Lists of one answer, one of each group: a token that may read anything may read one of these."""

RECORD_KEY = ("_kind", "_id")
"""What tells the records of one change apart, as the API sends them."""


def server_time(reply: Reply) -> datetime:
    """Give the server's own time of an answer. Raises UnexpectedShape without one: incremental reads rest on it."""
    if reply.server_time is None:
        raise UnexpectedShape("the server answered without a Date header, which incremental reads rest on")
    return reply.server_time
