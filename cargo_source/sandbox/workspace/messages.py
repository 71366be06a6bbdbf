"""What a message of a chat consists of: its text, settings, usage and evaluation."""

from typing import Any

from cargo_source.sandbox.identity import CREDIT_STEP, Stream
from cargo_source.sandbox.moments import iso

Wire = dict[str, Any]

OPEN = frozenset({"pending", "generating", "cancelling"})
"""Message statuses that are not the last word."""

QUESTIONS = (
    "Who should I talk to at this account?",
    "Summarize the last call, please.",
    "Is it a good fit? Why?",
    "Rédige un email de relance",
    "Find the email of the CFO\nand of the CEO",
    "What changed since yesterday?",
)
ANSWERS = (
    "The best contact is the VP Sales; she joined in May.",
    "Fit is high: 3 of 4 criteria hold.",
    "I found two emails, one verified ✅.",
    "Nothing new since yesterday.",
)
_LAST = (
    "uuid", "workspaceUuid", "agentUuid", "releaseUuid", "chatUuid", "userUuid", "status", "errorMessage", "type",
    "createdAt", "updatedAt", "finishedAt", "deletedAt",
)  # fmt: skip
_NULLABLE = (
    "errorMessage", "systemPrompt", "withReasoning", "temperature", "maxSteps", "integrationSlug", "connectorUuid",
    "languageModelSlug", "usage", "output", "evaluation", "meta", "temporalWorkflowId", "finishedAt", "deletedAt",
)  # fmt: skip
_LISTS = ("actions", "resources", "capabilities", "mcpClients", "suggestedActions")
_SETTINGS = (
    "actions", "resources", "capabilities", "mcpClients", "systemPrompt", "withReasoning", "temperature", "maxSteps",
    "integrationSlug", "connectorUuid", "languageModelSlug", "output",
)  # fmt: skip


def text_part(text: str) -> Wire:
    """Return a part that is a text."""
    return {"type": "text", "text": text}


def blank(chat: Wire, kind: str, uuid: str, moment: int) -> Wire:
    """Return a message that has just been added to a chat."""
    now = iso(moment)
    return {
        **dict.fromkeys(_NULLABLE),
        **{key: [] for key in _LISTS},
        "evaluatedTools": {},
        "uuid": uuid,
        "workspaceUuid": chat["workspaceUuid"],
        "agentUuid": chat["agentUuid"],
        "releaseUuid": chat["releaseUuid"],
        "chatUuid": chat["uuid"],
        "userUuid": chat["userUuid"] if kind == "user" else None,
        "status": "pending",
        "type": kind,
        "parts": [],
        "createdAt": now,
        "updatedAt": now,
    }


def settings_of(agent: Wire | None) -> Wire:
    """Return what an answer says about how it is made: the settings of its agent's release."""
    release = agent["deployedRelease"] if agent else None
    return {key: release[key] for key in _SETTINGS} | {"releaseUuid": release["uuid"]} if release else {}


def as_last(message: Wire) -> Wire:
    """Return a message as its chat shows its last one."""
    return {key: message[key] for key in _LAST}


def succeed(answer: Wire, evaluator: Wire | None, stream: Stream) -> None:
    """Fill in what a successful answer has."""
    parts = [*answer["parts"], text_part(stream.pick(ANSWERS))]
    reasoning = {"type": "reasoning", "text": "Let me think.", "providerMetadata": None}
    answer["parts"] = [reasoning, *parts] if answer["withReasoning"] else parts
    if evaluator:
        answer["evaluation"] = _evaluation(stream, evaluator["threshold"])
    if stream.chance(0.3):
        suggested = {"text": "Send it", "actions": [{"slug": "find_email"}]}
        answer |= {"suggestedActions": [suggested, {"text": "Stop"}], "meta": {"sources": 3, "lang": "fr"}}
    if stream.chance(0.2):
        answer["evaluatedTools"] = {"web_search": {"kind": "capability", "name": "Web search", "slug": "webSearch"}}


def usage_of(answer: Wire, connectors: dict[str, str], stream: Stream) -> Wire:
    """Draw what an answer used up; a fifth of the answers do not tell tokens by class."""
    read, written = stream.whole(200, 9000), stream.whole(20, 1500)
    usage = {
        "tokensUsedCount": read + written,
        "creditsUsedCount": max(1, (read + written) // 900) * CREDIT_STEP,
        "languageModelSlug": answer["languageModelSlug"] or "gpt-4o-mini",
        "connectorUuid": connectors[answer["integrationSlug"] or "openai"],
    }
    if stream.chance(0.2):
        return usage
    return usage | {
        "billableTokensCount": read + written - read // 4,
        "inputTokensCount": read,
        "outputTokensCount": written,
        "cacheReadTokensCount": read // 4,
        "cacheWriteTokensCount": read // 10,
        "reasoningTokensCount": written // 3 if answer["withReasoning"] else 0,
    }


def _evaluation(stream: Stream, threshold: float) -> Wire:
    score = stream.real(0.3, 1.0)
    passed = score >= threshold
    sourced = {"name": "sourced", "passed": passed, "reason": "Cites two pages." if passed else "Cites nothing."}
    brief = {"name": "brief", "passed": True, "reason": "Three sentences."}
    return {"score": score, "passed": passed, "criteria": [sourced, brief], "summary": "Sound." if passed else "Weak."}
