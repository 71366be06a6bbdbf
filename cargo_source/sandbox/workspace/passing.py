"""What happens while time passes: rows move, segments are evaluated, plays and agents work."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, MINUTE, iso, parse
from cargo_source.sandbox.workspace import history, office
from cargo_source.sandbox.workspace.messages import OPEN
from cargo_source.sandbox.workspace.plays import PLAY_KINDS
from cargo_source.sandbox.workspace.runs import UNFINISHED, Record
from cargo_source.sandbox.workspace.stirring import stir
from cargo_source.sandbox.workspace.timeline import Timeline

if TYPE_CHECKING:
    from cargo_source.sandbox.workspace.workflows import Plan
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

LATEST_LATE = 40 * MINUTE
"""How far before an advance something may lie that turns up in it."""
RUNS_PER_CHANGE = 8
ALWAYS_EVALUATED = "Five newest forms"
FATES = (*history.FATES, ("running", 2.0), ("pending", 1.0))


class Step:
    """One stretch of time, a day at most: everything that happens between two moments."""

    def __init__(self, world: World, before: int, after: int, number: int) -> None:
        self.world = world
        self.before = before
        self.after = after
        self.share = (after - before) / DAY
        self.stream = Stream(world.seed, "step", number)
        self.number = number
        self.counts: Counter[str] = Counter()

    def live(self) -> Counter[str]:
        """Let the time pass; return how many things of each kind happened."""
        self.world.moment = self.after
        self._take_up_runs()
        self._finish_answers()
        self.counts += stir(self.world, self.before, self.part(0.9), self.number)
        self._evaluate_segments()
        self._use_tools()
        self._start_late_runs()
        self._leave_under_way()
        self._chat()
        self._release()
        self._rename()
        self.world.batch_courses.live(self)
        self.world.workflow_releases.live(self)
        self.world.storage_runs.live(self)
        self.world.settle()
        self.counts += office.live(self.world, self.before, self.after, self.number)
        return self.counts

    def part(self, share: float) -> int:
        """Return the moment at which a share of the time has passed."""
        return self.before + round((self.after - self.before) * share)

    def timeline(self, low: float = 0.0, high: float = 0.95) -> Timeline:
        """Return a timeline that starts somewhere in the step and ends within it."""
        moment = self.stream.whole(self.part(low), self.part(high))
        return Timeline(max(moment, self.before + 1), self.after, self.stream)

    def often(self, per_day: float) -> int:
        """Return how often something happens that happens so often in a day."""
        return self.stream.rounded(per_day * self.share)

    def _take_up_runs(self) -> None:
        for run in list(self.world.tables["runs"].values()):
            if run["status"] in UNFINISHED and self.stream.chance(min(0.9, 0.3 + self.share)):
                self.world.runs.resume(run, self.timeline())
                self.counts["runsFinished"] += 1

    def _finish_answers(self) -> None:
        for message in list(self.world.tables["messages"].values()):
            if message["status"] in OPEN:
                status = "cancelled" if message["status"] == "cancelling" else "success"
                chat = self.world.tables["chats"][message["chatUuid"]]
                self.world.chats.finish(chat, message, status, self.timeline(0.0, 0.3))
                self.counts["messagesFinished"] += 1

    def _evaluate_segments(self) -> None:
        due = {}
        for place, segment in enumerate(self.world.tables["segments"].values()):
            alive = segment["syncedAt"] is not None and segment["deletedAt"] is None
            if segment["name"] == ALWAYS_EVALUATED or (alive and self.stream.chance(min(0.8, 0.1 + self.share))):
                due[segment["uuid"]] = min(self.part(0.91) + place, self.after)
        found = self.world.changes.evaluate(due, self.stream)
        self.counts["changes"] += len(found)
        for play in self.world.tables["plays"].values():
            if play["isEnabled"] and play["segmentUuid"] in found:
                self._play(play, found[play["segmentUuid"]])

    def _play(self, play: Wire, rows: list[tuple[str, Wire]]) -> None:
        """Run a play on the records that its segment's change brought."""
        plan = self.world.plans[play["workflowUuid"]]
        if not plan.ready:
            return
        wanted = PLAY_KINDS.intersection(play["changeKinds"])
        entered = [row for kind, row in rows if kind in wanted][:RUNS_PER_CHANGE]
        for row in entered:
            self._start(plan, Record(row["_id"], row["_title"] or row["_id"]), self.timeline(0.94, 0.97))

    def _start(self, plan: Plan, record: Record, timeline: Timeline) -> None:
        self.world.runs.start(plan, record, timeline, self.stream.weighted(FATES))
        self.counts["runsStarted"] += 1

    def _use_tools(self) -> None:
        for _ in range(self.often(12)):
            plan = self.world.tool_plan(self.stream)
            self._start(plan, history.record_at([], 0, self.stream), self.timeline())

    def _start_late_runs(self) -> None:
        """Runs that began before the step, but whose spans turn up only now."""
        for _ in range(self.stream.rounded(min(2.0, 8 * self.share))):
            plan = self.world.named_plans[self.stream.pick(history.BUSY)]
            began = self.before - self.stream.whole(10 * MINUTE, LATEST_LATE)
            record = self._any_record(plan)
            run = self.world.runs.start(plan, record, Timeline(began, self.before, self.stream), "running")
            self.world.runs.resume(run, self.timeline(0.0, 0.2))
            self.counts["runsLate"] += 1

    def _leave_under_way(self) -> None:
        for fate in history.UNDER_WAY[:4]:
            if self.stream.chance(min(0.9, 4 * self.share)):
                plan = self.world.named_plans[self.stream.pick(history.BUSY)]
                self.world.runs.start(plan, self._any_record(plan), self.timeline(0.9, 0.99), fate)
                self.counts["runsStarted"] += 1

    def _any_record(self, plan: Plan) -> Record:
        return history.record_at(self.world.records_of(plan, 1, self.stream.uuid()), 0, self.stream)

    def _chat(self) -> None:
        agents = [agent for agent in self.world.tables["agents"].values() if agent["deployedRelease"]]
        chats = list(self.world.tables["chats"].values())
        held = [chat for chat in chats if chat["agentUuid"] and not chat["deletedAt"] and _answered(chat)]
        for chat in self.stream.some(held, self.often(9)):
            timeline = self.timeline()
            timeline.moment = max(timeline.moment, parse(chat["updatedAt"]) + 1)
            self.world.chats.exchange(chat, timeline, "success", calls=self.stream.chance(0.3))
            self.counts["messagesAdded"] += 2
        for _ in range(self.often(11)):
            history.hold(self.world, self.stream.pick(agents), self.timeline())
            self.counts["chatsOpened"] += 1
        for status in sorted(OPEN):
            if self.stream.chance(min(0.9, 6 * self.share)):
                timeline = self.timeline(0.9, 0.99)
                chat = self.world.chats.open(self.stream.pick(agents), {"type": "schedule"}, timeline)
                self.world.chats.exchange(chat, timeline, status)
                self.counts["chatsOpened"] += 1

    def _release(self) -> None:
        """Deploy a new release of an agent."""
        if not self.often(1):
            return
        agents = [agent for agent in self.world.tables["agents"].values() if agent["deployedRelease"]]
        moment = self.stream.whole(self.before + 1, self.part(0.8))
        self.world.agents.deploy(self.stream.pick(agents), self.world.tables["agent_releases"], moment)
        self.counts["releases"] += 1

    def _rename(self) -> None:
        """Somebody tidies up: a name or a description changes here and there."""
        if not self.often(1):
            return
        for name, field in (
            ("segments", "name"),
            ("plays", "description"),
            ("tools", "name"),
            ("models", "description"),
        ):
            rows = [row for row in self.world.tables[name].values() if not row.get("fromPlay")]
            row = self.stream.pick(rows)
            moment = iso(self.stream.whole(self.part(0.95), self.after))
            row |= {field: f"{row['name'].split(' (')[0]} (edit {self.number})", "updatedAt": moment}
            self.counts["renamed"] += 1


def _answered(chat: Wire) -> bool:
    return chat["lastMessage"] is not None and chat["lastMessage"]["status"] not in OPEN
