"""Where the token, the address and the client's limits come from: arguments, the environment, then a fallback.

| setting      | environment           | fallback name  | default                                    |
|--------------|-----------------------|----------------|--------------------------------------------|
| token        | CARGO_API_TOKEN       | api_token      | none                                       |
| its file     | CARGO_API_TOKEN_FILE  | api_token_file | none                                       |
| url          | CARGO_API_URL         | api_url        | https://api.getcargo.io                    |
| in_flight    | CARGO_IN_FLIGHT       | in_flight      | 4 requests at a time                       |
| wait_budget  | CARGO_WAIT_BUDGET     | wait_budget    | 300 s of waiting between one's attempts    |
| transport    | CARGO_TRANSPORT       | transport      | auto: fast where it is installed, or httpx |
| pii_key      | CARGO_PII_KEY         | pii_key        | pseudonyms are salted with the workspace   |
"""

import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Never, get_args
from urllib.parse import urlsplit

from cargo_source.errors import BadSettings

DEFAULT_URL = "https://api.getcargo.io"
MOST_IN_FLIGHT = 64
_MAX_TOKEN_FILE = 64 * 1024

Transport = Literal["auto", "httpx", "fast"]
Fallback = Callable[[str], str | None]


class Secret:
    """A text that shows itself only when asked to: its repr and str are ``***``, and it cannot be pickled."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """Give the text. Call it as late as possible, and keep the result in no variable."""
        return self.__text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.__text.encode())

    def __hash__(self) -> int:
        return hash(self.__text)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce__(self) -> Never:
        raise TypeError("a secret cannot be pickled")


@dataclass(frozen=True)
class Settings:
    """Which workspace to speak to, and how.

    ``url`` is the root of the API, without ``/v1``. ``in_flight`` is the most requests at a time; ``wait_budget`` the
    seconds that one request may wait between its attempts before it gives up. Timeouts are in seconds; exports answer
    when their file is ready, hence the long ``read_timeout``. ``pii_key`` salts the pseudonyms of personal values.
    ``transport`` carries the requests of threads: httpx, or libcurl (``fast``); tasks always use httpx.
    """

    token: Secret
    url: str = DEFAULT_URL
    in_flight: int = 4
    wait_budget: float = 300.0
    read_timeout: float = 360.0
    connect_timeout: float = 10.0
    pii_key: Secret | None = None
    transport: Transport = "auto"


def resolve(
    token: str | Secret | None = None,
    url: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    fallback: Fallback | None = None,
) -> Settings:
    """Find the settings. Raises BadSettings, which names the setting at fault.

    An empty environment variable counts as not set.
    """
    given = Secret(token) if isinstance(token, str) else token
    places = _Places(environ, fallback)
    # A traceback may show the variables of this frame: from here on none of them holds a token in clear.
    del token, environ, fallback
    return Settings(
        token=_token(given, places),
        url=_root(url or places.find("api_url") or DEFAULT_URL),
        in_flight=_in_flight(places.find("in_flight")),
        wait_budget=_wait_budget(places.find("wait_budget")),
        pii_key=places.secret("pii_key"),
        transport=_transport(places.find("transport")),
    )


class _Places:
    """The environment and the fallback, as something that does not show what it holds."""

    def __init__(self, environ: Mapping[str, str], fallback: Fallback | None) -> None:
        self._environ, self._fallback = environ, fallback

    def environment(self, name: str) -> str | None:
        """Look into the environment, where ``api_url`` is called CARGO_API_URL."""
        return self._environ.get(variable(name)) or None

    def fallback(self, name: str) -> str | None:
        """Look into the fallback."""
        return (self._fallback(name) if self._fallback else None) or None

    def secret(self, name: str) -> Secret | None:
        """Look into both for something to hide."""
        return Secret(self.find(name) or "") if self.find(name) else None

    def find(self, name: str) -> str | None:
        """Look into both."""
        return self.environment(name) or self.fallback(name)


def variable(name: str) -> str:
    """Give the environment variable of a setting."""
    return f"CARGO_{name.upper()}"


def _token(given: Secret | None, places: _Places) -> Secret:
    if given is not None:
        return _checked(given, "the token that was given")
    # The environment as a whole goes before the fallback, and a token before a file that holds one.
    for look in (places.environment, places.fallback):
        if look("api_token"):
            return _checked(Secret(look("api_token") or ""), "CARGO_API_TOKEN")
        if file := look("api_token_file"):
            return _checked(_content(file), f"CARGO_API_TOKEN_FILE ({file})")
    raise BadSettings(
        "there is no token: set CARGO_API_TOKEN, or CARGO_API_TOKEN_FILE to a file that holds it"
        " (make one in Cargo under Settings > API)"
    )


def _content(file: str) -> Secret:
    try:
        with Path(file).expanduser().open("rb") as opened:
            return Secret(opened.read(_MAX_TOKEN_FILE).decode(errors="replace").strip())
    except OSError as error:
        raise BadSettings(f"CARGO_API_TOKEN_FILE: cannot read {file}: {error.strerror}") from None
    except RuntimeError:
        raise BadSettings(f"CARGO_API_TOKEN_FILE: {file}: there is no such home folder") from None


def _checked(token: Secret, origin: str) -> Secret:
    if problem := _problem(token):
        raise BadSettings(f"{origin} {problem}")
    return token


def _problem(token: Secret) -> str | None:
    text = token.reveal()
    if not text.strip():
        return "is empty: make a token in Cargo under Settings > API"
    if not (text.isascii() and text.isprintable()) or " " in text:
        return "holds a space, a line break or a character that no token has: copy it once more"
    return None


def _root(url: str) -> str:
    text = url.strip()
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
        # What cannot be a name on the network is told here and not by whoever looks it up.
        (host or "").encode("idna").decode("idna")
    except ValueError:
        raise BadSettings("CARGO_API_URL is not a URL") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise BadSettings(f"CARGO_API_URL has to look like {DEFAULT_URL}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadSettings(f"CARGO_API_URL has to be a bare root like {DEFAULT_URL}, without user, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise BadSettings(f"CARGO_API_URL: http:// would send the token in clear to {host}; use https://")
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def is_loopback(host: str) -> bool:
    """Say whether ``host`` (a name or an address, IPv6 without brackets) is this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _in_flight(text: str | None) -> int:
    if text is None:
        return Settings.in_flight
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_IN_FLIGHT:
        raise BadSettings(f"CARGO_IN_FLIGHT has to be a number from 1 to {MOST_IN_FLIGHT}")
    return int(text)


def _wait_budget(text: str | None) -> float:
    if text is None:
        return Settings.wait_budget
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadSettings("CARGO_WAIT_BUDGET has to be a number of seconds, 0 or more")
    return seconds


def _transport(text: str | None) -> Transport:
    for known in get_args(Transport):
        if text == known:
            found: Transport = known
            return found
    if text is None:
        return Settings.transport
    raise BadSettings(f"CARGO_TRANSPORT has to be one of {', '.join(get_args(Transport))}")
