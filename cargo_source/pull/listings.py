"""The lists of a workspace, page by page, whole or not at all, whatever method and whatever names an API gives them."""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cargo_source.api import Reply
from cargo_source.catalog.entity import Call, Entity
from cargo_source.errors import (
    CargoError,
    NotFound,
    PermissionDenied,
    RequestRefused,
)
from cargo_source.pull.evidence import CONFIRMED, WHOLE, Proof
from cargo_source.pull.pages import Page, Row, read_list
from cargo_source.pull.testimony import Court, heard, testimony_of

if TYPE_CHECKING:
    from cargo_source.pull.session import Session

log = logging.getLogger("cargo_source")

RECORD_KEY = ("_kind", "_id")
"""What tells the records of one change apart, as the API sends them."""


class Refused(Exception):
    """The first request for an entity was refused; ``error`` says how."""

    def __init__(self, table: str, error: CargoError) -> None:
        super().__init__(f"{table}: {error}")
        self.table, self.error = table, error


class Lists:
    """List operations as one session asks for them."""

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._answered: set[str] = set()
        self._instead: set[str] = set()

    def rows(
        self,
        entity: Entity,
        call: Call,
        params: Mapping[str, Any],
        parent: Row | None = None,
        *,
        parallel: bool = False,
        most: int | None = None,
        lines: bool = False,
    ) -> Iterator[list[Row]]:
        """Give the rows of one list operation, page by page, each key once; with ``lines`` as text where they may.

        Raises TooLong, before any row, where the server counts more than ``most``.

        A parent that vanished meanwhile has no rows. Raises Refused where the very first answer for this entity is
        that the token may not, or that there is no such operation.
        """
        try:
            for page in self._pages(entity, call, params, parent, parallel=parallel, most=most, lines=lines):
                self._answered.add(entity.table)
                yield [_renamed(row, entity.aliases) for row in page] if entity.aliases else page
        except NotFound as error:
            if parent is not None and (error.reason or "").endswith("NotFound"):
                log.info("%s: its parent vanished meanwhile", entity.table)
                self._session.vanished.add((entity.table, parent.get("uuid")))
                return
            if entity.table in self._answered:
                raise
            raise Refused(entity.table, error) from error
        except PermissionDenied as error:
            if entity.table in self._answered:
                raise
            raise Refused(entity.table, error) from error

    def first_page(self, entity: Entity, params: Mapping[str, Any]) -> list[Row]:
        """Give the first page of an entity's list, for a hint: there may be more."""
        call = entity.listed_by
        rows: list[Row] = self._ask(call, call.path, {**params, "limit": call.page}).take(call.envelope)
        return rows

    def _pages(
        self,
        entity: Entity,
        call: Call,
        params: Mapping[str, Any],
        parent: Row | None,
        *,
        parallel: bool,
        most: int | None,
        lines: bool,
    ) -> Iterator[list[Row]]:
        path = call.path.format_map(parent) if parent is not None else call.path
        sent = {
            **call.fixed,
            **{name: parent.get(source) for name, source in call.send.items() if parent and not name.endswith("[]")},
            **{name[:-2]: [parent.get(source)] for name, source in call.send.items() if parent and name.endswith("[]")},
            **params,
        }
        shown = self._session.shown(entity.table)
        if not call.page:
            rows, ground = self._ask(call, path, sent).take(call.envelope), WHOLE
            if not rows and parent is None:
                # A list is not believed to be empty at its first word.
                rows, ground = self._ask(call, path, sent).take(call.envelope), CONFIRMED
            # An object under a singular key is a list of one.
            yield rows if isinstance(rows, list) else [rows]
            shown.add(Proof(ground))
            return

        told: list[int] = []

        def fetch(offset: int, limit: int) -> Page:
            reply = self._ask(call, path, {**sent, "limit": limit, "offset": offset})
            page = self._session.declared(entity).page(reply) if lines else None
            if page is None:
                count = reply.json().get("count") if call.counted else None
                page = Page(reply.take(call.envelope), count if isinstance(count, int) else None)
            if offset == 0 and page.count is not None and not told and (most is None or page.count <= most):
                told.append(page.count)
                shown.announce(page.count)
            return page

        def read(maybe_none: bool) -> Generator[list[Row], None, Proof]:
            many, alone = self._session.many if parallel else map, parent is None
            return read_list(
                fetch,
                call.page,
                key_of(entity),
                many,
                what=entity.table,
                confirm=alone,
                most=most,
                maybe_none=maybe_none,
                evidence=shown,
            )

        testimony = testimony_of(entity, call, parent)
        if testimony is None or parent is None:
            shown.add((yield from read(False)))
        else:
            shown.add((yield from heard(entity, testimony, parent, Court(read, self._exists, self._session.now))))

    def _exists(self, path: str) -> bool:
        """Say whether the API knows something by itself, other than as deleted."""
        try:
            (item,) = self._session.client.get(path).json().values()
        except NotFound:
            return False
        return not (isinstance(item, dict) and item.get("deletedAt"))

    def _ask(self, call: Call, path: str, params: Mapping[str, Any]) -> Reply:
        if path in self._instead and call.instead:
            return self._send(*call.instead, params)
        try:
            return self._send(call.method, path, params)
        except (NotFound, RequestRefused) as error:
            if call.instead is None or error.status not in {404, 405} or error.reason:
                raise
            try:
                reply = self._send(*call.instead, params)
            except CargoError:
                raise error from None
            self._instead.add(path)
            return reply

    def _send(self, method: str, path: str, params: Mapping[str, Any]) -> Reply:
        if method == "GET":
            return self._session.client.get(path, params)
        return self._session.client.post(path, params, repeatable=True)


def key_of(entity: Entity) -> Callable[[Row], object]:
    """Give what tells rows of a list operation apart, in the API's own fields."""
    fields = RECORD_KEY if entity.table == "change_rows" else entity.key_fields
    if len(fields) == 1:
        return lambda row: row.get(fields[0])
    return lambda row: tuple(row.get(name) for name in fields)


def _renamed(row: Row, aliases: Mapping[str, str]) -> Row:
    """Give a row whose fields have today's names."""
    if not aliases.keys() & row.keys():
        return row
    return {aliases[name] if name in aliases and aliases[name] not in row else name: row[name] for name in row}
