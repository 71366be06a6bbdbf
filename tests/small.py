"""Workspaces with a short past, so that a whole sync of one takes about a second."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from cargo_source.sandbox import Sandbox
from cargo_source.sandbox.workspace import agents, changes, history, plays, segments, tools

PLAYS, TOOLS = 14, 5
"""How many of each a tiny workspace has: runs are asked for by workflow. Batches of the plays still take two pages."""


@contextmanager
def short_past(*, chats: int = 30, busy_runs: int = 25, long_chat: int = 60, evaluations: int = 2) -> Iterator[None]:
    """Have worlds that are made meanwhile begin with fewer runs, chats and evaluations of segments.

    The longest chat and the list of chats still take two pages, so that there is a second page to go wrong.
    """
    few = tuple(replace(each, changes=min(each.changes, evaluations)) for each in segments.AUDIENCES)
    with ExitStack() as stack:
        for module, name, value in (
            (history, "CHATS", chats),
            (history, "BUSY_RUNS", busy_runs),
            (history, "LONG_CHAT", long_chat),
            (history, "RUNS", (1, 3)),
            (agents, "RELEASES_EACH", 3),
            (segments, "AUDIENCES", few),
            (changes, "AUDIENCES", few),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield


def small_box(seed: int, *, companies: int = 20, **options: Any) -> Sandbox:
    """Make a sandbox of a small workspace with a short past; it is not started. ``options`` are those of Sandbox."""
    with short_past():
        return Sandbox(seed=seed, companies=companies, **options)


def tiny_box(seed: int) -> Sandbox:
    """Make a small workspace with few plays, tools and segments, so that a sync asks for little."""
    every = segments.AUDIENCES
    # Segments of the plays come first, in their order; of the others there are some, and the last, which is deleted.
    audiences = (*every[:PLAYS], *every[len(plays.PLAYS) :][:2], every[-1])
    with ExitStack() as stack:
        for module, name, value in (
            (plays, "PLAYS", plays.PLAYS[:PLAYS]),
            (tools, "TOOLS", tools.TOOLS[:TOOLS]),
            (segments, "AUDIENCES", audiences),
            (changes, "AUDIENCES", audiences),
        ):
            stack.enter_context(patch.object(module, name, value))
        return small_box(seed)
