"""How faults show in answers: pages that are wrong, bodies that are broken, connections that are lost."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

from cargo_source.sandbox.answers import Refusal
from cargo_source.sandbox.listings import PAGE
from cargo_source.sandbox.sql import QueryError, models_in

if TYPE_CHECKING:
    from datetime import datetime

    from starlette.types import Receive, Scope, Send

    from cargo_source.sandbox.answers import Answer, Call
    from cargo_source.sandbox.faults import Fault
    from cargo_source.sandbox.front import Visit

ROWS_WRITTEN = 3
UNHEARD_OF = "unheardOf"
_ENUMS = ("status", "kind", "type", "relation", "executionStatus", "nodeKind", "runCreationRule")
_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"


def instead(fault: Fault, now: datetime) -> Response | None:
    """Give the answer that stands in for the real one, if the fault is of that kind."""
    if fault.kind == "reset":
        return Reset()
    if fault.kind == "forbidden":
        return Response('{"errorMessage":"forbidden"}', 403, media_type="application/json")
    if fault.kind == "html_200":
        return HTMLResponse(_HTML.format("Just a moment..."))
    if fault.kind == "5xx":
        return HTMLResponse(_HTML.format(f"{fault.status} Server Error"), fault.status)
    if fault.kind == "429":
        return Response('{"errorMessage":"Too Many Requests"}', 429, _retry_after(fault, now), "application/json")
    return None


def _retry_after(fault: Fault, now: datetime) -> dict[str, str]:
    if fault.retry_after is None:
        return {}
    date = format_datetime(now + timedelta(seconds=fault.seconds), usegmt=True)
    return {"retry-after": date if fault.retry_after == "date" else f"{fault.seconds:g}"}


def before(fault: Fault, call: Call) -> Call:
    """Do what happens before a page is read: rows written meanwhile, or another page being read."""
    if fault.kind == "write_between":
        _write(fault, call)
    if fault.kind == "too_large" and len(_written(call)) > (fault.rows or 0):
        raise Refusal(413, {"errorMessage": "Payload Too Large"})
    if fault.kind == "half_done":
        name = "ids" if "ids" in call.params else "records"
        rows = _written(call)
        return replace(call, params={**call.params, name: rows[: len(rows) // 2]})
    if fault.kind == "repeat_page":
        for offset, limit in (("offset", "limit"), ("fetchingOffset", "fetchingLimit")):
            if offset in call.params:
                start = max(0, call.params[offset] - call.params.get(limit, PAGE))
                return replace(call, params={**call.params, offset: start})
    return call


def _write(fault: Fault, call: Call) -> None:
    """Write into the model that the call reads; where it reads none, let the workspace live on for a while."""
    world, model = call.store.world, call.params.get("modelUuid")
    if model is None and "query" in call.params:
        model = next(iter(_models_read(call)), None)
    if model in world.tables["models"]:
        world.touch(str(model), ROWS_WRITTEN if fault.rows is None else fault.rows)
    else:
        world.advance(minutes=fault.minutes)


def _models_read(call: Call) -> list[str]:
    try:
        return models_in(call.params["query"], call.store.world)
    except QueryError:
        return []  # the query itself is refused a moment later


def after(fault: Fault, answer: Answer) -> Answer:
    """Give the answer with its list or its flag made wrong."""
    if fault.kind == "refreshing" and answer.media_type == "application/json":
        return replace(answer, body={**answer.opened(), "isRefreshing": True})
    if answer.listed is None or fault.kind not in _SPOIL:
        return answer
    body = answer.opened()
    rows = _SPOIL[fault.kind](fault, body[answer.listed])
    counted = len(rows) if answer.rows else 0
    return replace(answer, body={**body, answer.listed: rows}, rows=counted)


def _short(fault: Fault, rows: list[Any]) -> list[Any]:
    return rows[: (len(rows) + 1) // 2 if fault.rows is None else fault.rows]


def _reordered(fault: Fault, rows: list[Any]) -> list[Any]:
    random.Random(fault.fired).shuffle(rows)
    return rows


def _extended(_fault: Fault, rows: list[Any]) -> list[Any]:
    return [{**row, UNHEARD_OF: {"since": 2027}} if isinstance(row, dict) else row for row in rows]


def _enums(_fault: Fault, rows: list[Any]) -> list[Any]:
    return [_with_unknown(row) if isinstance(row, dict) else row for row in rows]


def _with_unknown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: UNHEARD_OF if name in _ENUMS and isinstance(value, str) else value for name, value in row.items()}


_SPOIL = {
    "short_page": _short,
    "reorder_page": _reordered,
    "extra_fields": _extended,
    "unknown_enum": _enums,
}


def _written(call: Call) -> list[Any]:
    """Give the rows, or the ids of rows, that a call writes."""
    rows: list[Any] = call.params.get("records") or call.params.get("ids") or []
    return rows


def broken(fault: Fault, response: Response) -> Response:
    """Give what comes of the answer on its way, if the fault is of that kind."""
    if fault.kind == "lost_answer":
        return Reset()
    if fault.kind == "half_done":
        return HTMLResponse(_HTML.format(f"{fault.status} Server Error"), fault.status)
    body = bytes(response.body)
    if fault.kind == "invalid_json":
        return Response(body[: len(body) // 2] + b'{"', response.status_code, media_type=response.media_type)
    if fault.kind != "cut":
        return response
    # Of nothing, nothing can be cut off.
    return Cut(body, response.status_code, media_type=response.media_type) if body else Reset()


class Cut(Response):
    """An answer whose connection closes in the middle of the promised body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of the body; the server closes a connection whose answer stays incomplete."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


class Reset(Response):
    """A connection that is reset instead of an answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close the socket without lingering, so that the peer gets a reset and not an end."""
        del receive, send
        visit: Visit = scope["sandbox.visit"]
        visit.note()  # the peer may ask what happened before we are back
        transport = visit.transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await asyncio.sleep(0)  # lets the server learn of the loss, so that it sends no error of its own
        await asyncio.sleep(0)
