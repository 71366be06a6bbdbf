"""What the API's documentation leaves open, looked at on a real workspace: which of our assumptions hold there.

The topics are those on which sources disagree or are silent. Every probe only reads. A finding is made of our own
words, of numbers, and of names that the API itself gives to its fields, statuses and reasons: no cell of a row, no
name that people gave, no id and no link.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

from cargo_source.catalog import ENTITIES
from cargo_source.errors import AuthError, CargoError, PermissionDenied
from cargo_source.pull.lanes import MATCH_ALL, answer_links
from cargo_source.pull.listings import Refused
from cargo_source.pull.query import SAMPLES, ask, is_as_listed
from cargo_source.pull.records import Model, list_models, shape_model
from cargo_source.pull.session import Session
from cargo_source.pull.shapes import Normalise, Shape
from cargo_source.pull.times import format_time, time_at

T = TypeVar("T")

SAMPLE = 12
"""Models and workflows that are looked at, at most."""
_LIFETIMES = ("X-Amz-Expires", "X-Goog-Expires")


@dataclass(frozen=True)
class Finding:
    """One topic: what cargo_source assumes, and what this workspace shows.

    ``holds`` is None where this workspace, or this token, cannot tell.
    """

    topic: str
    assumed: str
    found: str
    holds: bool | None


class Unseen(Exception):
    """This workspace has nothing that would show it; the text says what is lacking."""


Shown = tuple[str, bool]
"""What a probe saw, and whether the assumption holds with it."""


class Workspace:
    """What probes look at, each thing asked for once."""

    def __init__(self, session: Session, fold: Normalise) -> None:
        self.session, self.client, self.fold = session, session.client, fold

    @cached_property
    def models(self) -> list[Model]:
        """All models."""
        return list_models(self.session, self.fold)

    @cached_property
    def shapes(self) -> list[tuple[Model, Shape]]:
        """Some models with what their tables look like, those first that have received something."""
        busy = sorted(self.models, key=lambda model: model.row.get("lastEmittedAt") or "", reverse=True)
        return [(model, shape_model(self.session, model, self.fold)) for model in busy[:SAMPLE]]

    @cached_property
    def stored(self) -> Shape:
        """A model that has a table."""
        return _first((shape for _, shape in self.shapes if shape.stored), "no model with a table")

    @cached_property
    def run_page(self) -> list[dict[str, Any]]:
        """A page of runs of one workflow."""
        workflows = self.client.get("orchestration/workflows/list").take("workflows")
        pages = (self._runs(workflow) for workflow in workflows[:SAMPLE])
        return _first((page for page in pages if len(page) > 1), "no workflow with two runs")

    def _runs(self, workflow: dict[str, Any]) -> list[dict[str, Any]]:
        body = {"workflowUuid": workflow["uuid"], "limit": 100}
        found: list[dict[str, Any]] = self.client.post("orchestration/runs/list", body, repeatable=True).take("runs")
        return found

    def listed(self, path: str, envelope: str) -> list[dict[str, Any]]:
        """Give a list."""
        found: list[dict[str, Any]] = self.client.get(path).take(envelope)
        return found

    def status(self, method: Literal["GET", "POST"], path: str, params: Mapping[str, Any] | None = None) -> str:
        """Carry out a request that only reads and say how it went: 200, or the status and reason of the refusal."""
        try:
            if method == "GET":
                self.client.get(path, params)
            else:
                self.client.post(path, params)
        except AuthError:
            raise
        except CargoError as error:
            if error.status is None or isinstance(error, PermissionDenied):
                raise
            return f"{error.status}" + (f" {error.reason}" if error.reason else "")
        return "200"


def _first(things: Iterable[T], lacking: str) -> T:
    for thing in things:
        return thing
    raise Unseen(lacking)


def look(session: Session, fold: Normalise) -> Iterator[Finding]:
    """Try every topic. A probe that the token may not carry out, or that sees nothing, is a finding as well."""
    seen = Workspace(session, fold)
    for topic, (assumed, probe) in PROBES.items():
        try:
            found, holds = probe(seen)
        except Unseen as unseen:
            yield Finding(topic, assumed, f"not seen: {unseen}", None)
        except Refused as refused:
            yield Finding(topic, assumed, f"not seen: {refused.error.status}", None)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # An answer of another shape than the contract's: that is worth a line, and no reason to stop.
            yield Finding(topic, assumed, f"not seen: {type(error).__name__} in an answer", None)
        except AuthError:
            raise
        except CargoError as error:
            yield Finding(topic, assumed, f"not seen: {type(error).__name__} {error.status or ''}".strip(), None)
        else:
            yield Finding(topic, assumed, found, holds)


# Silent sources ----------------------------------------------------------------------------------------------------


def _server_time(seen: Workspace) -> Shown:
    return f"the last answer's Date is {seen.session.now.tzname()}", True


def _list_order(seen: Workspace) -> Shown:
    times = [row["createdAt"] for row in seen.run_page]
    order = "newest first" if times == sorted(times, reverse=True) else "oldest first" if times == sorted(times) else ""
    return f"a page of runs is {order or 'in no order of creation'}", True


def _limits(seen: Workspace) -> Shown:
    plain = len(seen.listed("ai/chats/list", "chats"))
    large = len(seen.client.get("ai/chats/list", {"limit": 1000}).take("chats"))
    return f"chats without a limit: {plain}; with limit 1000: {large}", True


def _inclusive(seen: Workspace) -> Shown:
    run = seen.run_page[0]
    body = {"workflowUuid": run["workflowUuid"], "updatedAfter": run["updatedAt"], "limit": 100}
    found = seen.client.post("orchestration/runs/list", body, repeatable=True).take("runs")
    inside = any(row["uuid"] == run["uuid"] for row in found)
    return f"updatedAfter is {'inclusive' if inside else 'exclusive'}", True


def _soft_deletes(seen: Workspace) -> Shown:
    counts = []
    for table in ("models", "segments", "plays", "tools", "agents"):
        call = ENTITIES[table].listed_by
        rows = seen.listed(call.path, call.envelope)
        counts.append(f"{table} {sum(bool(row.get('deletedAt')) for row in rows)} of {len(rows)}")
    return f"rows with deletedAt in lists: {', '.join(counts)}", True


def _statuses(seen: Workspace) -> Shown:
    nobody = str(uuid.uuid4())
    told = [
        f"{name} {seen.status('GET', path)}"
        for name, path in {
            "model": f"storage/models/{nobody}",
            "run": f"orchestration/runs/{nobody}",
            "agent": f"ai/agents/{nobody}",
        }.items()
    ]
    return f"what does not exist answers: {', '.join(told)}", all("404" in each or "NotFound" in each for each in told)


def _rate_limit(seen: Workspace) -> Shown:
    total, _groups = seen.client.stats.snapshot()
    return f"{total.rate_limited} of {total.requests} requests were answered with 429", True


def _export(seen: Workspace) -> Shown:
    body = {"query": f"SELECT * FROM {seen.stored.reference} LIMIT 1", "format": "parquet"}  # noqa: S608 - slugs of the workspace
    answer = seen.client.post("storage/query/download", body, repeatable=True).json()
    links = answer_links(answer)
    lives = {value for link in links for name in _LIFETIMES for value in parse_qs(urlsplit(link).query).get(name, ())}
    target = seen.session.spool.new_file(".download")
    kinds = {seen.client.download(link, target).kind for link in links[:1]}
    target.unlink(missing_ok=True)
    told = f"{'urls' if 'urls' in answer else 'url'}, {', '.join(sorted(kinds)) or 'no file'}"
    numbers = sorted(life for life in lives if life.isdigit())
    return told + (f", links live {', '.join(numbers)} s" if numbers else ""), kinds <= {"parquet", "empty"}


def _row_cap(seen: Workspace) -> Shown:
    shape = seen.stored
    rows = _ask_storage(seen, f"SELECT _id FROM {shape.reference} LIMIT 20000")  # noqa: S608 - slugs of the workspace
    count = _count(seen, shape)
    return f"asked for 20,000 of {count:,} rows, got {len(rows):,}", True


def _fetch_count(seen: Workspace) -> Shown:
    body = {"modelUuid": seen.stored.uuid, "filter": MATCH_ALL, "fetchingLimit": 1, "fetchingOffset": 0}
    answer = seen.client.post("segmentation/segments/fetch", body, repeatable=True).json()
    return f"count is {answer.get('count')} for a page of 1 of {_count(seen, seen.stored):,} rows", True


def _prefixes(seen: Workspace) -> Shown:
    found: dict[str, set[str]] = {}
    for model, shape in seen.shapes:
        for column in model.row.get("additionalColumns") or ():
            ends = [c.field for c in shape.columns if c.field.endswith(column["slug"])]
            prefix = min((field.removesuffix(column["slug"]) for field in ends), key=len, default="?")
            found.setdefault(str(column.get("kind")), set()).add(prefix if re.fullmatch(r"\w*__|\?", prefix) else "…")
    if not found:
        raise Unseen("no model with added columns")
    told = ", ".join(f"{kind} {'/'.join(sorted(prefixes))}" for kind, prefixes in sorted(found.items()))
    return told, all("?" not in prefixes for prefixes in found.values())


def _emitted_at(seen: Workspace) -> Shown:
    stored = [shape for _, shape in seen.shapes if shape.stored]
    return f"{sum(shape.has_emitted_at for shape in stored)} of {len(stored)} models have _emitted_at", True


def _lag(seen: Workspace) -> Shown:
    body = {"executionStartedAfter": format_time(seen.session.now - timedelta(days=1)), "limit": 100}
    spans = seen.client.post("orchestration/spans/list", body, repeatable=True).take("spans")
    newest = max((moment for span in spans if (moment := time_at(span, "executionStartedAt"))), default=None)
    if newest is None:
        raise Unseen("no span within a day")
    return f"the newest span on a page of {len(spans)} is {(seen.session.now - newest).seconds // 60} minutes old", True


def _retention(seen: Workspace) -> Shown:
    rows = ask(seen.session, "SELECT min(created_at) AS oldest FROM runs", patient=False)
    oldest = time_at({"at": str(rows[0]["oldest"])}, "at") if rows else None
    if oldest is None:
        raise Unseen("no run")
    return f"the oldest run is {(seen.session.now - oldest).days} days old", True


def _query_columns(seen: Workspace) -> Shown:
    told = {table: is_as_listed(seen.session, ENTITIES[table]) for table in SAMPLES}
    words = ", ".join(
        f"{table} {'all columns, as listed' if fine else 'not all columns'}" for table, fine in told.items()
    )
    return words, all(told.values())


def _evaluation(seen: Workspace) -> Shown:
    segments = seen.listed("segmentation/segments/list", "segments")
    never = sum(segment.get("syncedAt") is None for segment in segments)
    return f"{never} of {len(segments)} segments were never evaluated", True


def _warehouse(seen: Workspace) -> Shown:
    languages = {shape.dialect or "unknown" for _, shape in seen.shapes if shape.stored}
    return f"dialects: {', '.join(sorted(languages)) or 'none'}", "unknown" not in languages


# Sources that disagree ---------------------------------------------------------------------------------------------


def _segment_export(seen: Workspace) -> Shown:
    body = {"modelUuid": seen.stored.uuid, "filter": MATCH_ALL, "limit": 1}
    told = seen.status("POST", "segmentation/segments/download", body)
    return f"segments/download answers {told}", told == "200"


def _records_method(seen: Workspace) -> Shown:
    body = {"workflowUuid": seen.run_page[0]["workflowUuid"], "limit": 1}
    told = seen.status("POST", "orchestration/records/list", body)
    return f"POST orchestration/records/list answers {told}", told == "200"


def _workflow_needed(seen: Workspace) -> Shown:
    told = seen.status("POST", "orchestration/runs/list", {"limit": 1})
    return f"runs/list without workflowUuid answers {told}", True


def _column_items(seen: Workspace) -> Shown:
    items = seen.client.get("storage/columns/list", {"modelUuid": seen.stored.uuid}).take("columns")
    return f"items of columns/list are {', '.join(sorted({type(item).__name__ for item in items})) or 'none'}", True


def _memory_scopes(seen: Workspace) -> Shown:
    scopes = {scope: seen.status("GET", "ai/memories/list", {"scope": scope}) for scope in ("user", "workspace")}
    return ", ".join(f"scope {scope} answers {told}" for scope, told in scopes.items()), scopes["user"] == "200"


def _file_paths(seen: Workspace) -> Shown:
    paths = {path: seen.status("GET", path) for path in ("content/files/list", "ai/files/list")}
    return ", ".join(f"{path} answers {told}" for path, told in paths.items()), paths["content/files/list"] == "200"


def _release_field(seen: Workspace) -> Shown:
    releases = seen.client.get("ai/releases/list", {"limit": 1}).take("releases")
    release = _first(releases, "no release of an agent")
    names = [name for name in ("actions", "tools") if name in release]
    return f"a release has {', '.join(names) or 'neither actions nor tools'}", "actions" in release


def _usage_unit(seen: Workspace) -> Shown:
    today = seen.session.now.date()
    days = {"from": (today - timedelta(days=1)).isoformat(), "to": today.isoformat()}
    units = {
        unit: seen.status("GET", "billing/usage/metrics", {**days, "unit": unit})
        for unit in ("billing.credits", "credits")
    }
    return ", ".join(f"unit {unit} answers {told}" for unit, told in units.items()), units["billing.credits"] == "200"


def _nulls(seen: Workspace) -> Shown:
    segments = seen.listed("segmentation/segments/list", "segments")
    written = any(value is None for segment in segments for value in segment.values())
    return f"nulls are {'written' if written else 'left out'}", True


def _ask_storage(seen: Workspace, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = seen.client.post("storage/query", {"query": query}, repeatable=True).take("rows")
    return rows


def _count(seen: Workspace, shape: Shape) -> int:
    rows = _ask_storage(seen, f"SELECT count(*) AS n FROM {shape.reference}")  # noqa: S608 - slugs of the workspace
    return int(next(iter(rows[0].values())))


PROBES: dict[str, tuple[str, Callable[[Workspace], Shown]]] = {
    "the server's time": ("every answer has a Date header", _server_time),
    "order of lists": ("none; windows and keys in its place", _list_order),
    "default and largest limit": ("100 are asked for, and pages are read until an empty one", _limits),
    "inclusive filters": ("either; windows overlap, keys are unique", _inclusive),
    "soft-deleted rows in lists": ("either; deletedAt is a column", _soft_deletes),
    "status of a reason": ("404, or a reason that ends in NotFound", _statuses),
    "rate limit": ("unknown; four requests in flight, slower after a 429", _rate_limit),
    "exports": ("urls or url; parquet where it is asked for; links are fetched at once", _export),
    "row cap of storage/query": ("unknown; rows come by download", _row_cap),
    "count of segments/fetch": ("either total or page; nothing rests on it", _fetch_count),
    "prefixes of added columns": ("custom__ and the like; the DDL has the last word", _prefixes),
    "_emitted_at": ("read from the DDL; a model without it is read whole", _emitted_at),
    "lag of spans": ("under an hour, the lookback", _lag),
    "retention of runs": ("unknown; what is gone in Cargo stays in the tables", _retention),
    "columns of orchestration/query": ("probed; lists where a column is missing", _query_columns),
    "evaluation of segments": ("no schedule; lastChange tells", _evaluation),
    "warehouse": ("plain SELECT; names are quoted only where they have to be", _warehouse),
    "path of segment exports": ("segmentation/segments/download", _segment_export),
    "method of records/list": ("POST", _records_method),
    "workflowUuid of runs/list": ("always sent", _workflow_needed),
    "items of columns/list": ("not used; models carry their columns", _column_items),
    "scopes of memories": ("user and agent", _memory_scopes),
    "path of files": ("content/files", _file_paths),
    "field of an agent's actions": ("actions", _release_field),
    "unit of usage": ("dotted, such as billing.credits", _usage_unit),
    "nulls": ("written or left out, alike", _nulls),
}
"""Each topic with what cargo_source assumes, and how to look."""
