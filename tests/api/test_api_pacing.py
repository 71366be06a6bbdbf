"""One line per workspace: polite, shared, slower when it is refused, and quicker again afterwards."""

import asyncio
import heapq
import math
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from cargo_source.api import AsyncCargoClient, CargoClient, Pacer
from cargo_source.api.bucket import rate_of, room_of
from cargo_source.api.pace import Pace, Permit
from cargo_source.api.pacer import Sleep, TooLong, Turn, pacer_for
from cargo_source.settings import Secret, Settings
from tests.api.fake_api import Bucket, FakeTime, Out, script

SLOW = Out(json={}, wait=0.02)


def test_threads_share_the_line(serve, settings):
    """However many threads there are, no more than four requests are in flight, and as many as that are."""
    fake = serve(script(SLOW))
    with CargoClient(settings(fake)) as client, ThreadPoolExecutor(12) as pool:
        assert all(pool.map(lambda _: client.get("x"), range(40)))
    assert fake.most_at_once == 4


def test_tasks_share_the_line(serve, settings):
    """However many tasks there are, no more than the configured number is in flight."""
    fake = serve(script(SLOW))

    async def ask() -> None:
        async with AsyncCargoClient(settings(fake, in_flight=2)) as client:
            await asyncio.gather(*(client.get("x") for _ in range(20)))

    asyncio.run(ask())
    assert fake.most_at_once == 2


def test_threads_tasks_and_clients_share_one_line(serve, settings):
    """Two clients with threads and one with tasks are together as polite as one of them."""
    fake = serve(script(SLOW))

    async def ask() -> None:
        async with AsyncCargoClient(settings(fake)) as client:
            await asyncio.gather(*(client.get("x") for _ in range(20)))

    with CargoClient(settings(fake)) as one, CargoClient(settings(fake)) as two, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.get, "x") for client in (one, two) for _ in range(10)]
        asyncio.run(ask())
        assert all(future.result().status == 200 for future in asked)
    assert len(fake.seen) == 40
    assert fake.most_at_once == 4


def test_the_most_careful_client_of_a_workspace_decides(settings):
    """A workspace has one pacer; another address or token has another, and nobody's is kept for ever."""
    one = settings("https://a.example", in_flight=8)
    pacer = pacer_for(one)
    assert pacer.pace.most == 8
    assert pacer_for(settings("https://a.example", in_flight=3)) is pacer
    assert (pacer.pace.most, pacer.pace.limit) == (3, 3.0)
    assert pacer_for(settings("https://b.example")) is not pacer
    assert pacer_for(Settings(Secret("other"), "https://a.example")) is not pacer
    number = id(pacer)
    del pacer
    assert pacer_for(one).pace.most == 8 or id(pacer_for(one)) != number


def test_a_refusal_pauses_everybody(serve, settings, time):
    """While one request was told to wait, no other of the same workspace is sent."""
    fake = serve(script(Out(json={})))
    pacer = Pacer(4, time.clock)
    refused, other = taken(pacer, 2)
    for permit, delay in ((refused, 4.0), (other, 9.0)):
        pacer.refused(permit, delay)
        pacer.leave()
    with CargoClient(settings(fake), sleep=time.sleep, clock=time.clock, pacer=pacer) as client:
        client.get("x")
    assert time.slept == [9.0]


def taken(pacer: Pacer, number: int = 1) -> list[Permit]:
    """Take permits that are free."""
    permits = []
    for _ in range(number):
        with pytest.raises(StopIteration) as caught:
            next(pacer.permit(math.inf))
        permits.append(caught.value.value)
    return permits


def test_a_pause_that_is_too_long_is_refused(time):
    """Who may not wait that long is told so, and leaves the line."""
    pacer = Pacer(4, time.clock)
    pacer.refused(taken(pacer)[0], 60)
    pacer.leave()
    with pytest.raises(TooLong) as caught:
        next(pacer.permit(59))
    assert caught.value.seconds == 60
    assert next(pacer.permit(60)) == Sleep(60)


def test_the_line_is_first_come_first_served(time):
    """Only the first asks; the others are called one after another, and one who gives up is passed over."""
    pacer = Pacer(1, time.clock)
    taken(pacer)
    first, second, third = (pacer.permit(math.inf) for _ in range(3))
    turns = [next(waiting) for waiting in (first, second, third)]
    assert all(isinstance(turn, Turn) and not turn.called.done() for turn in turns)
    second.close()
    pacer.leave()
    assert [turn.called.done() for turn in turns] == [True, False, False]
    with pytest.raises(StopIteration):
        next(first)
    assert turns[2].called.done()
    again = next(third)
    assert isinstance(again, Turn)
    pacer.leave()
    assert again.called.done()
    with pytest.raises(StopIteration):
        next(third)
    assert pacer.pace.in_flight == 1


def test_a_cancelled_task_gives_its_place_and_its_permit_back(serve, settings):
    """Tasks that are cancelled while waiting or while being answered leave nothing behind, and nobody is forgotten."""
    fake = serve(script(Out(json={}, wait=0.05)))
    made = settings(fake, in_flight=1)

    async def ask() -> None:
        async with AsyncCargoClient(made) as client:
            pacer = client._means.pacer
            for victim in (0, 1, 2):
                tasks = [asyncio.create_task(client.get("x")) for _ in range(3)]
                await asyncio.sleep(0.02)
                tasks[victim].cancel()
                results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
                cancelled = [isinstance(result, asyncio.CancelledError) for result in results]
                assert cancelled == [number == victim for number in range(3)]
                assert (pacer.pace.in_flight, len(pacer._line)) == (0, 0)

    asyncio.run(ask())


def test_random_cancellations_lose_nobody(serve, settings):
    """Under many tasks that come and go, everyone who is not cancelled is answered and every permit comes back."""
    fake = serve(script(Out(json={}, wait=0.002)))
    chance = random.Random(5)

    async def ask() -> None:
        async with AsyncCargoClient(settings(fake, in_flight=3)) as client:
            tasks = [asyncio.create_task(client.get("x")) for _ in range(80)]
            doomed = chance.sample(range(80), 30)
            for number in doomed:
                await asyncio.sleep(0.001)
                tasks[number].cancel()
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
            assert all(isinstance(results[number], Exception) is False for number in set(range(80)) - set(doomed))
            pacer = client._means.pacer
            assert (pacer.pace.in_flight, len(pacer._line)) == (0, 0)

    asyncio.run(ask())
    # What was cancelled may keep the server busy for a moment more, which no client can know.
    assert fake.most_at_once <= 3 + 3


def test_a_failed_request_gives_its_permit_back(serve, connect):
    """Errors do not use up the line."""
    client = connect(serve(script(Out(400))), in_flight=1)
    for _ in range(3):
        with pytest.raises(Exception, match="refuses this"):
            client.get("x")
    assert client._means.pacer.pace.in_flight == 0


def test_a_client_under_many_threads_loses_nothing(serve, settings):
    """Counters and answers are right under threads, with refusals and failures in between."""
    counter, lock = iter(range(10_000)), threading.Lock()

    def respond(seen):
        with lock:
            number = next(counter)
        if number % 10 == 3:
            return Out((429, 503)[number % 20 == 3], headers={"retry-after": "0.01"})
        return Out(json={"echo": seen.query})

    fake = serve(respond)

    def ask(number: int) -> bool:
        return client.get("x", {"n": number}).take("echo") == f"n={number}"

    with CargoClient(settings(fake), random=lambda: 0.0) as client, client.stats.scope() as asked:
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(copy_context().run, ask, number) for number in range(200)]
            assert all(future.result() for future in futures)
        total, _groups = client.stats.snapshot()
    assert asked.requests == total.requests == len(fake.seen) == 200 + total.retries
    assert total.retries > 15
    assert total.rate_limited > 5


@pytest.mark.parametrize("retry_after", ["1", ""])
def test_a_token_bucket_is_settled_with(serve, settings, time, retry_after):
    """Against a limit of 20 per second, the client settles close to it with hardly a refusal in fifty requests."""
    bucket = Bucket(20, 20, time.clock, retry_after)

    def respond(seen):
        time.now += 0.005
        return bucket.respond(seen)

    fake = serve(respond)
    chance = random.Random(3)
    with CargoClient(settings(fake), sleep=time.sleep, clock=time.clock, random=chance.random) as client:
        started = time.now
        for _ in range(400):
            client.get("x")
    assert bucket.refused <= 8
    assert 0.85 * 20 < 400 / (time.now - started) < 1.1 * 20


class Simulation:
    """Four workers against a limit, in made-up time: how long so many requests take, and how many are refused."""

    def __init__(self, allowed, requests: int, latency: float = 0.05, seed: int = 1) -> None:
        self.allowed, self.latency, self.chance = allowed, latency, random.Random(seed)
        self.pace, self.time, self.refused, self.left = Pace(4), FakeTime(), 0, requests
        self.flying: list[tuple[float, float, Permit]] = []

    def run(self) -> float:
        while self.left or self.flying:
            step = self.pace.ask(self.time.now) if self.left > len(self.flying) else math.inf
            if isinstance(step, Permit):
                until = self.time.now + self.latency * self.chance.uniform(0.7, 1.3)
                heapq.heappush(self.flying, (until, self.time.now, step))
                continue
            lands = self.flying[0][0] if self.flying else math.inf
            if self.time.now + step < lands:
                self.time.now += step + 1e-6
                continue
            self.land(*heapq.heappop(self.flying))
        return self.time.now - 1000.0

    def land(self, now: float, _started: float, permit: Permit) -> None:
        self.time.now = now
        if self.allowed():
            self.pace.answered()
            self.left -= 1
        else:
            self.refused += 1
            self.pace.refused(permit, now, self.chance.random())
        self.pace.leave(now)


def limited(rate: float, burst: float, requests: int = 600) -> tuple[float, int]:
    """Simulate a token bucket: requests per second that got through, and refusals."""
    simulation = Simulation(None, requests)
    bucket = Bucket(rate, burst, simulation.time.clock)
    simulation.allowed = bucket.take
    return requests / simulation.run(), simulation.refused


@pytest.mark.parametrize(("rate", "burst"), [(20, 20), (20, 60), (5, 5), (40, 10)])
def test_the_pace_finds_the_limit(rate, burst):
    """With four in flight most of what is allowed gets through, and at most 3 % of the requests are refused."""
    got, refused = limited(rate, burst)
    assert 0.7 * rate < got < 1.15 * rate
    assert refused <= 600 * 0.03


@pytest.mark.parametrize(("rate", "burst"), [(10, 10), (10, 1), (50, 50)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hidden_limit_is_used_and_hardly_ever_hit(rate, burst, seed):
    """After a minute, at least 95 % of what a token bucket allows gets through, and at most 1 % is refused."""
    simulation = Simulation(None, rate * 240, latency=0.002, seed=seed)
    bucket = Bucket(rate, burst, simulation.time.clock)
    late: list[bool] = []

    def allowed() -> bool:
        taken = bucket.take()
        if simulation.time.now > 1060:
            late.append(taken)
        return taken

    simulation.allowed = allowed
    seconds = simulation.run() - 60
    assert sum(late) >= 0.95 * rate * seconds
    assert late.count(False) <= 0.01 * len(late)


def test_a_refusal_is_explained_by_the_bucket_that_let_the_others_in():
    """With room for bursts it is the average that counts; without, the rate at which it was refused."""
    steady = [n / 10 for n in range(1, 101)]
    assert rate_of(steady, 0.0, 10.09, 1) == pytest.approx(10, rel=0.15)
    climbing = [10 * (1 - (1 - n / 80) ** 2) for n in range(1, 80)]
    assert rate_of([10 - start for start in reversed(climbing)], 0.0, 10.0, 1000) == pytest.approx(8, rel=0.02)
    burst_then_steady = [1.0] * 5 + [1.0 + n / 10 for n in range(1, 50)]
    assert room_of(burst_then_steady, 10.0) == pytest.approx(5)
    assert room_of(steady, 10.0) == pytest.approx(1)


def test_refusals_at_random_do_not_stop_the_work():
    """Refusals that have nothing to do with the rate cost time, but do not slow the client down further and further."""
    simulation = Simulation(None, 1000)
    chance = random.Random(11)
    simulation.allowed = lambda: chance.random() > 0.01
    assert 1000 / simulation.run() > 10


def test_an_unlimited_workspace_is_never_slowed_down():
    """Without a refusal there is no rate."""
    simulation = Simulation(lambda: True, 200)
    simulation.run()
    assert simulation.pace.rate is None
    assert simulation.pace.limit == 4


def test_a_refusal_halves_and_answers_restore():
    """In flight: half of it after a refusal, one more after every ten answers, never less than 1 or more than asked."""
    pace = Pace(6)
    assert pace.limit == 4
    for expected in (2.0, 1.0, 1.0):
        permit = pace.ask(pace.paused_until if pace.paused_until > 0 else 0.0)
        pace.refused(permit, 0.0, 1.0)
        pace.leave(0.0)
        assert pace.limit == expected
    for _ in range(100):
        pace.answered()
    assert pace.limit == 6.0


def test_refusals_of_one_burst_count_once():
    """Requests that were in flight together and are refused together are one refusal."""
    pace = Pace(4)
    permits = [pace.ask(0.0) for _ in range(4)]
    assert pace.ask(0.0) == math.inf
    for permit in permits:
        pace.refused(permit, 0.1, 2.0)
        pace.leave(0.1)
    assert pace.limit == 2.0
    assert pace.ask(0.1) == 2.0


def test_a_limit_that_is_lifted_is_forgotten():
    """After the limit has gone, the rate climbs faster and faster."""
    simulation = Simulation(None, 400)
    bucket = Bucket(10, 10, simulation.time.clock)
    simulation.allowed = bucket.take
    simulation.run()
    before = simulation.pace.rate
    assert before < 13
    simulation.left, simulation.allowed = 600, lambda: True
    simulation.run()
    assert simulation.pace.rate > 10 * before


def test_idle_time_says_nothing_about_the_limit():
    """An hour in which nobody asked does not make the measured rate smaller."""
    simulation = Simulation(None, 100)
    bucket = Bucket(20, 20, simulation.time.clock)
    simulation.allowed = bucket.take
    simulation.run()
    simulation.time.now += 3600
    simulation.left = 200
    started = simulation.time.now
    simulation.run()
    assert 200 / (simulation.time.now - started) > 15
