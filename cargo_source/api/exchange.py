"""One request from start to end, as steps that something else carries out: send, sleep, wait for one's turn.

The logic is here once; :mod:`cargo_source.api.client` and :mod:`cargo_source.api.async_client` carry the steps out,
with threads and with tasks. A driver that stops in the middle closes the generator, which gives back what it holds.
"""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from cargo_source.api.answers import Answer, Failure, Reply, whole_json
from cargo_source.api.asking import Ask
from cargo_source.api.links import MOST_REDIRECTS, Download, Fetch, next_hop, trouble_with_link
from cargo_source.api.pace import Permit
from cargo_source.api.pacer import Pacer, Sleep, TooLong, Turn
from cargo_source.api.refusals import trouble_with, unreadable
from cargo_source.api.retries import Attempts, Kind, Trouble
from cargo_source.api.stats import Stats
from cargo_source.errors import RateLimited

log = logging.getLogger("cargo_source")

LONG_WAIT = 10.0
"""A wait of so many seconds is worth a warning."""
_REDIRECTS = {301, 302, 303, 307, 308}

T = TypeVar("T")
Outcome = Answer | Failure | Download | None
Steps = Generator[Ask | Fetch | Sleep | Turn, Outcome, T]


@dataclass(frozen=True)
class Means:
    """What all requests of a client share."""

    pacer: Pacer
    stats: Stats
    wait_budget: float
    random: Callable[[], float]


def ask_api(ask: Ask, means: Means) -> Steps[Reply]:
    """Have a request answered. Raises CargoError by remedy when it cannot be, or not within the wait budget."""
    attempts = Attempts(ask.repeatable, means.wait_budget, means.random)
    while True:
        permit = yield from _permit(ask, means, attempts)
        try:
            outcome = yield ask
            result = _judged(ask, outcome, attempts, means)
            if not isinstance(result, Trouble):
                means.pacer.answered()
                return result
            delay = _delay(result, attempts, means, permit)
        finally:
            means.pacer.leave()
        attempts.spend(delay, result)
        _tell(result, delay, attempts)
        # After a refusal it is the pacer that holds everybody back, this request included.
        if result.kind is not Kind.RATE_LIMITED:
            yield Sleep(delay)


def _permit(ask: Ask, means: Means, attempts: Attempts) -> Steps[Permit]:
    # A pause that this request's own refusal made is in its budget already, so the whole budget is the measure.
    try:
        return (yield from means.pacer.permit(patience=means.wait_budget))
    except TooLong as pause:
        seconds = pause.seconds
    refused = RateLimited("the workspace's rate limit is met", method=ask.method, path=ask.path, status=429)
    raise attempts.spent(seconds, refused, Kind.RATE_LIMITED)


def _judged(ask: Ask, outcome: Outcome, attempts: Attempts, means: Means) -> Reply | Trouble:
    assert isinstance(outcome, Answer | Failure)  # noqa: S101 - that is what a driver answers an Ask with
    means.stats.count(ask.group, "requests")
    if attempts.made:
        means.stats.count(ask.group, "retries")
    if isinstance(outcome, Answer):
        means.stats.count(ask.group, "bytes", len(outcome.content))
        if outcome.status == 429:
            means.stats.count(ask.group, "rate_limited")
        log.debug("%s %s: %s, %s bytes", ask.method, ask.path, outcome.status, len(outcome.content))
    trouble = trouble_with(ask, outcome)
    if trouble is not None or isinstance(outcome, Failure):
        assert trouble is not None  # noqa: S101 - a failure always is one
        return trouble
    # An operation that only does something may answer nothing.
    nothing_due = outcome.status == 204 or not ask.repeatable
    content = b"" if nothing_due and not outcome.content else whole_json(outcome.content)
    if content is None:
        return unreadable(ask, outcome)
    return Reply(
        outcome.status, outcome.headers, content, outcome.server_time, outcome.request_id, ask.method, ask.path
    )


def _delay(trouble: Trouble, attempts: Attempts, means: Means, permit: Permit) -> float:
    delay = attempts.delay(trouble)
    if trouble.kind is Kind.RATE_LIMITED:
        means.pacer.refused(permit, delay)
    return delay


def _tell(trouble: Trouble, delay: float, attempts: Attempts) -> None:
    level = logging.WARNING if delay >= LONG_WAIT else logging.INFO
    log.log(level, "attempt %s failed, the next one is in %.1f s: %s", attempts.made, delay, trouble.error.what)


def fetch_link(fetch: Fetch, means: Means) -> Steps[Download]:
    """Have a link's file downloaded. Raises CargoError by remedy; LinkExpired where a new link is needed.

    Links lead to a file store, so they neither wait in the workspace's line nor count against its rate limit.
    """
    attempts = Attempts(repeatable=True, budget=means.wait_budget, random=means.random)
    hops = 0
    while True:
        outcome = yield fetch
        means.stats.count("links", "downloads")
        if isinstance(outcome, Download):
            means.stats.count("links", "bytes", outcome.bytes)
            log.debug("link on %s: %s bytes, %s", fetch.host, outcome.bytes, outcome.kind)
            return outcome
        assert isinstance(outcome, Answer | Failure)  # noqa: S101 - that is what a driver answers a Fetch with
        if isinstance(outcome, Answer) and outcome.status in _REDIRECTS and hops < MOST_REDIRECTS:
            fetch, hops = next_hop(fetch, outcome), hops + 1
            continue
        trouble = trouble_with_link(fetch, outcome)
        delay = attempts.delay(trouble)
        attempts.spend(delay, trouble)
        _tell(trouble, delay, attempts)
        yield Sleep(delay)
