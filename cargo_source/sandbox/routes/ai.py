"""Agents, their releases, what they say and remember, and what is thought of it."""

from __future__ import annotations

from typing import Any

from cargo_source.sandbox.answers import Answer, Call, invalid, not_found
from cargo_source.sandbox.listings import PAGING, Getting, Listing, among, contains
from cargo_source.sandbox.operations import get
from cargo_source.sandbox.shapes import Fields, moment, one_of, required, several, text, uuid

Wire = dict[str, Any]

RELEASE_STATUSES = ("draft", "deployed", "archived")
MESSAGE_STATUSES = ("pending", "generating", "success", "error", "cancelling", "cancelled")
TRIGGERS = ("chat", "connector", "draft", "web_extension", "app", "workflow", "schedule")


def _triggered(chat: Wire, kind: str) -> bool:
    return bool(chat["trigger"]["type"] == kind)


def _last_status(chat: Wire, statuses: list[str]) -> bool:
    return not statuses or (chat["lastMessage"] is not None and chat["lastMessage"]["status"] in statuses)


def _newest(call: Call, status: str) -> Answer:
    found = call.store.lists.matching(RELEASES, {**call.params, "statuses": [status]})
    if not found:
        raise not_found("releaseNotFound")
    return Answer({"release": found[0]})


def _deployed(call: Call) -> Answer:
    return _newest(call, "deployed")


def _draft(call: Call) -> Answer:
    return _newest(call, "draft")


def _memories(call: Call) -> Answer:
    """List memories of a scope: of all members, for a token is not one of them, or of the agent that is named."""
    params = {"scope": call.params["scope"]}
    if params["scope"] == "agent":
        if "agentUuid" not in call.params:
            raise invalid([{"code": "invalid_type", "path": ["agentUuid"], "message": "Required"}])
        params["agentUuid"] = call.params["agentUuid"]
    found = call.store.lists.matching(MEMORIES, params)
    return Answer({"memories": found}, "memories", len(found))


RELEASES = Listing("agent_releases", "releases", paged=True, parent="agentUuid", tests={"statuses": among("status")})
CHATS = Listing(
    "chats",
    "chats",
    paged=True,
    tests={"triggerType": _triggered, "messageStatuses": _last_status, "name": contains("name")},
)
MESSAGES = Listing("messages", "messages", newest=None, oldest="createdAt", paged=True, parent="chatUuid")
VOTES = Listing("votes", "votes", newest="updatedAt", parent="chatUuid")
MEMORIES = Listing("memories", "memories")

_CHATS: Fields = {
    **PAGING,
    **dict.fromkeys(("agentUuid", "releaseUuid", "userUuid"), uuid()),
    "triggerType": one_of(*TRIGGERS),
    "messageStatuses": several(one_of(*MESSAGE_STATUSES)),
    "name": text(),
    **dict.fromkeys(("createdAfter", "createdBefore"), moment()),
}
_RELEASES: Fields = {
    **PAGING,
    **dict.fromkeys(("agentUuid", "userUuid"), uuid()),
    "statuses": several(one_of(*RELEASE_STATUSES)),
}
_OF_AGENT: Fields = {"agentUuid": required(uuid())}

OPERATIONS = (
    get("/ai/agents/list", Listing("agents", "agents")),
    get("/ai/agents/{uuid}", Getting("agents", "agent", "agentNotFound")),
    get("/ai/releases/list", RELEASES, _RELEASES),
    get("/ai/releases/deployed", _deployed, _OF_AGENT),
    get("/ai/releases/draft", _draft, _OF_AGENT),
    get("/ai/releases/{uuid}", Getting("agent_releases", "release", "releaseNotFound")),
    get("/ai/chats/list", CHATS, _CHATS),
    get("/ai/chats/{uuid}", Getting("chats", "chat", "chatNotFound")),
    get("/ai/messages/list", MESSAGES, {**PAGING, "chatUuid": required(uuid())}),
    get("/ai/messages/{uuid}", Getting("messages", "message", "messageNotFound")),
    get("/ai/votes/list", VOTES, {"chatUuid": required(uuid())}),
    get("/ai/mcpServers/list", Listing("mcp_servers", "mcpServers")),
    get("/ai/mcpServers/{uuid}", Getting("mcp_servers", "mcpServer", "mcpServerNotFound")),
    get("/ai/memories/list", _memories, {"scope": required(one_of("user", "agent")), "agentUuid": uuid()}),
)
