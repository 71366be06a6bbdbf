"""Agent runs: one row for each answer of an agent, put together from messages, chats and the runs that they started.

The API has no such object (contract: chats carry trigger and trace, messages usage and evaluation, and runs name the
message that started them). A row is written again when its chat moved or when a run that it started moved.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Call
from cargo_source.pull.landed import quoted
from cargo_source.pull.pages import Row
from cargo_source.pull.reading import read_entity
from cargo_source.pull.session import Session
from cargo_source.pull.spool import Spooled
from cargo_source.pull.times import Span, time_at

_BATCH = 500
"""Keys in one SQL question to the destination."""

MESSAGES, AGENT_RUNS = ENTITIES["messages"], ENTITIES["agent_runs"]


def read_agent_runs(session: Session, span: Span, *, with_runs: bool) -> Spooled:
    """Give the agent runs that have news in ``span``; ``with_runs`` says that the table runs is synced along."""
    chats = {chat["uuid"]: chat for chat in read_entity(session, "chats", span).rows}
    answers = [row for row in read_entity(session, "messages", span).rows if row.get("type") == "assistant"]
    child_runs = _ChildRuns(session, span, answers, with_runs=with_runs)
    answers += _started_elsewhere(session, child_runs.messages, {row["uuid"] for row in answers})
    for uuid in sorted({row["chatUuid"] for row in answers} - chats.keys()):
        chats.update({chat["uuid"]: chat for chat in _one(session, "chats", f"ai/chats/{uuid}", "chat")})
    counts = child_runs.counts(row["uuid"] for row in answers)
    sheet = session.sheet(AGENT_RUNS)
    sheet.add([agent_run(row, chats.get(row["chatUuid"], {}), counts.get(row["uuid"], 0)) for row in answers])
    return sheet.finish()


def agent_run(message: Row, chat: Row, child_runs: int) -> Row:
    """Put one agent run together."""
    usage, evaluation = message.get("usage") or {}, message.get("evaluation") or {}
    created, finished = time_at(message, "createdAt"), time_at(message, "finishedAt")
    return {
        "messageUuid": message["uuid"],
        "agentUuid": message.get("agentUuid") or chat.get("agentUuid"),
        "releaseUuid": message.get("releaseUuid") or chat.get("releaseUuid"),
        "chatUuid": message.get("chatUuid"),
        "traceUuid": chat.get("traceUuid"),
        "triggerType": (chat.get("trigger") or {}).get("type"),
        "durationSeconds": (finished - created).total_seconds() if created and finished else None,
        "languageModelSlug": usage.get("languageModelSlug") or message.get("languageModelSlug"),
        "evaluationScore": evaluation.get("score"),
        "evaluationPassed": evaluation.get("passed"),
        "childRunsCount": child_runs,
        **{name: message.get(name) for name in ("status", "errorMessage", "createdAt", "finishedAt", "updatedAt")},
        **{name: usage.get(name) for name in _USAGE},
    }


_USAGE = (
    "tokensUsedCount",
    "billableTokensCount",
    "inputTokensCount",
    "outputTokensCount",
    "cacheReadTokensCount",
    "cacheWriteTokensCount",
    "reasoningTokensCount",
    "creditsUsedCount",
)


class _ChildRuns:
    """The runs that messages started: those in this sync's window, and those that the destination holds.

    Where the table runs is not synced along, the window reaches back to the oldest message instead.
    """

    def __init__(self, session: Session, span: Span, answers: list[Row], *, with_runs: bool) -> None:
        self._session, self._ask_destination = session, with_runs and span.start is not None
        window = session.span("runs") if with_runs else replace(span, start=_oldest(answers, span))
        self._by_message: dict[str, set[str]] = defaultdict(set)
        for run in read_entity(session, "runs", window).rows:
            self._by_message[run["parentMessageUuid"]].add(run["uuid"])

    @property
    def messages(self) -> set[str]:
        """Messages that started one of the runs in the window."""
        return set(self._by_message)

    def counts(self, messages: Iterable[str]) -> dict[str, int]:
        """Count the child runs of each message."""
        wanted = sorted(set(messages))
        runs = {uuid: set(self._by_message.get(uuid, ())) for uuid in wanted}
        if self._ask_destination and self._session.table_state("runs"):
            for start in range(0, len(wanted), _BATCH):
                where = f"parent_message_uuid IN ({quoted(wanted[start : start + _BATCH])})"
                for message, run in self._session.destination.select("runs", ("parent_message_uuid", "uuid"), where):
                    runs[message].add(run)
        return {message: len(found) for message, found in runs.items()}


def _oldest(answers: list[Row], span: Span) -> Any:
    if span.start is None:
        return None
    times = [moment for moment in (time_at(row, "createdAt") for row in answers) if moment]
    return min([span.start, *times])


def _started_elsewhere(session: Session, messages: set[str], known: set[str]) -> list[Row]:
    """Read the messages that a run names but whose chat did not move."""
    missing = sorted(messages - known)
    found = session.many(lambda uuid: _one(session, "messages", f"ai/messages/{uuid}", "message"), missing)
    kept = (MESSAGES.kept(row) for rows in found for row in rows)
    return [row for row in kept if row and row.get("type") == "assistant"]


def _one(session: Session, table: str, path: str, envelope: str) -> list[Row]:
    pages = session.listing(ENTITIES[table], Call("GET", path, envelope), {}, {})
    return [row for page in pages for row in page]
