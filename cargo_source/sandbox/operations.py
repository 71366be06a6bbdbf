"""An operation of the API: where it is, what it takes, what answers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from cargo_source.sandbox.answers import Answer, Call, Refusal, failed, invalid
from cargo_source.sandbox.gate import ADMIN
from cargo_source.sandbox.shapes import UUID4, Field, Fields, Issue, read_body, read_query

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

LARGEST_BODY = 10_000_000


@dataclass(frozen=True)
class Operation:
    """One method on one path; the path is relative to /v1 and may hold `{uuid}`.

    `fields` describe the query of a GET and the body of anything else; `whole` a body that need not be an object, which
    becomes the parameter `body`. `admin` says that only an administrator may, `anybody` that any token may.
    """

    method: str
    path: str
    answer: Callable[[Call], Answer]
    fields: Fields = field(default_factory=dict)
    admin: bool = False
    whole: Field | None = None
    anybody: bool = False

    @property
    def needs(self) -> frozenset[str]:
        """Name what a token needs: the path's group of permissions, and to be an administrator's.

        Any token may ask who it is.
        """
        if self.anybody:
            return frozenset()
        group = self.path.split("/")[1]
        return frozenset({group, ADMIN} if self.admin else {group}) - {"userManagement"}

    async def read(self, request: Request) -> dict[str, Any]:
        """Check what was sent and give its parameters.

        Raises:
            Refusal: The path, query or body breaks its shape.
        """
        issues = _path_issues(request.path_params)
        if self.method == "GET":
            params, more = read_query(request.query_params.multi_items(), self.fields)
        else:
            query = [pair for pair in request.query_params.multi_items() if not (self.anybody and pair[0] == "token")]
            _, stray = read_query(query, {})
            params, more = await self._body(request)
            more = stray + more
        if issues or more:
            raise invalid(issues + more)
        return params

    async def _body(self, request: Request) -> tuple[dict[str, Any], list[Issue]]:
        if self.whole:
            issues: list[Issue] = []
            return {"body": self.whole.check(await _json(request), (), issues)}, issues
        return read_body(await _json(request), self.fields) if self.fields else ({}, [])


def get(path: str, answer: Callable[[Call], Answer], fields: Fields | None = None, *, admin: bool = False) -> Operation:
    """Describe a GET, with the fields of its query."""
    return Operation("GET", path, answer, fields or {}, admin)


def post(path: str, answer: Callable[[Call], Answer], fields: Fields) -> Operation:
    """Describe a POST, with the fields of its body."""
    return Operation("POST", path, answer, fields)


def _path_issues(path: dict[str, str]) -> list[Issue]:
    broken = "uuid" in path and not UUID4.fullmatch(path["uuid"])
    issue = {"code": "invalid_string", "validation": "uuid", "path": ["uuid"], "message": "Invalid uuid"}
    return [issue] if broken else []


async def _json(request: Request) -> Any:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, {"errorMessage": "Content-Type must be application/json"})
    content = await request.body()
    if len(content) > LARGEST_BODY:
        raise Refusal(413, {"errorMessage": "Payload Too Large"})
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise failed("Body is not valid JSON") from error
