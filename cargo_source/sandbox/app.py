"""The port as an ASGI application: the API under /v1, export links, and the control door."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from cargo_source.sandbox import misbehaviour
from cargo_source.sandbox.answers import Answer, Call, Refusal
from cargo_source.sandbox.control import control_routes
from cargo_source.sandbox.exports import ExportFile, LinkError, expired
from cargo_source.sandbox.front import Desk, Front, Visit
from cargo_source.sandbox.routes import OPERATIONS

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cargo_source.sandbox.faults import Fault
    from cargo_source.sandbox.operations import Operation

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(desk: Desk) -> ASGIApp:
    """Give the application of a sandbox."""
    operations = [Route(each.path, _endpoint(desk, each), methods=[each.method]) for each in OPERATIONS]
    app = Starlette(
        routes=[
            Mount("/v1", app=Router(operations, redirect_slashes=False)),
            Mount("/_sandbox", app=Router(control_routes(desk), redirect_slashes=False)),
            Route("/exports/{export}/{number:int}", _export_endpoint(desk)),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _not_served, Exception: _crashed},
    )
    app.router.redirect_slashes = False
    return Front(app, desk)


def _endpoint(desk: Desk, operation: Operation) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        visit = _visit(request)
        visit.route = operation.path.removeprefix("/")
        if operation.needs & visit.lacks:
            raise Refusal(403, {"errorMessage": "forbidden"})
        fired = _fired(desk, request)
        stand_in = await _stand_in(fired, desk)
        if stand_in is not None:
            return stand_in
        params = await operation.read(request)
        path = {name: value.lower() for name, value in request.path_params.items()}
        call = Call(desk.store, params, path, any(fault.kind == "expired_link" for fault in fired))
        if late := next((fault for fault in fired if fault.kind == "late_commit"), None):
            asyncio.get_running_loop().call_later(late.seconds, _committed, operation, call, fired)
            return misbehaviour.Reset()
        answer = _answered(operation, call, fired)
        visit.rows = answer.rows
        # An answer without a body has no type either.
        kind = answer.media_type if answer.status != 204 else None
        await _waited(fired, "late_answer")
        return _broken(Response(answer.encoded(), answer.status, media_type=kind), fired)

    return endpoint


def _visit(request: Request) -> Visit:
    visit: Visit = request.scope["sandbox.visit"]
    return visit


def _fired(desk: Desk, request: Request) -> list[Fault]:
    visit = _visit(request)
    fired = desk.faults.fire(request.method, visit.path)
    visit.faults = [fault.kind for fault in fired]
    return fired


async def _stand_in(fired: list[Fault], desk: Desk) -> Response | None:
    """Wait as long as faults say; give the first answer that a fault puts in place of the real one."""
    await _waited(fired, "slow")
    answers = (misbehaviour.instead(fault, desk.store.world.now) for fault in fired)
    return next((answer for answer in answers if answer is not None), None)


async def _waited(fired: list[Fault], kind: str) -> None:
    for fault in fired:
        if fault.kind == kind:
            await asyncio.sleep(fault.seconds)


def _answered(operation: Operation, call: Call, fired: list[Fault]) -> Answer:
    with call.store.lock:
        call.store.world.catch_up()
        for fault in fired:
            call = misbehaviour.before(fault, call)
        answer = operation.answer(call)
        for fault in fired:
            answer = misbehaviour.after(fault, answer)
        return answer


def _committed(operation: Operation, call: Call, fired: list[Fault]) -> None:
    """Do what was asked for when nobody waits for the answer any more."""
    with suppress(Refusal):
        _answered(operation, call, fired)


def _broken(response: Response, fired: list[Fault]) -> Response:
    for fault in fired:
        response = misbehaviour.broken(fault, response)
    return response


def _export_endpoint(desk: Desk) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        visit = _visit(request)
        visit.route = "exports"
        fired = _fired(desk, request)
        stand_in = await _stand_in(fired, desk)
        if stand_in is not None:
            return stand_in
        try:
            found = _export_file(desk, request, fired)
        except LinkError as error:
            return Response(error.xml(), error.status, media_type="application/xml")
        visit.rows = found.rows
        asked = None if any(fault.kind == "no_ranges" for fault in fired) else request.headers.get("range")
        return _broken(_part(found.path.read_bytes(), asked), fired)

    return endpoint


def _part(content: bytes, asked: str | None) -> Response:
    """Give what a Range header asks for, as object stores do: one range, by its first and last byte or from the end."""
    kind = "binary/octet-stream"
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked or "")
    if found is None or found[0] == "bytes=-":
        return Response(content, media_type=kind, headers={"accept-ranges": "bytes"})
    size = len(content)
    first, last = (int(found[1]), int(found[2] or size)) if found[1] else (max(0, size - int(found[2])), size)
    last = min(last, size - 1)
    if first > last:
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    told = {"accept-ranges": "bytes", "content-range": f"bytes {first}-{last}/{size}"}
    return Response(content[first : last + 1], 206, media_type=kind, headers=told)


def _export_file(desk: Desk, request: Request, fired: list[Fault]) -> ExportFile:
    if "authorization" in request.headers:
        raise LinkError(400, "InvalidArgument", "Only one auth mechanism allowed")
    if any(fault.kind == "expired_link" for fault in fired):
        raise expired()
    key = (request.path_params["export"], request.path_params["number"])
    return desk.store.exports.open(key, dict(request.query_params), desk.store.world.now)


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return JSONResponse(error.body, error.status) if error.body else Response(status_code=error.status)


async def _not_served(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"errorMessage": error.detail}, error.status_code, error.headers)


async def _crashed(request: Request, error: Exception) -> Response:
    """Answer what the sandbox did not foresee; this is a bug of the sandbox, so it is said aloud."""
    log.error("the sandbox failed at %s %s", request.method, request.url.path, exc_info=error)
    body: dict[str, Any] = {"errorMessage": "Internal Server Error"}
    return JSONResponse(body, 500)
