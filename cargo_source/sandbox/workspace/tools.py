"""Tools: workflows that people, agents and other workflows call."""

from typing import Any

from cargo_source.sandbox.identity import Stream
from cargo_source.sandbox.moments import DAY, HOUR, iso
from cargo_source.sandbox.workspace.team import Team
from cargo_source.sandbox.workspace.workflows import Plan, Workflows, tool_uuid

Wire = dict[str, Any]

TOOLS = (
    "Find an email", "Verify an address", "Company news", "Assign an owner", "Score an account", "Draft a reply",
    "Look up a person", "Normalize a phone", "Summarize a call", "Create a task", "Post to Slack", "Translate",
    "Guess the industry", "Find lookalikes", "Check a VAT id", "Read a website", "Book a meeting", "Enrich a domain",
    "Count employees", "Detect a language", "Old scraper", "Blank tool",
)  # fmt: skip
_SHAPES = ("find_email", "sync", "enrich")
_COSTS: tuple[Wire, ...] = ({"kind": "minMax"}, {"kind": "sum"}, {"kind": "custom", "min": 0.25, "max": 1.5})


def make_tools(team: Team, workflows: Workflows) -> dict[str, Wire]:
    """Return every tool by uuid; the last has never been deployed."""
    stream = Stream(team.seed, "tools")
    found = {}
    for place in range(len(TOOLS)):
        plan = workflows.add_for_tool(place, _SHAPES[place % len(_SHAPES)], ready=place < len(TOOLS) - 1)
        tool = _tool(team, place, plan, stream)
        found[tool["uuid"]] = tool
    return found


def _tool(team: Team, place: int, plan: Plan, stream: Stream) -> Wire:
    made = team.created + place * HOUR
    name = TOOLS[place]
    raw = {"kind": "raw", "data": "<svg/>"}
    icon = raw if place % 2 else {"kind": "emoji", "emojiSlug": "wrench"}
    return {
        "uuid": tool_uuid(team.seed, place),
        "workspaceUuid": team.workspace_uuid,
        "workflowUuid": plan.workflow,
        "userUuid": stream.pick(team.users),
        "name": name,
        "folderUuid": team.folder(stream, "tool"),
        "creditsCost": _COSTS[place % 3],
        "description": f"{name}, for people and agents" if place % 3 else None,
        "isReadOnly": place % 6 == 0,
        "triggers": [_trigger(place)] if place % 4 == 0 else [],
        "publicForm": _public_form(team) if place % 5 == 0 else None,
        "createdAt": iso(made),
        "updatedAt": iso(made + stream.whole(0, 80 * DAY)),
        "deletedAt": iso(made + 90 * DAY) if place == len(TOOLS) - 2 else None,
        **({"icon": icon} if place % 7 else {}),
    }


def _public_form(team: Team) -> Wire:
    captcha = {"captchaProvider": "turnstile", "captchaSiteKey": "site-key", "captchaSecret": team.secret()}
    spam = captcha | {"minFillMillis": 1500}
    return {"isEnabled": True, "allowedOrigins": ["https://marsh.example"], "spam": spam, "presentation": None}


def _trigger(place: int) -> Wire:
    trigger: Wire = {
        "name": "Nightly",
        "description": None if place % 8 else "While nobody works",
        "type": "cron",
        "cron": "0 2 * * *",
    }
    if place % 12 == 0:
        return trigger
    return trigger | {"temporalScheduleWorkflowId": f"tool-schedule-{place}", "data": {"limit": 10}}
