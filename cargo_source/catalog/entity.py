"""The vocabulary of the catalogue: how an entity is called, read, typed and kept up to date."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cargo_source.catalog.columns import Column

Method = Literal["GET", "POST"]


@dataclass(frozen=True)
class Call:
    """One list operation of the API.

    ``path`` may hold ``{field}`` of the parent's row. ``send`` maps parameter names to fields of the parent's row
    (a name that ends in ``[]`` takes a list of one) and ``fixed`` holds parameters that never change. ``page`` is the
    number of rows to ask for at once; 0 says that the operation answers its whole list. ``counted`` says that the
    answer carries the total as ``count``. Where sources disagree on the method or the path, ``instead`` is the other
    one, for a workspace that answers 404 or 405.
    """

    method: Method
    path: str
    envelope: str
    page: int = 0
    counted: bool = False
    send: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)
    instead: tuple[Method, str] | None = None


@dataclass(frozen=True)
class Snapshot:
    """Read the whole list each time; only what differs from the last time is written.

    ``every_hours`` spares a list that is large and hardly moves. ``dated`` names a column of the key that takes the
    day of the reading, so that each day keeps a row of its own.
    """

    every_hours: int = 0
    dated: str = ""


@dataclass(frozen=True)
class Window:
    """The server filters on a time: read ``[watermark - lookback, now]``, by parent if ``per`` names one.

    ``required`` says that the operation refuses a call without a start. ``touched_by`` names an entity and its field
    that points here: what it points to has moved too, however long ago it started. ``moves_with`` names an entity
    and its field that points to the parents: between sweeps, only the parents that it points to are asked.
    """

    cursor: str
    after: str
    before: str
    per: str | None = None
    required: bool = False
    touched_by: tuple[str, str] | None = None
    moves_with: tuple[str, str] | None = None


@dataclass(frozen=True)
class Recent:
    """The server filters on creation only, but rows go on changing.

    Read the whole list at each sweep, else what was created in the last ``days`` and what the status filter
    ``open_filter`` finds; ``signals`` tell which rows moved.
    """

    after: str
    before: str
    signals: tuple[str, ...]
    open_filter: Mapping[str, object]
    days: int = 30


@dataclass(frozen=True)
class Testimony:
    """What a parent's row says of its children.

    ``last`` is the field that holds the newest of them, in short; it is among those that come, and where it is null
    there are none. ``item`` reads that one by itself. ``counters`` are fields that count children by their kind.
    """

    last: str = ""
    item: Call | None = None
    counters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Gated:
    """Read the children of each parent of which one of ``signals`` (times in the parent's row) has moved.

    ``touched_by`` names an entity and its field that points to the parent: such a parent has moved too. ``cursor`` is
    the time in a row that tells whether it moved itself: rows that did not are not written again.

    Some children move without a signal. At each sweep ``swept`` says how they are found: ``whole`` reads the list
    without naming a parent, ``parents`` reads the children of every parent (of those that moved in the last days or
    have children already, where the parent says how many days). ``also`` is a list that belongs to no parent and is read at every sync.

    ``whole_lists`` says that a parent's list holds all its children for good, so that one that it lacks is gone.
    ``testimony`` is what the parent says of its children, for nothing.
    """

    parent: str
    signals: tuple[str, ...]
    cursor: str = ""
    touched_by: tuple[str, str] | None = None
    swept: Literal["", "whole", "parents"] = ""
    also: Call | None = None
    whole_lists: bool = False
    testimony: Testimony | None = None


@dataclass(frozen=True)
class Unfolded:
    """The rows lie inside the rows of ``parent``, under ``fields``; they cost no request of their own.

    A field holds a list or a map; ``position`` names the field that takes the index or the key. ``carry`` maps our
    fields to fields of the parent's row. ``beside`` is a call for one more parent, which its own list lacks, and
    ``beside_as`` what stands for that parent's fields.
    """

    parent: str
    fields: tuple[str, ...]
    carry: Mapping[str, str]
    position: str
    beside: Call | None = None
    beside_as: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Metered:
    """Daily counters between two dates: one call for each of ``units`` and each of ``dimensions``.

    ``older`` are names that units had before, for a workspace that refuses today's. A call without unit tells whether
    anything moved. ``reread_days`` are read again, for counters that arrive late.
    """

    after: str
    before: str
    unit: str
    units: tuple[str, ...]
    dimension: str
    dimensions: tuple[str, ...]
    older: Mapping[str, str] = field(default_factory=dict)
    reread_days: int = 3


@dataclass(frozen=True)
class Derived:
    """Made out of the rows of other entities, read for this one where they are not asked for."""

    parents: tuple[str, ...]


Reading = Snapshot | Window | Recent | Gated | Unfolded | Metered | Derived

SWEEP_HOURS = 20
"""How often what moves without a signal is looked through whole: once a day, even if a sync starts early."""


@dataclass(frozen=True)
class Follow:
    """Rows go on changing until ``status`` is one of ``final``, or is a new one and the time ``ended`` is set.

    Those that the destination holds open are read again.

    ``call`` reads one of them, or with ``by`` all that share the value of that field. Between sweeps, open rows are
    read only where something shows that they moved: ``moves_with`` names an entity that is loaded too and its field
    that points to ``by``; ``still_open`` is a filter of the list operation, of which one page tells what is open yet.
    """

    status: str
    final: tuple[str, ...]
    ended: str
    call: Call
    by: str
    moves_with: tuple[str, str] | None = None
    still_open: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Entity:
    """One entity of Cargo and the table that it becomes.

    ``group`` is the permission that a token needs (``orchestration`` for ``orchestration:read``); ``admin`` says that
    only an admin's token has it. ``dropped`` are paths of secrets that never land; columns marked personal land only
    when asked for. ``evidence`` says in words what tells that a read was complete. ``on_request`` entities load only
    when they are named.
    """

    table: str
    description: str
    group: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    reading: Reading
    evidence: str
    call: Call | None = None
    follow: Follow | None = None
    dropped: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    """Fields that others need of this entity's rows while they are read."""
    keep_if: str = ""
    """Keep these fields only of rows where this one is set (empty: of all)."""
    admin: bool = False
    on_request: bool = False
    merge_key: tuple[str, ...] = ()
    """Columns by which the rows that are written replace all that share them; none where each replaces its own key."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Older names of fields, where sources disagree."""

    @property
    def permission(self) -> str:
        """The permission that its own operation asks for."""
        return f"{self.group}:read"

    @property
    def needed(self) -> str:
        """The same, with a word for what only an administrator's token has."""
        return f"{self.permission} (admin)" if self.admin else self.permission

    def landing(self, *, personal: bool) -> tuple[Column, ...]:
        """Give the columns that land: all of them, or all but the personal ones."""
        return tuple(column for column in self.columns if personal or not column.personal)

    @property
    def fields(self) -> frozenset[str]:
        """The API's names of all the fields that this entity knows, landed or not."""
        return frozenset(column.field for column in self.columns)

    def kept(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Give what others need of a row, or None where nobody needs it."""
        if not self.keep or (self.keep_if and row.get(self.keep_if) is None):
            return None
        return {name: row.get(name) for name in self.keep}

    @property
    def listed_by(self) -> Call:
        """Its list operation. Raises TypeError where it has none."""
        if self.call is None:
            raise TypeError(f"{self.table} has no list operation")
        return self.call

    def name_of(self, field: str) -> str:
        """Give the column of a field."""
        return next(column.name for column in self.columns if column.field == field)

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The API's fields behind the key."""
        by_name = {column.name: column.field for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    @property
    def cursor(self) -> str:
        """The field that tells how far this entity was read, or what stands in for one."""
        match self.reading:
            case Window(cursor=cursor):
                return cursor
            case Gated(signals=signals, parent=parent):
                return ", ".join(f"{parent}.{signal}" for signal in signals)
            case Recent(signals=signals):
                return ", ".join(signals)
            case Unfolded(parent=parent):
                return f"as {parent}"
            case Derived(parents=parents):
                return "as " + ", ".join(parents)
            case Metered():
                return "date"
            case Snapshot():
                return "whole list"
