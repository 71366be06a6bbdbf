"""Agent runs: one row for each answer of an agent, put together from messages, chats and the runs that they started.

The API has no such object (contract: chats carry trigger and trace, messages usage and evaluation, and runs name the
message that started them). A row is written again when its chat moved or when a run that it started moved.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Any

from cargo_source.catalog import ENTITIES
from cargo_source.catalog.entity import Call
from cargo_source.pull.children import gone_along
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
    if span.bounded:
        return _sheet(session, answers, chats, _counts(session, _uuids(answers), _all_started(session, answers)))
    landed = with_runs and bool(session.memory.table_state("runs"))
    started = _started_by(session, _window(session, span, with_runs=with_runs))
    answers += _started_elsewhere(session, set(started), {row["uuid"] for row in answers})
    if not landed and (oldest := _oldest(answers)) and span.start and oldest < span.start:
        # The destination does not tell what these messages started before the window.
        started = _started_by(session, replace(span, start=oldest))
    read = _sheet(session, answers, chats, _counts(session, _uuids(answers), started, landed=landed))
    landed_messages = read_entity(session, "messages", span).sheets["messages"]
    return gone_along(session, AGENT_RUNS, read, MESSAGES, landed_messages)


def _sheet(session: Session, answers: list[Row], chats: dict[Any, Row], counts: dict[str, int]) -> Spooled:
    for uuid in sorted({row["chatUuid"] for row in answers} - chats.keys()):
        chats.update({chat["uuid"]: chat for chat in _one(session, "chats", f"ai/chats/{uuid}", "chat")})
    sheet = session.sheet(AGENT_RUNS)
    sheet.add([agent_run(row, chats.get(row["chatUuid"], {}), counts[row["uuid"]]) for row in answers])
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


def _window(session: Session, span: Span, *, with_runs: bool) -> Span:
    """Give the span in which runs may have started or moved since agent runs were last made.

    It is that of the table runs where that reaches as far back, so that runs are read once.
    """
    runs = session.span("runs") if with_runs else span
    reaches = runs.start is None or span.start is None or runs.start <= span.start
    return runs if reaches else span


def _started_by(session: Session, window: Span) -> dict[str, set[str]]:
    """Give the runs of a window by the message that started them."""
    found: dict[str, set[str]] = defaultdict(set)
    for run in read_entity(session, "runs", window).rows:
        found[run["parentMessageUuid"]].add(run["uuid"])
    return found


def _counts(
    session: Session, messages: list[str], started: dict[str, set[str]], *, landed: bool = False
) -> dict[str, int]:
    """Count the runs that each message started: those of the window, and those that landed before."""
    runs = {uuid: set(started.get(uuid, ())) for uuid in messages}
    for start in range(0, len(messages) if landed else 0, _BATCH):
        where = f"parent_message_uuid IN ({quoted(messages[start : start + _BATCH])})"
        for message, run in session.destination.select("runs", ("parent_message_uuid", "uuid"), where):
            runs[message].add(run)
    return {message: len(found) for message, found in runs.items()}


def _uuids(rows: list[Row]) -> list[str]:
    return [row["uuid"] for row in rows]


def _all_started(session: Session, answers: list[Row]) -> dict[str, set[str]]:
    """Give the runs that the answers of a window from outside started, whenever they did.

    The destination need not hold them. The windows of a backfill share one reading of all runs.
    """
    if not answers:
        return {}
    if session.shared is None:
        return _started_by(session, Span(_oldest(answers), session.now))
    return session.shared.get("runs by message", lambda: _started_by(session, Span(None, session.now)))


def _oldest(answers: list[Row]) -> datetime | None:
    return min((moment for row in answers if (moment := time_at(row, "createdAt"))), default=None)


def _started_elsewhere(session: Session, messages: set[str], known: set[str]) -> list[Row]:
    """Read the messages that a run names but whose chat did not move."""
    missing = sorted(messages - known)
    found = session.many(lambda uuid: _one(session, "messages", f"ai/messages/{uuid}", "message"), missing)
    kept = (MESSAGES.kept(row) for rows in found for row in rows)
    return [row for row in kept if row and row.get("type") == "assistant"]


def _one(session: Session, table: str, path: str, envelope: str) -> list[Row]:
    pages = session.lists.rows(ENTITIES[table], Call("GET", path, envelope), {}, {})
    return [row for page in pages for row in page]
