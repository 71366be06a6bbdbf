"""One sync's reading of a workspace: each entity once, however many tables come out of it, each request shared.

A row goes from the wire through :mod:`pages`, :mod:`reading` (what to ask for), :mod:`typed` and :mod:`spool`; only
when the whole entity has been read does dlt see it. A read that fails leaves the destination as it was.
"""

import contextvars
import copy
import logging
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar

from cargo_source.api import CargoClient, Reply
from cargo_source.catalog.entity import Call, Entity
from cargo_source.errors import CargoError, NotFound, PermissionDenied, SettingsError, UnexpectedShape
from cargo_source.pull.landed import Destination, Nothing
from cargo_source.pull.pages import Page, Row, read_list
from cargo_source.pull.spool import Sheet, Spool, Spooled
from cargo_source.pull.times import LOOKBACK, Span, parse_time, time_at
from cargo_source.pull.typed import arrow_schema, arrow_table

log = logging.getLogger("cargo_source")
T = TypeVar("T")
R = TypeVar("R")

Watch = Callable[[str, int, int | None], None]
"""Told of progress: table, rows so far, total where the API names one."""


@dataclass(frozen=True)
class Options:
    """What a sync is asked to do, apart from which tables.

    ``lookback`` is how far windows reach back behind the watermark; ``since`` where the first sync starts (None: the
    workspace's creation). ``models`` limits model rows to these (slug, ``dataset.slug`` or uuid; None: all).
    """

    include_personal: bool = False
    lookback: timedelta = LOOKBACK
    since: datetime | None = None
    models: tuple[str, ...] | None = None
    named: frozenset[str] = frozenset()
    strict: bool = False
    in_flight: int = 4
    spool_dir: Path | None = None


class Refused(Exception):
    """The first request for an entity was refused; ``error`` says how."""

    def __init__(self, table: str, error: CargoError) -> None:
        super().__init__(f"{table}: {error}")
        self.table, self.error = table, error


@dataclass
class Read:
    """What one reading of an entity gave: sheets by table, and the rows that children or state need."""

    sheets: dict[str, Spooled] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


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
    ) -> None:
        self.client, self.options, self.run_id, self.state = client, options, run_id, state
        # Resources keep state while others still read: what they read from is how it was before.
        self._before = copy.deepcopy(state)
        self.destination: Destination = destination or Nothing()
        self.tables = tables
        self.requests: Counter[str] = Counter()
        """Requests that were made for each of ``tables``, those that this sync loads."""
        self.spool = Spool(options.spool_dir)
        # Under a plain pipeline.run() nobody says when it is over.
        weakref.finalize(self, _clean, self.spool, client)
        self.watch: Watch = lambda _table, _rows, _total: None
        self._pool = ThreadPoolExecutor(options.in_flight, thread_name_prefix="cargo-read")
        self._once: dict[object, Once[Any]] = {}
        self._lock = threading.Lock()
        self._answered: set[str] = set()
        self.can_export = True

    def close(self) -> None:
        """Stop reading, close the connections and remove the spool."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        _clean(self.spool, self.client)

    # Shared work -------------------------------------------------------------------------------------------------

    def once(self, what: object, make: Callable[[], T]) -> T:
        """Do something the first time that it is asked for; others who ask wait for it, and share its failure."""
        with self._lock:
            entry: Once[T] = self._once.setdefault(what, Once())
        return entry.get(make)

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

        return self.once(("read", table, *how), read)

    def many(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Run ``function`` over ``items``, several at once, and give the results in order.

        Must not be called from inside another ``many``: the pool would wait for itself.
        """
        futures = [self._pool.submit(contextvars.copy_context().run, function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()

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
        return self.once("workspace", self._meet)

    def _meet(self) -> tuple[Row | None, datetime]:
        try:
            reply = self.client.get("workspaceManagement/workspaces/current")
            workspace: Row | None = reply.take("workspace")
            uuid = str((workspace or {}).get("uuid"))
        except PermissionDenied:
            reply = self.client.get("storage/datasets/list")
            workspace, datasets = None, reply.take("datasets")
            uuid = str(datasets[0].get("workspaceUuid")) if datasets else ""
        known = self.state.get("workspace")
        if uuid and known and known != uuid:
            raise SettingsError(
                f"this state belongs to workspace {known}, the token to {uuid}: use that workspace's token,"
                " or another --state-dir and --dataset (pipeline and dataset) for this one"
            )
        if uuid:
            self.state["workspace"] = uuid
        return workspace, server_time(reply)

    @property
    def since(self) -> datetime:
        """Where history starts, for operations that demand a start."""
        if self.options.since is not None:
            return self.options.since
        created = time_at(self.workspace or {}, "createdAt")
        # A workspace that the token may not see: Cargo did not exist before.
        return created or parse_time("2020-01-01T00:00:00Z")

    # State -------------------------------------------------------------------------------------------------------

    def table_state(self, table: str) -> dict[str, Any]:
        """Give what the last sync kept for ``table``; nothing where the destination has lost the table since."""
        kept = self._before.get("tables", {}).get(table)
        if kept and not self.once(("has", table), lambda: self.destination.has(table)):
            log.warning("%s: synced before, but the destination has no such table: reading it from the start", table)
            return {}
        return dict(kept or {})

    def record_state(self, uuid: str, table: str) -> dict[str, Any]:
        """Give what the last sync kept for the rows of a model; nothing where the destination has lost their table."""
        kept = self._before.get("records", {}).get(uuid)
        if kept and not self.once(("has", table), lambda: self.destination.has(table)):
            log.warning("%s: synced before, but the destination has no such table: reading it from the start", table)
            return {}
        return dict(kept or {})

    def synced_before(self, name: str) -> bool:
        """Say whether a table, or the rows of any model for ``records``, were synced before."""
        return bool(self._before.get("records")) if name == "records" else name in self._before.get("tables", {})

    def keep_state(self, table: str, **values: Any) -> None:
        """Keep cursors of ``table`` for the next sync; they take effect only if the load does."""
        self.state.setdefault("tables", {})[table] = values

    def span(self, table: str) -> Span:
        """Give the window that ``table`` has to read: from its watermark less the lookback until now."""
        watermark = self.table_state(table).get("watermark")
        if watermark is None:
            return Span(self.options.since, self.now)
        return Span(parse_time(watermark) - self.options.lookback, self.now)

    # Reading -----------------------------------------------------------------------------------------------------

    def columns(self, entity: Entity) -> Sequence[Any]:
        """Give the columns of ``entity`` that this sync lands."""
        return entity.landing(personal=self.options.include_personal)

    def sheet(self, entity: Entity) -> Sheet:
        """Start the sheet of an entity's table."""
        columns = self.columns(entity)
        known = entity.fields

        def typed(rows: list[Row]) -> Any:
            return arrow_table(rows, columns, known=known, run_id=self.run_id, dropped=entity.dropped)

        return self.spool.sheet(arrow_schema(columns), entity.key, typed)

    def listing(
        self,
        entity: Entity,
        call: Call,
        params: Mapping[str, Any],
        parent: Row | None = None,
        *,
        parallel: bool = False,
    ) -> Iterator[list[Row]]:
        """Give the rows of one list operation, page by page, each key once.

        A parent that vanished meanwhile has no rows. Raises Refused where the very first answer for this entity is
        that the token may not, or that there is no such operation.
        """
        try:
            for page in self._pages(entity, call, params, parent, parallel=parallel):
                self._answered.add(entity.table)
                yield page
        except NotFound as error:
            if parent is not None and (error.reason or "").endswith("NotFound"):
                log.info("%s: its parent vanished meanwhile", entity.table)
                return
            if entity.table in self._answered:
                raise
            raise Refused(entity.table, error) from error
        except PermissionDenied as error:
            if entity.table in self._answered:
                raise
            raise Refused(entity.table, error) from error

    def _pages(
        self, entity: Entity, call: Call, params: Mapping[str, Any], parent: Row | None, *, parallel: bool
    ) -> Iterator[list[Row]]:
        path = call.path.format_map(parent) if parent is not None else call.path
        sent = {
            **call.fixed,
            **{name: (parent or {}).get(source) for name, source in call.send.items()},
            **params,
        }
        if not call.page:
            rows = self._ask(call, path, sent).take(call.envelope)
            # An object under a singular key is a list of one.
            yield rows if isinstance(rows, list) else [rows]
            return

        def fetch(offset: int, limit: int) -> Page:
            reply = self._ask(call, path, {**sent, "limit": limit, "offset": offset})
            count = reply.json().get("count") if call.counted else None
            return Page(reply.take(call.envelope), count if isinstance(count, int) else None)

        yield from read_list(fetch, call.page, key_of(entity, call), self.many if parallel else map, what=entity.table)

    def _ask(self, call: Call, path: str, params: Mapping[str, Any]) -> Reply:
        if call.method == "GET":
            return self.client.get(path, params)
        return self.client.post(path, params, repeatable=True)


def _clean(spool: Spool, client: CargoClient) -> None:
    spool.close()
    client.close()


class Once(Generic[T]):
    """A result that is made by whoever asks first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = False
        self._value: T
        self._error: BaseException | None = None

    def get(self, make: Callable[[], T]) -> T:
        """Give the result; make it first if nobody has. A failure is as final as a result."""
        with self._lock:
            if not self._made:
                try:
                    self._value = make()
                except BaseException as error:
                    self._error = error
                    raise
                finally:
                    self._made = True
            elif self._error is not None:
                raise self._error
            return self._value


def key_of(entity: Entity, call: Call) -> Callable[[Row], object]:
    """Give what tells rows of a list operation apart, in the API's own fields."""
    fields = RECORD_KEY if call.envelope == "records" else entity.key_fields
    if len(fields) == 1:
        return lambda row: row.get(fields[0])
    return lambda row: tuple(row.get(name) for name in fields)


RECORD_KEY = ("_kind", "_id")
"""What tells the records of one change apart, as the API sends them."""


def server_time(reply: Reply) -> datetime:
    """Give the server's own time of an answer. Raises UnexpectedShape without one: incremental reads rest on it."""
    if reply.server_time is None:
        raise UnexpectedShape("the server answered without a Date header, which incremental reads rest on")
    return reply.server_time
