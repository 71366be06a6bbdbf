"""What the workspace pays: its subscription, whose counters follow from its usage, and its invoices."""

from __future__ import annotations

from calendar import monthrange
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cargo_source.sandbox.identity import Stream, uuid_for
from cargo_source.sandbox.moments import DAY, HOUR, from_datetime, iso, to_datetime
from cargo_source.sandbox.workspace.usage import CREDITS, EXECUTIONS, UNITS, whole
from cargo_source.sandbox.workspace.warehouse import HISTORY_DAYS

if TYPE_CHECKING:
    from collections import Counter

    from cargo_source.sandbox.workspace.happening import Stretch
    from cargo_source.sandbox.world import World

Wire = dict[str, Any]

RESET_DAY = 15
"""Day of the month on which credits are counted from nothing again, at midnight."""
INCLUDED_CREDITS = 2500
FIXED_PRICE = 399
CONVERSION_RATE = 0.04
TOPUP_CREDITS = 250
TOPUP_EVERY = 6
"""Days between two top-ups, roughly."""
TOPUPS = HISTORY_DAYS // TOPUP_EVERY
DUE = 14 * DAY
EXECUTIONS_PER_CREDIT = 100
"""Each execution costs 0.01 credit on top of what its provider takes."""


def period(moment: int) -> tuple[int, int]:
    """Return when the current period began, and when it ends."""
    now = to_datetime(moment)
    middle = now.replace(day=RESET_DAY, hour=0, minute=0, second=0, microsecond=0)
    if now < middle:
        middle = (middle.replace(day=1) - timedelta(days=1)).replace(day=RESET_DAY)
    return from_datetime(middle), from_datetime(middle + timedelta(days=monthrange(middle.year, middle.month)[1]))


def used_credits(world: World) -> float:
    """Sum up the credits of the current period.

    The 0.01 credit per execution shows here and in no metric of unit billing.credits, which holds what providers and
    models took: the metrics of that unit and the executions of the same days, divided by a hundred, are this sum.
    """
    began = iso(period(world.moment)[0])
    uses = world.usage.by(None).items()
    sums = {unit: sum(n for (day, each, _, _), n in uses if each == unit and day >= began) for unit in UNITS}
    return whole(round(sums[CREDITS] + sums[EXECUTIONS] / EXECUTIONS_PER_CREDIT, 3))


def subscription(world: World) -> Wire:
    """Return the subscription as it stands now."""
    stream = Stream(world.seed, "subscription")
    began, ends = period(world.moment)
    used = used_credits(world)
    # Credits that were bought in between last until they are used; those of the plan go first.
    bought = TOPUP_CREDITS * sum("dueDate" not in invoice for invoice in world.tables["invoices"].values())
    change = {"cadence": "annual", "fixedPrice": 10 * FIXED_PRICE, "creditsCount": 12 * INCLUDED_CREDITS}
    return {
        "uuid": uuid_for(world.seed, "subscription"),
        "workspaceUuid": world.team.workspace_uuid,
        "provider": stream.pick(("stripe", "orb")),
        "customerOrbId": f"orb_{stream.uuid()[:8]}",
        "customerStripeId": f"cus_{stream.uuid()[:8]}",
        "subscriptionStatus": "active",
        "subscriptionStripeId": f"sub_{stream.uuid()[:8]}",
        "subscriptionAvailableCreditsCount": INCLUDED_CREDITS,
        "subscriptionCreditsUsedCount": used,
        "additionalAvailableCreditsCount": bought,
        "creditsOverageBehaviors": [
            {"unit": unit, "action": "allow" if unit == EXECUTIONS else "deny"} for unit in UNITS
        ],
        "creditsConsumptionBehaviors": [{"unit": unit, "action": "allow"} for unit in UNITS],
        "createdAt": iso(world.team.created + HOUR),
        "updatedAt": max(iso(began), *(use.date for use in world.usage.uses())),
        "plan": stream.pick(("self-serve", "enterprise")),
        "cadence": "monthly",
        "fixedPrice": FIXED_PRICE,
        "conversionRate": CONVERSION_RATE,
        "startAt": iso(began),
        "resetAt": iso(ends),
        "endAt": None,
        "hasPendingChange": True,
        "hasCredits": used < INCLUDED_CREDITS + bought,
        "futureChange": {**change, "conversionRate": CONVERSION_RATE, "startAt": iso(ends), "endAt": None},
        "topup": {"creditsCount": TOPUP_CREDITS, "threshold": 100},
    }


def invoice_history(world: World) -> None:
    """Write the invoices of the past: one per month, and one per top-up; one of them is disputed and stays unpaid."""
    stream = Stream(world.seed, "invoices")
    bills = [(moment, _monthly(moment)) for moment in _resets(world.team.created, world.moment)]
    bills += [(world.team.created + turn * TOPUP_EVERY * DAY + HOUR, _topup()) for turn in range(TOPUPS)]
    for _, bill in sorted(bills, key=lambda each: each[0]):
        _issue(world, bill, stream)
    for invoice in world.tables["invoices"].values():
        invoice["isPaid"] = "dueDate" not in invoice or invoice["dueDate"] < iso(world.moment)
    next(iter(world.tables["invoices"].values()))["isPaid"] = False


def keep_billing(world: World, within: Stretch) -> Counter[str]:
    """Issue the invoices of a stretch of time; those of a month are paid when they are due."""
    low, high = iso(within.before), iso(within.after)
    for invoice in world.tables["invoices"].values():
        if low < invoice.get("dueDate", "") <= high:
            invoice["isPaid"] = True
            within.counts["invoicesPaid"] += 1
    bills = [_monthly(moment) for moment in _resets(within.before, within.after)]
    bills += [_topup() for _ in range(within.stream.rounded(_share(within) / TOPUP_EVERY))]
    for bill in bills:
        _issue(world, bill, within.stream)
        within.counts["invoicesIssued"] += 1
    return within.counts


def _share(within: Stretch) -> float:
    return (within.after - within.before) / DAY


def _resets(low: int, high: int) -> list[int]:
    """Return the moments after `low`, up to `high`, at which a period begins."""
    began, _ = period(high)
    return [*_resets(low, began - 1), began] if low < began else []


def _monthly(moment: int) -> Wire:
    return {"isPaid": False, "amount": 100 * FIXED_PRICE, "dueDate": iso(moment + DUE)}


def _topup() -> Wire:
    """Return the bill of a top-up, which is paid by card at once and so is never due."""
    return {"isPaid": True, "amount": round(100 * TOPUP_CREDITS * CONVERSION_RATE)}


def _issue(world: World, bill: Wire, stream: Stream) -> None:
    key = f"in_{stream.uuid().replace('-', '')[:24]}"
    link = f"https://invoices.example/{key}/pdf?expires=1893456000&signature={world.team.secret('invoice', key)}"
    world.tables["invoices"][key] = {"id": key, "currency": "eur", **bill, "url": link}
