"""The control door, for tests, demos and other processes: time, faults, truth and journal, behind its own token."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response
from starlette.routing import Route

from cargo_source.sandbox.faults import FaultError
from cargo_source.sandbox.truth import truth, truth_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from cargo_source.sandbox.front import Desk

UNITS = ("days", "hours", "minutes")
LONGEST = 10_000
"""The most days, hours or minutes of one advance."""


def control_routes(desk: Desk) -> list[Route]:
    """Give the routes of the control door."""
    control = Control(desk)
    return [
        Route("/advance", control.guarded(control.advance), methods=["POST"]),
        Route("/faults", control.guarded(control.faults), methods=["GET", "POST", "DELETE"]),
        Route("/truth", control.guarded(control.truth), methods=["GET"]),
        Route("/journal", control.guarded(control.journal), methods=["GET", "DELETE"]),
    ]


class ControlError(Exception):
    """A request to the control door that makes no sense."""


class Control:
    """What the control door can do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def guarded(self, act: Callable[[Request, Any], Any]) -> Callable[[Request], Any]:
        """Let an action in only with the control token."""

        async def endpoint(request: Request) -> Response:
            if not self._desk.tokens.controls(request.headers.get("authorization", "")):
                return Response(status_code=401)
            try:
                content = await request.body()
                sent = orjson.loads(content) if content else None
                with self._desk.store.lock:
                    return _json(act(request, sent))
            except (ControlError, FaultError, orjson.JSONDecodeError) as error:
                return _json({"errorMessage": str(error)}, 400)

        return endpoint

    def advance(self, _request: Request, sent: Any) -> dict[str, Any]:
        """Let time pass and tell what happened."""
        world = self._desk.store.world
        if not isinstance(sent, dict) or not set(sent) <= set(UNITS):
            raise ControlError(f"send an object with {', '.join(UNITS)}")
        if not all(isinstance(each, int | float) and 0 <= each <= LONGEST for each in sent.values()):
            raise ControlError(f"time only moves forward, by numbers up to {LONGEST}")
        happened = world.advance(**sent)
        return {"now": world.now.isoformat(), "happened": happened}

    def faults(self, request: Request, sent: Any) -> dict[str, Any]:
        """List, add or clear faults; a POST takes one fault or a list."""
        faults = self._desk.faults
        if request.method == "DELETE":
            faults.clear()
        if request.method == "POST":
            given = sent if isinstance(sent, list) else [sent]
            if not all(isinstance(each, dict) for each in given):
                raise ControlError("a fault is an object")
            for each in given:
                faults.add(each)
        return {"faults": faults.described()}

    def truth(self, request: Request, _sent: Any) -> dict[str, Any]:
        """Give all objects of an `entity`, or columns and rows of a `model`."""
        world = self._desk.store.world
        entity, model = request.query_params.get("entity"), request.query_params.get("model")
        if model and model in world.tables["models"]:
            columns = [asdict(column) for column in world.columns_of(model)]
            return {"columns": columns, "rows": truth_rows(world, model)}
        try:
            return {"rows": truth(world, str(entity))}
        except KeyError as error:
            raise ControlError(f"no such entity or model: {entity or model}") from error

    def journal(self, request: Request, _sent: Any) -> dict[str, Any]:
        """Give the journal, or clear it."""
        if request.method == "DELETE":
            self._desk.journal.clear()
        return self._desk.journal.described()


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
