"""Votes of members on the answers of agents. A vote says when it was cast; the chat says nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, MINUTE, iso, parse

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from cargo_source.sandbox.workspace.happening import Stretch
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

LATEST = 5 * DAY
"""How old an answer may be that someone still votes on."""
_UP = 0.75


def cast_history(world: World) -> None:
    """Let members vote on a fifth of the answers of the past, within days of each."""
    stream = Stream(world.seed, "votes")
    for message in _answers(world, world.team.created, world.moment - 2 * MINUTE):
        if stream.chance(0.2):
            ended = parse(message["finishedAt"])
            latest = min(ended + LATEST, world.moment - MINUTE)
            for user in stream.some(world.team.users, 1 + stream.chance(0.1)):
                _cast(world, message, user, stream.whole(ended + 1, latest), stream)


def _answers(world: World, low: int, high: int) -> Iterable[Wire]:
    """Give the finished answers between two moments that can be seen."""
    after, before = iso(low), iso(high)
    for message in world.tables["messages"].values():
        ended = message["finishedAt"]
        if message["status"] == "success" and message["type"] == "assistant" and after < ended < before:
            chat = world.tables["chats"][message["chatUuid"]]
            if message["deletedAt"] is None and chat["deletedAt"] is None:
                yield message


def _cast(world: World, message: Wire, user: str, moment: int, stream: Stream) -> None:
    vote = {
        "workspaceUuid": message["workspaceUuid"],
        "userUuid": user,
        "chatUuid": message["chatUuid"],
        "messageUuid": message["uuid"],
        "isUpvoted": stream.chance(_UP),
        "updatedAt": iso(moment),
    }
    world.tables["votes"][f"{user}:{message['uuid']}"] = vote


def keep_voting(world: World, within: Stretch) -> Counter[str]:
    """Cast votes on new answers and on some of days ago; change a few votes and take a few back."""
    stream, votes = within.stream, world.tables["votes"]
    for vote in stream.some(list(votes.values()), within.often(4)):
        vote |= {"isUpvoted": not vote["isUpvoted"], "updatedAt": iso(within.moment())}
        within.counts["votesChanged"] += 1
    for key in stream.some(
        [key for key, vote in votes.items() if vote["updatedAt"] <= iso(within.before)], within.often(2)
    ):
        del votes[key]
        within.counts["votesRemoved"] += 1
    open_to_vote = [
        (message, user)
        for message in _answers(world, within.before - LATEST, within.after)
        for user in world.team.users
        if f"{user}:{message['uuid']}" not in votes
    ]
    for message, user in stream.some(open_to_vote, within.often(12)):
        ended = parse(message["finishedAt"])
        _cast(world, message, user, stream.whole(max(within.before, ended) + 1, within.after), stream)
        within.counts["votesLate" if ended <= within.before else "votesCast"] += 1
    return within.counts
