"""Chats with agents: who asks, what the agent does, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.moments import SECOND, iso
from cargo_source.sandbox.workspace import messages
from cargo_source.sandbox.workspace.runs import Origin, Record

if TYPE_CHECKING:
    from cargo_source.sandbox.identity import Stream
    from cargo_source.sandbox.workspace.timeline import Timeline
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

_UNATTENDED = frozenset({"workflow", "schedule", "connector"})
"""Triggers behind which no person sits."""


class Chats:
    """Opens chats, lets agents answer, and finishes answers that were under way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answered: list[Wire] = []

    def trigger(self, kind: str, stream: Stream) -> Wire:
        """Return the trigger of a chat that no workflow started; one agent asks another from an answer of its own."""
        match kind:
            case "chat":
                asked = stream.pick(self._answered)
                return {
                    "type": kind,
                    "uuid": asked["chatUuid"],
                    "agentUuid": asked["agentUuid"],
                    "messageUuid": asked["uuid"],
                }
            case "connector":
                meta = {"thread": "1712.003", "channel": "#revenue"}
                return {"type": kind, "connectorUuid": self._world.team.connectors["slack"], "meta": meta}
            case "web_extension":
                return {"type": kind, "url": "https://www.linkedin.com/in/someone?x=1"}
        return {"type": kind}

    def open(self, agent: Wire | None, trigger: Wire, timeline: Timeline) -> Wire:
        """Open a chat; it has no message yet."""
        world, stream = self._world, timeline.stream
        uuid = stream.uuid()
        release = agent["deployedRelease"] if agent else None
        now = iso(timeline.moment)
        chat = {
            "uuid": uuid,
            "slug": f"chat_{uuid[:8]}",
            "traceUuid": None,
            "workspaceUuid": world.team.workspace_uuid,
            "userUuid": None if trigger["type"] in _UNATTENDED else stream.pick(world.team.users),
            "agentUuid": agent["uuid"] if agent else None,
            "releaseUuid": release["uuid"] if release else None,
            "name": None,
            "trigger": trigger,
            "heartbeat": release["heartbeat"] if release else None,
            "evaluator": release["evaluator"] if release else None,
            "activeStreamUuid": None,
            "creditsUsedCount": 0,
            "createdAt": now,
            "updatedAt": now,
            "deletedAt": None,
            "lastMessage": None,
        }
        world.tables["chats"][uuid] = chat
        return chat

    def ask_from(self, run: Wire, execution: Wire, timeline: Timeline) -> Wire:
        """Let a workflow's agent node ask its agent, and return the answer; its tools run in the run's trace."""
        agent = self._world.tables["agents"][execution["nodeAgentUuid"]]
        node = execution["nodeUuid"]
        trigger = {"type": "workflow", "uuid": run["workflowUuid"], "nodeUuid": node, "runUuid": run["uuid"]}
        chat = self.open(agent, trigger, timeline)
        chat["traceUuid"] = run["traceUuid"]
        return self.exchange(chat, timeline, "success", calls=timeline.stream.whole(0, 1))

    def ask(self, chat: Wire, timeline: Timeline) -> Wire:
        """Add a question."""
        question = messages.blank(chat, "user", timeline.stream.uuid(), timeline.moment)
        question["parts"] = [messages.text_part(timeline.stream.pick(messages.QUESTIONS))]
        question |= {"status": "success", "finishedAt": question["createdAt"]}
        self._add(chat, question)
        return question

    def exchange(self, chat: Wire, timeline: Timeline, status: str, calls: int = 0) -> Wire:
        """Add a question and its answer, for which the agent may call tools; return the answer."""
        question = self.ask(chat, timeline)
        timeline.wait(50, 900)
        agent = self._world.tables["agents"].get(chat["agentUuid"])
        answer = messages.blank(chat, "assistant", timeline.stream.uuid(), timeline.moment)
        answer |= messages.settings_of(agent)
        self._add(chat, answer)
        if chat["name"] is None and timeline.stream.chance(0.8):
            chat["name"] = question["parts"][0]["text"][:40]
        for call in range(calls if agent else 0):
            self._call(chat, answer, call, timeline)
        if status in messages.OPEN:
            self._leave(chat, answer, status, timeline)
        else:
            self.finish(chat, answer, status, timeline)
        return answer

    def _call(self, chat: Wire, answer: Wire, call: int, timeline: Timeline) -> None:
        """Let the agent run a tool: a child run in the chat's trace."""
        world, stream = self._world, timeline.stream
        if chat["traceUuid"] is None:
            chat["traceUuid"] = stream.uuid()
            world.traces.root_in(chat)
        origin = Origin(chat["traceUuid"], agent=chat["agentUuid"], chat=chat["uuid"], message=answer["uuid"])
        record = Record(stream.uuid(), '{"domain": "acme.example"}')
        timeline.wait(100, 2 * SECOND)
        fate = "error" if stream.chance(0.06) else "success"
        run = world.runs.start(world.tool_plan(stream), record, timeline, fate, origin)
        part = {"type": "tool-call", "toolCallId": f"call_{call}", "toolName": "find_email", "args": {"limit": 1}}
        result = {"ok": True, "nothing": None} if fate == "success" else None
        answer["parts"].append(part | {"runUuid": run["uuid"], "result": result})

    def _leave(self, chat: Wire, answer: Wire, status: str, timeline: Timeline) -> None:
        answer |= {"status": status, "updatedAt": iso(timeline.moment)}
        chat["activeStreamUuid"] = timeline.stream.uuid() if status == "generating" else None
        self._show(chat, answer)

    def finish(self, chat: Wire, answer: Wire, status: str, timeline: Timeline) -> None:
        """End an answer: as success, error or cancelled. What it used is billed, an error only half of the time."""
        ended = iso(timeline.wait(SECOND, 40 * SECOND))
        stream = timeline.stream
        answer |= {"status": status, "updatedAt": ended, "finishedAt": ended}
        answer["temporalWorkflowId"] = f"message-{answer['uuid']}"
        if status == "success":
            messages.succeed(answer, chat["evaluator"], stream)
            self._answered += [answer] * bool(answer["agentUuid"])
        elif status == "error":
            answer["errorMessage"] = "The language model refused: context too long."
        if status != "error" or stream.chance(0.5):
            answer["usage"] = messages.usage_of(answer, self._world.team.connectors, stream)
            chat["creditsUsedCount"] += answer["usage"]["creditsUsedCount"]
        chat["activeStreamUuid"] = None
        self._show(chat, answer)

    def drop(self, chat: Wire, message: Wire) -> None:
        """Delete a message softly; the chat still shows it if it was its last."""
        message["deletedAt"] = message["updatedAt"]
        self._show(chat, message)

    def _add(self, chat: Wire, message: Wire) -> None:
        self._world.tables["messages"][message["uuid"]] = message
        self._show(chat, message)

    def _show(self, chat: Wire, message: Wire) -> None:
        """Keep the chat's view of its last message, and its time."""
        chat["lastMessage"] = messages.as_last(message)
        chat["updatedAt"] = max(chat["updatedAt"], message["updatedAt"])
