"""The client for tasks: carries out the same steps by awaiting."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from cargo_source.api.answers import Failure, Reply
from cargo_source.api.asking import Ask
from cargo_source.api.exchange import Outcome, Steps
from cargo_source.api.links import Download, Fetch
from cargo_source.api.pacer import Sleep, Turn
from cargo_source.api.quiet import unlogged
from cargo_source.api.surface import StandIns, Surface
from cargo_source.api.wire import NO_ANSWER, client_options, failure_of, request_options, sink_of, without_frames
from cargo_source.settings import Settings

T = TypeVar("T")


class AsyncCargoClient(Surface[Awaitable[Reply], Awaitable[Download]]):
    """Speaks to the API of one workspace like CargoClient, with methods to await; the tasks of one loop may share it.

    ``clock``, ``sleep`` and ``random`` (0 to 1) stand in for time and chance in tests, ``transport`` for the network.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
        **means: Unpack[StandIns],
    ) -> None:
        super().__init__(settings, **means)
        self._sleep = sleep
        self._http = httpx.AsyncClient(**client_options(settings), transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _reply(self, steps: Steps[Reply]) -> Awaitable[Reply]:
        return self._drive(steps)

    def _file(self, steps: Steps[Download]) -> Awaitable[Download]:
        return self._drive(steps)

    async def _drive(self, steps: Steps[T]) -> T:
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    step = steps.send(await self._carry_out(step))
            except StopIteration as end:
                result: T = end.value
                return result

    async def _carry_out(self, step: Ask | Fetch | Sleep | Turn) -> Outcome:
        match step:
            case Sleep():
                await self._sleep(step.seconds)
            case Turn():
                await asyncio.wrap_future(step.called)
            case Ask() | Fetch():
                return await self._send(step)
        return None

    async def _send(self, step: Ask | Fetch) -> Outcome:
        try:
            with unlogged():
                async with self._http.stream(**request_options(step, self._auth)) as response:
                    chunks = response.aiter_raw() if isinstance(step, Fetch) else response.aiter_bytes()
                    with sink_of(step, response) as sink:
                        async for chunk in chunks:
                            sink.take(chunk)
                            if sink.full:
                                break
                        return sink.finish()
        except NO_ANSWER as error:
            failure: Failure = failure_of(error)
        except BaseException as error:  # noqa: BLE001 - it is raised again, without what its frames hold
            raise without_frames(error) from None
        return failure
