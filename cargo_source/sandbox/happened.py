"""Time in SQL: how often and when something happened to a record, and what time it is now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlglot import exp

if TYPE_CHECKING:
    from collections.abc import Iterable

_CLOCKS: dict[type[exp.Expr], tuple[str, str]] = {
    exp.CurrentTimestamp: ("TIMESTAMPTZ", "%Y-%m-%d %H:%M:%S.%f+00"),
    exp.CurrentDatetime: ("TIMESTAMP", "%Y-%m-%d %H:%M:%S.%f"),
    exp.CurrentDate: ("DATE", "%Y-%m-%d"),
}
_SIGN = {"moreThan": ">", "lessThan": "<", "exactly": "="}


def frequency(condition: object) -> str | None:
    """Give the comparison that a count has to pass, like `> 3`; None if it is no frequency."""
    if not isinstance(condition, dict):
        return None
    if condition.get("operator") == "not":
        return "= 0"
    sign, value = _SIGN.get(str(condition.get("operator"))), condition.get("value")
    return f"{sign} {value}" if sign and _is_number(value) else None


def period(sql: str, condition: object, now: datetime) -> str | None:
    """Limit a time: `lessThan 30 day` is within the last 30 days, `moreThan` longer ago, `exactly` that day."""
    if not isinstance(condition, dict) or not _is_number(condition.get("value")):
        return None
    try:
        edge = now - timedelta(days=float(condition["value"]))
    except OverflowError:
        return None
    literal = f"TIMESTAMPTZ '{edge.isoformat()}'"
    match condition.get("operator"):
        case "lessThan":
            return f"({sql} > {literal})"
        case "moreThan":
            return f"({sql} < {literal})"
        case "exactly":
            return f"(CAST({sql} AT TIME ZONE 'UTC' AS DATE) = CAST({literal} AT TIME ZONE 'UTC' AS DATE))"
    return None


def activity(condition: dict[str, Any], runs: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """List what records did in a workflow as (record id, time), for a condition of kind `enrollment`."""
    own = [run for run in runs if run["workflowUuid"] == condition.get("workflowUuid")]
    match condition.get("activityKind"):
        case "workflowEntered":
            return [(run["recordId"], run["createdAt"]) for run in own]
        case "workflowLeft":
            return [(run["recordId"], run["finishedAt"]) for run in own if run["finishedAt"]]
        case "workflowNodeExecuted":
            return [(run["recordId"], at) for run in own for at in _executed(run, condition.get("nodeSlug"))]
    return []


def with_time(node: exp.Expr, now: datetime) -> exp.Expr:
    """Replace what asks for the time by the sandbox's own."""
    asked = next((kind for kind in _CLOCKS if isinstance(node, kind)), None)
    if asked is None:
        return node
    kind, text = _CLOCKS[asked]
    return exp.cast(exp.Literal.string(now.strftime(text)), kind)


def _executed(run: dict[str, Any], slug: object) -> list[str]:
    return [
        execution["startedAt"]
        for execution in run["executions"]
        if execution["startedAt"] and slug in {None, execution["nodeSlug"]}
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
