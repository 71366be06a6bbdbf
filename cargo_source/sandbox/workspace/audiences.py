"""Which segments the workspace has, as data: what they select, and how often they were evaluated."""

from dataclasses import dataclass
from typing import Any

from cargo_source.sandbox.workspace.plays import PLAYS

Wire = dict[str, Any]


@dataclass(frozen=True)
class Audience:
    """A segment's definition. `changes` evaluations lie behind it; with none it was never evaluated."""

    name: str
    model: str
    conditions: tuple[Wire, ...] = ()
    sort: tuple[tuple[str, str], ...] = ()
    limit: int | None = None
    tracking: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    changes: int = 6
    deleted: bool = False
    any_of: bool = False

    @property
    def from_play(self) -> bool:
        """Whether a play made this segment for itself."""
        return self.name == GENERATED

    def filter(self) -> Wire:
        """Return the definition as a filter."""
        join = "or" if self.any_of else "and"
        groups = [{"conjonction": join, "conditions": list(self.conditions)}] if self.conditions else []
        return {"conjonction": join, "groups": groups}


GENERATED = "GENERATED_PLAY_SEGMENT"


def _when(kind: str, column: str, operator: str, **operand: Any) -> Wire:
    return {"kind": kind, "columnSlug": column, "operator": operator, **operand}


_PLAY_CONDITIONS: dict[str, tuple[Wire, ...]] = {
    "default.companies": (_when("string", "stage", "is", values=["qualified", "customer"]),),
    "hubspot.companies": (_when("string", "lifecyclestage", "isNot", values="lead"),),
    "default.contacts": (_when("boolean", "isSubscribed", "isTrue"),),
    "default.deals": (_when("number", "amount", "greaterThan", value=120_000),),
    "http.website_forms": (_when("string", "form", "contains", values=["demo", "pricing"]),),
    "salesforce.accounts": (_when("string", "Health__c", "isNotNull"),),
    "zendesk.tickets": (_when("string", "status", "doesNotContain", values="solved"),),
    "stripe.customers": (_when("number", "balance", "lowerThan", value=0),),
}
_PLAY_TRACKING: dict[str, tuple[str, ...]] = {
    "default.companies": ("stage", "annualRevenue"),
    "hubspot.companies": ("lifecyclestage",),
    "default.deals": ("stage", "probability"),
    "zendesk.tickets": ("priority",),
    "default.targets": ("score",),
}


def _of_play(place: int, model: str) -> Audience:
    return Audience(
        GENERATED,
        model,
        _PLAY_CONDITIONS.get(model, ()),
        sort=(("_id", "asc"),) if place % 2 else (),
        limit=60 + 5 * place,
        tracking=_PLAY_TRACKING.get(model),
        changes=4 + place % 5,
    )


_GERMAN = {"kind": "objectProperty", "columnSlug": "address", "propertyName": "city", "operator": "is", "value": "Köln"}


def _city(operator: str, **operand: str) -> Wire:
    return {"kind": "objectProperty", "columnSlug": "address", "propertyName": "city", "operator": operator, **operand}


_SKU = {
    "kind": "objectProperty",
    "columnSlug": "lineItems",
    "propertyName": "sku",
    "operator": "endsWith",
    "value": "7",
}

_SIZE = {"conjonction": "or", "conditions": [], "relatedModelUuid": "default.contacts"}
_ANY_TIME = {"operator": "moreThan", "value": 1, "unit": "day"}
EVERY_CONDITION = (
    _GERMAN,
    _when("string", "name", "startsWith", values="A"),
    _when("string", "name", "endsWith", values=["Cloud", "Café"]),
    _when("string", "description", "isEmpty"),
    _when("string", "description", "isNotEmpty"),
    _when("string", "industry", "isNull"),
    _when("boolean", "isCustomer", "isFalse"),
    _when("number", "sequence", "is", value=9007199254740993),
    _when("object", "address", "matchConditions", conjonction="or", propertyConditions=[
        _city("contains", value="a"), _city("doesNotContain", value="z"), _city("isNot", value="Austin"),
        _city("startsWith", value="P"), _city("greaterThan", value="A"), _city("lowerThan", value="Z"),
        _city("isNull"), _city("isNotNull"), _city("isEmpty"), _city("isNotEmpty"),
        _city("between", value="A", otherValue="M"),
    ]),
    _when("string", "jobTitle", "contains", values="CEO", relatedModelUuid="default.contacts"),
    {"kind": "segment", "operator": "notIn", "segmentUuid": "Köln"},
    {"kind": "occurrence", "frequency": {"operator": "exactly", "value": 2},
     "period": {"operator": "exactly", "value": 3, "unit": "day"}, **_SIZE},
    {"kind": "occurrence", "frequency": {"operator": "lessThan", "value": 9}, "period": _ANY_TIME, **_SIZE},
    {"kind": "enrollment", "workflowUuid": "play-0", "activityKind": "workflowNodeExecuted", "nodeSlug": "enrich",
     "frequency": {"operator": "moreThan", "value": 0}, "period": _ANY_TIME},
    {"kind": "enrollment", "workflowUuid": "play-0", "activityKind": "workflowLeft",
     "frequency": {"operator": "not"}, "period": _ANY_TIME},
)  # fmt: skip

_STANDALONE = (
    Audience("All targets", "default.targets", tracking=("score", "priority"), changes=12),
    Audience("All tickets", "zendesk.tickets", tracking=("status", "priority"), changes=10),
    Audience("Scorecards", "default.scorecards", tracking=("company_name", "score %"), changes=8),
    Audience("Five newest forms", "http.website_forms", sort=(("_emitted_at", "desc"),), limit=5, changes=265),
    Audience("Top hundred by revenue", "default.companies", (_when("number", "annualRevenue", "isNotNull"),),
             sort=(("annualRevenue", "desc"), ("name", "asc")), limit=100, tracking=("annualRevenue",),
             columns=("name", "domain", "annualRevenue"), changes=25),
    Audience("Köln", "default.companies",
             ({"kind": "object", "columnSlug": "address", "operator": "matchConditions", "conjonction": "and",
               "propertyConditions": [_GERMAN]},), limit=120, changes=5),
    Audience("Seven-ending SKUs", "default.deals",
             ({"kind": "array", "columnSlug": "lineItems", "operator": "matchConditions", "conjonction": "or",
               "propertyConditions": [_SKU]},), limit=80, changes=5),
    Audience("Founded recently or embedded", "default.companies",
             (_when("date", "foundedAt", "greaterThan", value="2024-06-01T00:00:00.000Z"),
              _when("vector", "embedding", "isNull"), _when("any", "signal", "isNull")),
             sort=(("foundedAt", "desc"),), limit=90, any_of=True),
    Audience("Mid-size in the top hundred", "default.companies",
             ({"kind": "segment", "operator": "in", "segmentUuid": "Top hundred by revenue"},
              _when("number", "employeesCount", "between", firstValue=200, lastValue=2500)), limit=50),
    Audience("Open deals by clause", "default.deals",
             ({"kind": "sql", "name": "likely", "clause": "probability > 0.8 AND isClosed = FALSE"},), limit=70,
             tracking=("probability",)),
    Audience("Seen contacts this month", "default.contacts",
             (_when("date", "lastSeenAt", "between", firstValue="2026-01-15T00:00:00.000Z",
                    lastValue="2026-02-20T00:00:00.000Z"),), limit=110, columns=("email", "lastSeenAt")),
    Audience("Conversations", "intercom.conversations", tracking=("state", "rating"), changes=7),
    Audience("Usage", "snowflake.usage_daily", tracking=("active_users",), changes=7),
    Audience("Many deals lately", "default.companies",
             ({"kind": "occurrence", "relatedModelUuid": "default.deals", "conjonction": "and", "conditions": [],
               "frequency": {"operator": "moreThan", "value": 0},
               "period": {"operator": "lessThan", "value": 30, "unit": "day"}},), limit=20, changes=0),
    Audience("Never enrolled", "default.companies",
             ({"kind": "enrollment", "workflowUuid": "play-0", "activityKind": "workflowEntered",
               "frequency": {"operator": "not"}, "period": {"operator": "lessThan", "value": 90, "unit": "day"}},),
             changes=0),
    Audience("Every condition there is", "default.companies", EVERY_CONDITION, changes=0, any_of=True),
    Audience("Draft audience", "hubspot.contacts", changes=0, tracking=("jobtitle",)),
    Audience("Retired audience", "default.campaigns", changes=3, deleted=True),
)  # fmt: skip

AUDIENCES = (*(_of_play(place, play[1]) for place, play in enumerate(PLAYS)), *_STANDALONE)
