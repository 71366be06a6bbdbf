"""What a client can be asked for, written once for threads and tasks.

``R`` is what an answered request is: a Reply, or something to await that gives one. ``D`` is the same for a Download.
"""

import random as random_module
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar

from cargo_source.api.answers import Reply
from cargo_source.api.asking import Ask, Bearer, hook_of, read_of, write_of
from cargo_source.api.exchange import Means, Steps, ask_api, fetch_link
from cargo_source.api.links import DEFAULT_LIMIT_BYTES, Download, fetch_of
from cargo_source.api.pacer import Pacer, pacer_for
from cargo_source.api.quiet import silence
from cargo_source.api.stats import Stats
from cargo_source.settings import Secret, Settings

R = TypeVar("R")
D = TypeVar("D")


class StandIns(TypedDict, total=False):
    """What tests put in the place of time and chance, and the line that requests wait in."""

    clock: Callable[[], float]
    random: Callable[[], float]
    pacer: Pacer


class Surface(ABC, Generic[R, D]):
    """The requests of a client. ``stats`` counts them."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] | None = None,
        random: Callable[[], float] = random_module.random,
        pacer: Pacer | None = None,
    ) -> None:
        silence()
        self.settings = settings
        self.stats = Stats()
        if pacer is None:
            # Who brings a clock of his own cannot share the line of those who live by the machine's.
            pacer = pacer_for(settings) if clock is None else Pacer(settings.in_flight, clock)
        self._means = Means(pacer, self.stats, settings.wait_budget, random)
        self._auth = Bearer(settings.token)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings.url!r})"

    @abstractmethod
    def _reply(self, steps: Steps[Reply]) -> R:
        """Carry out the steps of a request."""

    @abstractmethod
    def _file(self, steps: Steps[Download]) -> D:
        """Carry out the steps of a download."""

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> R:
        """Read ``path``, such as "storage/models/list". A list among ``params`` is sent as ``name[]``."""
        return self._asked(read_of(self.settings.url, path, params))

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = False) -> R:
        """Post a JSON body. ``repeatable`` says that sending it twice does no more than sending it once."""
        ask = write_of("POST", self.settings.url, path, body, repeatable=repeatable)
        # A traceback may show the variables of this frame, and a body may hold cells.
        del body
        return self._asked(ask)

    def put(self, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = False) -> R:
        """Put a JSON body, as :meth:`post` does."""
        ask = write_of("PUT", self.settings.url, path, body, repeatable=repeatable)
        del body
        return self._asked(ask)

    def delete(self, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = False) -> R:
        """Delete, with a JSON body where there is one, as :meth:`post` does."""
        ask = write_of("DELETE", self.settings.url, path, body, repeatable=repeatable)
        del body
        return self._asked(ask)

    def ingest(self, model: str, rows: Sequence[Any]) -> R:
        """Give rows to the hook of a model. Sent once, whatever becomes of it: it takes a row as often as it comes."""
        ask = hook_of(self.settings.url, model, rows)
        del rows
        return self._asked(ask)

    def _asked(self, ask: Ask) -> R:
        return self._reply(ask_api(ask, self._means))

    def download(
        self, link: str | Secret, to: Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES, last: int | None = None
    ) -> D:
        """Stream the file behind a signed link to ``to``, without the token; with ``last``, so many bytes of its end.

        A store that gives no parts of files sends all of it. Raises LinkExpired where a new link is needed,
        UnexpectedShape where it leads elsewhere than to https or to more than ``limit_bytes``, and OSError where the
        disk refuses. ``to`` is written when all has come.
        """
        hidden = Secret(link) if isinstance(link, str) else link
        # A traceback may show the variables of this frame.
        del link
        return self._file(fetch_link(fetch_of(hidden, to, limit_bytes, last), self._means))
