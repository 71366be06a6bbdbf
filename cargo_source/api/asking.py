"""What is sent: the parts of a request, written the way the API reads them."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import msgspec

from cargo_source import __version__
from cargo_source.api.stats import group_of
from cargo_source.settings import Secret

ORIGIN = "cargo-source"
_HEADERS = {
    "accept": "application/json",
    "x-cargo-origin": ORIGIN,
    "x-cargo-origin-version": __version__,
}
USER_AGENT = f"{ORIGIN}/{__version__}"


BEARER, BASIC = "Bearer", "Basic"


@dataclass(frozen=True)
class Ask:
    """One request to the API. ``repeatable`` says that sending it twice does no more than sending it once.

    ``scheme`` is the word before the token: hooks take it behind Basic.
    """

    method: str
    path: str
    url: str
    repeatable: bool
    content: bytes | None = field(default=None, repr=False)
    scheme: str = BEARER

    @property
    def group(self) -> str:
        """The group of paths that it is counted under."""
        return group_of(self.path)

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, without the token."""
        return _HEADERS if self.content is None else {**_HEADERS, "content-type": "application/json"}


class Bearer(httpx.Auth):
    """Puts the token on a request when it is about to leave, so that it is in no variable of ours."""

    def __init__(self, token: Secret, scheme: str = BEARER) -> None:
        self._token, self._scheme = token, scheme

    def __repr__(self) -> str:
        return f"{self._scheme}(***)"

    def as_wanted(self, ask: Ask) -> "Bearer":
        """Give what puts the token on in the way that a request wants it."""
        return self if ask.scheme == self._scheme else Bearer(self._token, ask.scheme)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Give the request with its Authorization header."""
        request.headers.update(self.header())
        yield request

    def header(self) -> dict[str, str]:
        """Give the Authorization header, to be kept in no variable."""
        return {"authorization": f"{self._scheme} {self._token.reveal()}"}


def read_of(root: str, path: str, params: Mapping[str, Any] | None) -> Ask:
    """Make a GET request. ``path`` is relative to ``<root>/v1/``."""
    path = path.strip("/")
    query = encode_query(params or {})
    return Ask("GET", path, _url(root, path) + (f"?{query}" if query else ""), repeatable=True)


def write_of(method: str, root: str, path: str, body: Mapping[str, Any] | None, *, repeatable: bool) -> Ask:
    """Make a request with a JSON body; keys that are None at its top level are left out, for bodies are strict."""
    path = path.strip("/")
    content = (
        None
        if body is None
        else msgspec.json.encode({name: value for name, value in body.items() if value is not None})
    )
    return Ask(method, path, _url(root, path), repeatable=repeatable, content=content)


def hook_of(root: str, model: str, rows: Sequence[Any]) -> Ask:
    """Make the request that gives rows to a model's hook, which lies beside the rest of the API."""
    path = f"models/{model}/records/ingest"
    return Ask("POST", path, _url(root, path), repeatable=False, content=msgspec.json.encode(rows), scheme=BASIC)


def _url(root: str, path: str) -> str:
    return f"{root}/v1/{quote(path, safe='/')}"


def encode_query(params: Mapping[str, Any]) -> str:
    """Write query parameters; None is left out.

    They look like ``a=true``, ``list[]=1&list[]=2``, ``object[key]=1`` and ``object[list][0]=1``.
    """
    pairs = [pair for name, value in params.items() for pair in _pairs(name, value, top=True)]
    return "&".join(f"{quote_plus(name)}={quote_plus(text, safe=':$,')}" for name, text in pairs)


def _pairs(name: str, value: Any, *, top: bool) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _pairs(f"{name}[{key}]", item, top=False)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from _pairs(f"{name}[]" if top else f"{name}[{index}]", item, top=False)
    elif isinstance(value, bool):
        yield name, str(value).lower()
    else:
        yield name, str(value)
