"""The calls that write rows of a model, and what their answers say (contract sheet, section 8)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cargo_source.api import CargoClient, Reply
from cargo_source.errors import NotFound, PermissionDenied, RequestRefused, UnexpectedShape
from cargo_source.pull.times import parse_time
from cargo_source.push import compare

Row = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """A row to be sent. ``data`` is the JSON object of its cells; removals have none, creations have no ``id``."""

    seq: int
    row: int | None
    id: str | None
    key: str
    data: str | None = None

    @property
    def cells(self) -> Row:
        """The cells that are sent, by the model's column."""
        found: Row = msgspec.json.decode(self.data or "{}")
        return found

    def __repr__(self) -> str:
        """Say which row of the plan it is, and nothing that it holds."""
        return f"<Change {self.seq}>"


def send(client: CargoClient, model: str, kind: str, changes: Sequence[Change]) -> list[Row]:
    """Send changes of one kind and give the rows that the answer holds; removals have none.

    Updates and removals go by identifier, so they may be repeated; a creation is sent once, whatever becomes of it.
    """
    match kind:
        case compare.CREATE:
            rows: list[Row] = [{"data": msgspec.Raw((change.data or "{}").encode())} for change in changes]
            return _stored(client.post("storage/records/createBulk", {"modelUuid": model, "records": rows}))
        case compare.UPDATE:
            rows = [{"id": change.id, "data": msgspec.Raw((change.data or "{}").encode())} for change in changes]
            body = {"modelUuid": model, "records": rows}
            return _stored(client.put("storage/records/updateBulk", body, repeatable=True))
        case _:
            ids = [change.id for change in changes]
            client.delete("storage/records/removeBulk", {"modelUuid": model, "ids": ids}, repeatable=True)
            return []


def ingest(client: CargoClient, model: str, _kind: str, changes: Sequence[Change]) -> None:
    """Give rows to the hook of a model. Its answer says nothing of them."""
    client.ingest(model, [msgspec.Raw((change.data or "{}").encode()) for change in changes])


def _stored(reply: Reply) -> list[Row]:
    rows: list[Row] = reply.take("records")
    return rows


def record(client: CargoClient, model: str, key: str) -> tuple[Row | None, bool]:
    """Give a record as it is now, and whether Cargo is still writing the model; no record where it cannot be asked."""
    try:
        reply = client.get("storage/records/get", {"modelUuid": model, "id": key})
        found = reply.take("record")
    except (NotFound, PermissionDenied, RequestRefused, UnexpectedShape):
        return None, False
    return found, bool(reply.json().get("isRefreshing"))


def differing(sent: Mapping[str, Any], stored: Mapping[str, Any], times: frozenset[str]) -> list[str]:
    """Name the columns in which a stored row is not what was sent; what the answer does not show is not known.

    ``times`` are the columns of times, which may be spelled in another way.
    """
    return [
        name for name, value in sent.items() if name in stored and not _same(value, stored[name], is_time=name in times)
    ]


def _same(sent: Any, stored: Any, *, is_time: bool) -> bool:
    if sent == stored and isinstance(sent, bool) == isinstance(stored, bool):
        return True
    if is_time and isinstance(sent, str) and isinstance(stored, str):
        try:
            return parse_time(sent) == parse_time(stored)
        except ValueError:
            return False
    # A number may have come back as the nearest double.
    return isinstance(sent, float) and isinstance(stored, int | float) and float(stored) == sent
