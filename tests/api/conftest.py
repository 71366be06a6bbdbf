import asyncio
import contextvars
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from cargo_source.api import AsyncCargoClient, CargoClient
from cargo_source.settings import Secret, Settings
from tests.api.fake_api import FakeApi, FakeTime, Respond

TOKEN = "canary-token-4242"


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], FakeApi]]:
    """Serve with a plain callable until the test ends."""
    fakes: list[FakeApi] = []

    def start(respond: Respond) -> FakeApi:
        fakes.append(FakeApi(respond))
        return fakes[-1]

    yield start
    for fake in fakes:
        fake.close()


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def settings() -> Callable[..., Settings]:
    def make(fake: FakeApi | str, **changes: Any) -> Settings:
        return Settings(Secret(TOKEN), fake if isinstance(fake, str) else fake.url, **changes)

    return make


class Door:
    """A client of either kind, whose methods all give their result at once."""

    def __init__(self, client: Any, runner: asyncio.Runner | None) -> None:
        self.client, self._runner = client, runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if self._runner is None or not callable(found):
            return found
        return lambda *args, **options: self._wait(found(*args, **options))

    def _wait(self, result: Any) -> Any:
        assert self._runner is not None
        # The runner would use a context of its own, where the scopes of this test do not count.
        return self._runner.run(result, context=contextvars.copy_context())


FAST = pytest.param("fast", marks=pytest.mark.skipif(find_spec("pycurl") is None, reason="pycurl is not installed"))


@pytest.fixture(params=["httpx", FAST, "async"])
def connect(request, settings, time) -> Iterator[Callable[..., Door]]:
    """Make clients of all kinds, by the test's own clock, and with a backoff that is always as long as it may be."""
    doors: list[Door] = []
    runner = asyncio.Runner() if request.param == "async" else None

    def make(fake: FakeApi | str, **changes: Any) -> Door:
        stand_ins = {"clock": time.clock, "random": lambda: 1.0}
        made = settings(fake, transport="auto" if runner else request.param, **changes)
        if runner is None:
            doors.append(Door(CargoClient(made, sleep=time.sleep, **stand_ins), None))
        else:
            doors.append(Door(AsyncCargoClient(made, sleep=time.async_sleep, **stand_ins), runner))
        return doors[-1]

    yield make
    for door in doors:
        door.close()
    if runner is not None:
        runner.close()
