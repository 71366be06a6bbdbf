"""Single runs, batches, chats and answers that begin, move on and end because somebody says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import MINUTE, iso, parse
from cargo_source.sandbox.workspace.batches import ENDED
from cargo_source.sandbox.workspace.history import record_at
from cargo_source.sandbox.workspace.messages import OPEN
from cargo_source.sandbox.workspace.runs import UNFINISHED
from cargo_source.sandbox.workspace.timeline import Timeline

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

LASTS = 3 * MINUTE
"""How long something takes at most that is told as a whole: so far before its end may it have begun."""


class WorkPoking:
    """Lets runs, batches and chats happen; each by its uuid.

    Raises ValueError where there is no such thing, or where it has come to its end.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def open_runs(self) -> list[str]:
        """Return the runs that have not ended."""
        return [uuid for uuid, run in self._world.tables["runs"].items() if run["status"] in UNFINISHED]

    def open_batches(self) -> list[str]:
        """Return the batches that have not ended and wait for no run."""
        busy = {self._world.tables["runs"][uuid]["batchUuid"] for uuid in self.open_runs()}
        batches = self._world.tables["batches"].items()
        return [uuid for uuid, batch in batches if batch["status"] not in ENDED and uuid not in busy]

    def open_answers(self) -> list[str]:
        """Return the messages that are still being written."""
        return [uuid for uuid, message in self._world.tables["messages"].items() if message["status"] in OPEN]

    def quiet_chats(self) -> list[str]:
        """Return the chats with an agent to which one more thing can be said."""
        chats = self._world.tables["chats"].items()
        return [uuid for uuid, chat in chats if chat["agentUuid"] and not chat["deletedAt"] and _answered(chat)]

    def start_run(self, fate: str = "success", *, late: int = 0) -> str:
        """Run a workflow, chosen by lot, as far as its fate says (see `Runs.start`); return the run."""
        timeline = self._timeline(late)
        plan = timeline.stream.pick([plan for plan in self._world.plans.values() if plan.ready])
        records = self._world.records_of(plan, 1, timeline.stream.uuid())
        run = self._world.runs.start(plan, record_at(records, 0, timeline.stream), timeline, fate)
        self._settle()
        return str(run["uuid"])

    def set_run_status(self, uuid: str, status: str) -> None:
        """Give a run that has not ended another status, with the node that it waits in."""
        run, now = self._world.tables["runs"].get(uuid), iso(self._world.moment)
        if run is None or run["status"] not in UNFINISHED:
            raise ValueError(f"there is no run {uuid} that is under way")
        if run["executions"][-1]["startedAt"] is None:
            run["executions"].pop()
        ended = status not in UNFINISHED
        run |= {"status": status, "updatedAt": now, "finishedAt": now if ended else None}
        run["errorMessage"] = "It failed." if status == "error" else None
        last = run["executions"][-1]
        last["updatedAt"] = now
        if ended:
            last |= {"status": "error" if status == "error" else "success", "finishedAt": now}
            last |= {"errorMessage": run["errorMessage"], "nextNodeUuid": None}
        self._world.traces.note(run)
        self._settle()

    def delete_run(self, uuid: str) -> None:
        """Mark a run as deleted, which moves it."""
        run = self._world.tables["runs"].get(uuid)
        if run is None or run["status"] in UNFINISHED:
            raise ValueError(f"there is no run {uuid} that has ended")
        run["deletedAt"] = run["updatedAt"] = iso(self._world.moment)
        self._settle()

    def set_batch_status(self, uuid: str, status: str) -> None:
        """Give a batch that waits for no run another status."""
        if uuid not in self.open_batches():
            raise ValueError(f"there is no batch {uuid} that waits for nothing")
        self._world.batches.planned[uuid] = [(self._world.moment, status)]
        self._settle()

    def open_chat(self, status: str = "success", *, late: int = 0) -> str:
        """Ask an agent, chosen by lot, in a chat of its own; return the chat."""
        timeline = self._timeline(late)
        agents = [agent for agent in self._world.tables["agents"].values() if agent["deployedRelease"]]
        chat = self._world.chats.open(timeline.stream.pick(agents), {"type": "app"}, timeline)
        self._world.chats.exchange(chat, timeline, status, calls=timeline.stream.whole(0, 1))
        self._settle()
        return str(chat["uuid"])

    def say(self, chat: str, status: str = "success") -> str:
        """Ask once more in a chat; return the answer."""
        if chat not in self.quiet_chats():
            raise ValueError(f"there is no chat {chat} in which something can be said")
        timeline, row = self._timeline(0), self._world.tables["chats"][chat]
        timeline.moment = min(max(timeline.moment, parse(row["updatedAt"]) + 1), timeline.deadline)
        answer = self._world.chats.exchange(row, timeline, status)
        self._settle()
        return str(answer["uuid"])

    def end_answer(self, uuid: str, status: str = "success") -> None:
        """End an answer that is still being written."""
        message = self._world.tables["messages"].get(uuid)
        if message is None or message["status"] not in OPEN:
            raise ValueError(f"there is no message {uuid} that is being written")
        timeline = self._timeline(0)
        timeline.moment = timeline.deadline
        self._world.chats.finish(self._world.tables["chats"][message["chatUuid"]], message, status, timeline)
        self._settle()

    def _timeline(self, late: int) -> Timeline:
        deadline = self._world.moment - late
        return Timeline(deadline - LASTS, deadline, Stream(self._world.seed, "poke", "work", self._world.revision))

    def _settle(self) -> None:
        self._world.settle()
        self._world.revision += 1


def _answered(chat: Wire) -> bool:
    return chat["lastMessage"] is not None and chat["lastMessage"]["status"] not in OPEN
