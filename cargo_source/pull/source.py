"""The dlt source: a resource for each entity table, and one that yields the rows of all models.

dlt is met here and in :mod:`cargo_source.pull.sync` only. Nothing speaks to the network before rows are asked for.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast, get_args

import dlt
from dlt.extract import DltResource, DltSource
from dlt.extract.items import DataItemWithMeta

from cargo_source.catalog import ENTITIES
from cargo_source.errors import (
    BadSettings,
    suggest,
)
from cargo_source.pull.connection import Pull
from cargo_source.pull.dlt_tables import MERGE, dlt_columns, references
from cargo_source.pull.groups import resources_of
from cargo_source.pull.lanes import LANES
from cargo_source.pull.options import FULL_REFRESH, Deletes, Options
from cargo_source.pull.pipeline_destination import SCHEMA
from cargo_source.pull.records import RECORDS
from cargo_source.pull.resources import entity_rows, record_rows, table_named
from cargo_source.pull.shaping import Shaping, Treatment
from cargo_source.pull.times import LOOKBACK, parse_time
from cargo_source.pull.windows import Interval, Moment, interval_of, scheduled
from cargo_source.settings import Secret

log = logging.getLogger("cargo_source")

Sheet = Iterator[DataItemWithMeta]
T = TypeVar("T")


def cargo(  # noqa: PLR0913 - each is a setting of the source, by keyword
    token: str | Secret | None = None,
    url: str | None = None,
    *,
    only: str | Sequence[str] | None = None,
    models: str | Sequence[str] | None = None,
    group: str | None = None,
    include_personal: bool = False,
    since: datetime | str | None = None,
    lookback: timedelta = LOOKBACK,
    columns: Mapping[str, Sequence[str]] | None = None,
    exclude: Sequence[str] = (),
    pii: Mapping[str, Treatment] | None = None,
    query_lane: bool = True,
    lane: str | None = None,
    strict: bool = False,
    partial: bool = False,
    window: tuple[Moment, Moment | None] | None = None,
    external_window: bool = False,
    deletes: Deletes = "soft",
    full_refresh_every: timedelta | float = FULL_REFRESH,
    allow_empty: bool = False,
) -> DltSource:
    """Give a dlt source with every entity of a Cargo workspace and the rows of its models.

    ``only`` names entity tables and ``models`` models (slug, ``dataset.slug`` or uuid); with ``only``, model rows load
    for ``models`` alone, with neither, everything loads but the log of warehouse queries. ``group`` names a part of it
    (``workspace``, ``models``, ``segments`` or ``work``) for a pipeline of its own: parts may share a dataset, each has
    its own state and schema, and together they load everything.

    Message parts, record titles, memories and texts of queries land with ``include_personal``. ``columns`` names those
    to keep, by table; ``exclude`` leaves out what its patterns name (``default__contacts.phone``, ``*.notes``,
    ``email``); ``pii`` maps such patterns to ``hash`` or ``null``. Names are those of the destination.
    ``since`` is where the first sync starts (UTC unless it
    has a zone; default: the workspace's creation), ``lookback``
    how far later ones reach back for rows that arrive late. ``query_lane`` lets runs and spans come by SQL where that
    is cheaper; ``lane`` pins how rows of models come (``export``, ``csv``, ``pages``), else the best that the workspace
    can use is taken. ``strict`` makes every skipped entity a failure. ``partial`` loads what is complete where
    something else fails, which then stays as it was; without it, all load or none.

    ``window=(start, end)`` loads that stretch of the server's time (``start`` included, ``end`` not, None: until now;
    UTC unless they have a zone) whatever was loaded before, and leaves the stored cursors alone: windows that follow
    one another give the tables that one over all of them gives, and one that is loaded twice changes nothing.
    ``external_window`` takes the window from whoever schedules the run: DLT_INTERVAL_START and _END, else Airflow's
    data interval. Without it a scheduler's interval is not looked at, and a sync goes on where the last one ended.

    ``deletes`` says what becomes of a row that is gone in Cargo: ``soft`` marks it in ``_cargo_deleted_at``, ``hard``
    removes it, ``ignore`` leaves it as it is. ``full_refresh_every`` (a timedelta, or days) is how often rows of a
    model are read whole at least. A table that had many rows and has none is a stop, unless ``allow_empty``.

    Settings that are not given come from the environment (``CARGO_API_TOKEN``, ``CARGO_API_URL``), then from dlt's
    configuration (``[sources.cargo]``). Raises BadSettings for a table that does not exist and a window that is empty.
    Speaks to nobody until rows are asked for.
    """
    hidden = Secret(token) if isinstance(token, str) else token
    # A traceback may show the variables of this frame.
    del token
    only, models = _listed(only), _listed(models)
    if group is not None and (only is not None or models is not None):
        raise BadSettings("group is a part of everything: take it, or only and models")
    if only == [] and not models:
        raise BadSettings("there is nothing to load: name a table, or leave out 'only' for everything")
    for name in only or ():
        if name not in ENTITIES:
            raise BadSettings(f"there is no entity {name!r}{suggest(name, ENTITIES)}; known are {', '.join(ENTITIES)}")
    options = Options(
        include_personal=include_personal,
        lookback=lookback,
        since=_moment(since),
        models=tuple(models) if models is not None else None,
        named=frozenset(only or ()) | (frozenset({RECORDS}) if models else frozenset()),
        strict=strict,
        partial=partial,
        query_lane=query_lane,
        lane=_known_lane(lane),
        deletes=_checked_deletes(deletes),
        full_refresh_every=_interval(full_refresh_every),
        allow_empty=allow_empty,
        shaping=Shaping(columns or {}, tuple(exclude), pii or {}),
        window=_window(window, since, external=external_window),
    )
    for entity in ENTITIES.values():
        options.columns(entity)
    # Patterns that name the table of a model are met when its columns are known; records of changes follow them too.
    unmet = [name for name in options.shaping.unmet if "." not in name or name.partition(".")[0] in {*ENTITIES, "*"}]
    if unmet and only is not None and models is None and "change_rows" not in only:
        raise BadSettings(f"exclude or pii: no table has a column that fits {', '.join(unmet)}")
    usual = (entity.table for entity in ENTITIES.values() if not entity.on_request)
    tables = tuple(usual if only is None else dict.fromkeys(only))
    with_records = models is not None or only is None
    if group is None:
        pull = Pull(hidden, url, options, external_window=external_window)
        return _resources(pull, tables, with_records=with_records)
    name, chosen = f"{SCHEMA}_{group}", resources_of(group)
    pull = Pull(hidden, url, options, external_window=external_window, schema=name)
    return _resources.clone(name=name, section=SCHEMA)(pull, tables, with_records=with_records).with_resources(*chosen)


def _known_lane(lane: str | None) -> str | None:
    if lane is not None and lane not in LANES:
        raise BadSettings(f"lane: there is no {lane!r}{suggest(lane, LANES)}; known are {', '.join(LANES)}")
    return lane


def _listed(names: str | Sequence[str] | None) -> list[str] | None:
    """Give names as a list; one name may come by itself."""
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _window(window: tuple[Moment, Moment | None] | None, since: object, *, external: bool) -> Interval | None:
    """Read the window, or find the scheduler's. Raises BadSettings where settings contradict one another."""
    if window is None and not external:
        return None
    if since is not None:
        raise BadSettings("since is where a first sync starts: a window has a start of its own")
    if window is None:
        # A source may be made before its run has an interval: then it is looked for once more.
        return scheduled()
    if external:
        raise BadSettings("window and external_window: take one of them")
    return interval_of(*window)


def _checked_deletes(deletes: str) -> Deletes:
    """Give what becomes of rows that are gone. Raises BadSettings for a word that is not known."""
    for known in get_args(Deletes):
        if deletes == known:
            return cast("Deletes", deletes)
    raise BadSettings(f"deletes: {deletes!r} can be soft, hard or ignore{suggest(deletes, get_args(Deletes))}")


def _interval(every: timedelta | float) -> timedelta:
    """Read an interval; a number counts days. Raises BadSettings where it is not positive."""
    try:
        interval = every if isinstance(every, timedelta) else timedelta(days=every)
    except (OverflowError, ValueError):
        interval = timedelta(0)
    if interval <= timedelta(0):
        raise BadSettings(f"full_refresh_every: {every} has to be a number of days above 0")
    return interval


def _moment(since: datetime | str | None) -> datetime | None:
    """Read where history starts; a time without a zone is UTC. Raises BadSettings for a text that is no time."""
    try:
        return parse_time(since if isinstance(since, str) else since.isoformat()) if since is not None else None
    except ValueError:
        raise BadSettings(f"since: {since!r} is no time; write it as 2026-03-01 or 2026-03-01T09:00:00Z") from None


@dlt.source(name="cargo", section="cargo", max_table_nesting=0)
def _resources(pull: Pull, tables: tuple[str, ...], *, with_records: bool) -> Iterator[DltResource]:
    for table in tables:
        entity = ENTITIES[table]
        resource = dlt.resource(
            entity_rows,
            name=table,
            # Each file says its table: else dlt forgets the hints of a variant when those of another table come.
            table_name=table_named,
            columns=dlt_columns(
                pull.options.columns(entity),
                entity.key,
                hard=pull.options.deletes == "hard",
                merge_key=entity.merge_key,
            ),
            primary_key=list(entity.key),
            write_disposition=MERGE,
            references=references(pull.options.columns(entity)),
            parallelized=True,
        )(pull, table)
        yield resource.apply_hints(additional_table_hints={"description": entity.description})
    if with_records:
        yield dlt.resource(record_rows, name=RECORDS, table_name=table_named, parallelized=True)(pull)
