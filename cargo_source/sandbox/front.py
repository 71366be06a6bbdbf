"""The first thing that a request meets: token, rate limit, the sandbox's own headers, and the journal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import format_datetime
from time import monotonic
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cargo_source.sandbox import journal as noted
from cargo_source.sandbox.identity import uuid_for

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cargo_source.sandbox.faults import Faults
    from cargo_source.sandbox.gate import RateLimit, Tokens
    from cargo_source.sandbox.store import Store


HOOK = re.compile(r"/v1/models/[^/]+/records/ingest")
"""Where others than clients of the API post to."""


@dataclass
class Desk:
    """All that answering needs."""

    store: Store
    tokens: Tokens
    faults: Faults
    rate: RateLimit
    journal: noted.Journal = field(default_factory=noted.Journal)
    started: float = field(default_factory=monotonic)
    asked: int = 0


class Front:
    """Lets a request in, or refuses it."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        visit = scope["sandbox.visit"] = Visit(scope, send, self._desk)
        refusal = self._refusal(scope, visit) if scope["path"].startswith("/v1/") else None
        await (refusal or self._app)(scope, receive, visit)
        visit.note()

    def _refusal(self, scope: Scope, visit: Visit) -> Response | None:
        authorization = _header(scope, b"authorization")
        lacks = self._desk.tokens.lacks(authorization)
        if HOOK.fullmatch(scope["path"]) and self._desk.tokens.knows(
            authorization, Request(scope).query_params.get("token", "")
        ):
            lacks = frozenset()
        if lacks is None:
            return Response(status_code=401)
        visit.lacks = lacks
        if self._desk.rate.allows():
            return None
        wait = self._desk.rate.retry_after
        headers = {} if wait is None else {"retry-after": f"{wait:g}"}
        return JSONResponse({"errorMessage": "Too Many Requests"}, 429, headers)


class Visit:
    """One request on its way: what is known of it, and the sender of its answer."""

    def __init__(self, scope: Scope, send: Send, desk: Desk) -> None:
        self._scope = scope
        self._send = send
        self._desk = desk
        self._now = desk.store.world.now
        self._began = monotonic()
        self._noted = scope["path"].startswith("/_sandbox")
        self._status: int | None = None
        self._size = 0
        self.path = scope["path"].removeprefix("/v1").removeprefix("/")
        self.route = self.path
        self.rows = 0
        self.faults: list[str] = []
        self.lacks: frozenset[str] = frozenset()

    @property
    def transport(self) -> asyncio.Transport:
        """The server's own connection; only through it can a fault break it."""
        transport: asyncio.Transport = self._send.__self__.transport  # type: ignore[attr-defined]  # uvicorn's protocol
        return transport

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer; the journal is written before the last one, so that it is never behind."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers()]}
        else:
            self._size += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.note()
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        self._desk.asked += 1
        request = uuid_for(self._desk.store.world.seed, "request", self._desk.asked)
        return [(b"date", format_datetime(self._now, usegmt=True).encode()), (b"x-request-id", request.encode())]

    def note(self) -> None:
        """Write the request into the journal, once."""
        if self._noted:
            return
        self._noted = True
        entry = noted.Request(
            method=self._scope["method"],
            path=self.path,
            route=self.route,
            query=list(Request(self._scope).query_params),
            status=self._status,
            rows=self.rows,
            bytes=self._size,
            at=self._now.isoformat(),
            seconds=round(self._began - self._desk.started, 6),
            faults=self.faults,
        )
        self._desk.journal.add(entry)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
