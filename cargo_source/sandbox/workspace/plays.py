"""Plays: workflows that run on the records of a segment."""

from typing import Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.models import ModelSpec
from cargo_source.sandbox.moments import DAY, HOUR, iso
from cargo_source.sandbox.workspace.team import Team
from cargo_source.sandbox.workspace.warehouse import model_uuid
from cargo_source.sandbox.workspace.workflows import Plan, Workflows, play_uuid, tool_uuid

Wire = dict[str, Any]

PLAYS: tuple[tuple[str, str, str], ...] = (
    ("Enrich new accounts", "default.companies", "enrich"),
    ("Research hot accounts", "default.companies", "research"),
    ("Route inbound leads", "hubspot.companies", "route"),
    ("Find people at targets", "default.targets", "fan_out"),
    ("Sync owners to HubSpot", "hubspot.contacts", "sync"),
    ("Welcome new contacts", "default.contacts", "enrich"),
    ("Renewal reminder", "default.deals", "route"),
    ("Answer web forms", "http.website_forms", "research"),
    ("Score product events", "segment.tracks", "sync"),
    ("Chase open tickets", "zendesk.tickets", "route"),
    ("Refresh Salesforce", "salesforce.accounts", "sync"),
    ("Late invoices", "stripe.invoices", "enrich"),
    ("Risky customers", "stripe.customers", "research"),
    ("Sign-up follow-up", "http.product_signups", "sync"),
    ("Campaign digest", "default.campaigns", "sync"),
    ("Scorecard refresh", "default.scorecards", "enrich"),
    ("Conversation rating", "intercom.conversations", "sync"),
    ("Call insights", "gong.calls", "sync"),
    ("Usage drop alert", "snowflake.usage_daily", "route"),
    ("Quota check", "google_sheets.quotas", "sync"),
    ("Visits to CRM", "default.webVisits", "sync"),
    ("Apollo clean-up", "apollo.people", "sync"),
    ("Expansion radar", "salesforce.opportunities", "enrich"),
    ("Unfinished idea", "default.accountPlans", "sync"),
)
"""Name, model and graph of each play."""
PLAY_KINDS = frozenset({"added", "updated", "removed"})
"""Kinds of changes that a play can run on."""
_CHANGE_KINDS = (["added"], ["added", "updated"], ["removed"], ["added", "unchanged"])
_SCHEDULE_TYPES = ("cron", "dbt", "realtime", "dependency", "watch", "")


def segment_uuid(seed: int, place: int) -> str:
    """Return the uuid of a segment by its place; the first ones belong to the plays."""
    return uuid_for(seed, "segment", place)


def make_plays(team: Team, workflows: Workflows, specs: dict[str, ModelSpec]) -> dict[str, Wire]:
    """Return every play by uuid; the last has never been deployed."""
    stream = Stream(team.seed, "plays")
    found = {}
    for place, (_, key, shape) in enumerate(PLAYS):
        plan = workflows.add_for_play(place, shape, specs[key], ready=place < len(PLAYS) - 1)
        play = _play(team, place, plan, model_uuid(team.seed, specs[key]), stream)
        found[play["uuid"]] = play
    return found


def _play(team: Team, place: int, plan: Plan, model: str, stream: Stream) -> Wire:
    name = PLAYS[place][0]
    made = team.created + place * HOUR
    play = {
        "uuid": play_uuid(team.seed, place),
        "workspaceUuid": team.workspace_uuid,
        "workflowUuid": plan.workflow,
        "userUuid": stream.pick(team.users),
        "modelUuid": model,
        "segmentUuid": segment_uuid(team.seed, place),
        "changeKinds": _CHANGE_KINDS[place % 4],
        "runCreationRule": ("always", "once", "noConcurrency")[place % 3],
        "name": name,
        "description": f"{name}, every day" if place % 3 else None,
        "schedule": _schedule(team, place),
        "isEnabled": place % 5 != 4,
        "healthThreshold": 0.9,
        "folderUuid": team.folder(stream, "play"),
        "createdAt": iso(made),
        "updatedAt": iso(made + stream.whole(0, 80 * DAY)),
        "deletedAt": iso(made + 90 * DAY) if place == len(PLAYS) - 3 else None,
    }
    return play | ({"healthAlertActions": _alerts(team)[: place % 5]} if place % 7 else {})


def _schedule(team: Team, place: int) -> Wire | None:
    kind = _SCHEDULE_TYPES[place % len(_SCHEDULE_TYPES)]
    details: dict[str, Wire] = {
        "cron": {"cron": "0 * * * *", "temporalScheduleWorkflowId": f"play-schedule-{place}"},
        "dbt": {"jobId": "70403104"},
        "watch": {"temporalScheduleWorkflowId": f"play-watch-{place}", "meta": {"seen": 3}},
        "dependency": {"playUuid": play_uuid(team.seed, 0)},
    }
    return {"type": kind} | details.get(kind, {}) if kind else None


def _alerts(team: Team) -> list[Wire]:
    """Return what may happen when a play fails too often."""
    slack = {
        "kind": "connector",
        "config": {"channel": "#alerts"},
        "actionSlug": "sendMessage",
        "integrationSlug": "slack",
        "connectorUuid": team.connectors["slack"],
    }
    agent = uuid_for(team.seed, "agent", 0)
    return [
        slack,
        {
            "kind": "tool",
            "config": {},
            "templateSlug": "alert-v2",
            "toolUuid": tool_uuid(team.seed, 10),
            "waitUntilFinished": False,
            "retry": {"maximumAttempts": 2},
        },
        {"kind": "agent", "config": {}, "agentUuid": agent, "releaseUuid": uuid_for(agent, "any")},
        {"kind": "native", "config": {}, "actionSlug": "modelUpsert"},
    ]
