"""Billing, for an admin's token only: usage by day, the subscription and its invoices."""

from cargo_source.catalog.columns import columns
from cargo_source.catalog.entity import Call, Entity, Metered, Snapshot

USAGE_METRICS = Entity(
    table="usage_metrics",
    description="What the workspace used each day, by unit and by one dimension at a time.",
    group="billing",
    admin=True,
    key=("date", "unit", "dimension", "slug", "group_by"),
    call=Call("GET", "billing/usage/metrics", "metrics"),
    reading=Metered(
        after="from",
        before="to",
        unit="unit",
        units=("billing.credits", "storage.records", "orchestration.executions"),
        older={"billing.credits": "credits"},
        dimension="groupBy",
        dimensions=("integration_slug", "connector_uuid", "model_uuid", "workflow_uuid", "agent_uuid"),
    ),
    evidence="whole list",
    columns=columns("""
        date       timestamp!  the day
        unit       text{billing.credits|storage.records|orchestration.executions}!  what is counted
        dimension  text{none|integration_slug|connector_uuid|model_uuid|workflow_uuid|agent_uuid}!  what it is split by; never add up different ones
        slug       text!       what used it, such as integration.hubspot.action.search
        groupBy    text!       the value of the dimension; empty where there is none, or nothing to attribute it to
        count      number      how much; each execution costs 0.01 credit more, which only orchestration.executions shows
    """),
)

SUBSCRIPTIONS = Entity(
    table="subscriptions",
    description="The subscription as it was on each day that was synced: remaining credits are available less used.",
    group="billing",
    admin=True,
    key=("uuid", "snapshot_date"),
    call=Call("GET", "billing/subscriptions", "subscription"),
    reading=Snapshot(dated="snapshotDate"),
    evidence="one object",
    columns=columns("""
        uuid                             text!       the subscription
        snapshotDate                     text!       the day of the snapshot, in the server's time
        workspaceUuid                    text        -> workspaces.uuid  its workspace
        provider                         text{stripe|orb}  who bills
        customerOrbId                    text        the customer at Orb
        customerStripeId                 text        the customer at Stripe
        subscriptionStatus               text        its state at the provider
        subscriptionStripeId             text        its id at Stripe
        subscriptionAvailableCreditsCount number     credits of the current period
        subscriptionCreditsUsedCount     number      credits used of them
        additionalAvailableCreditsCount  number      credits bought on top
        creditsOverageBehaviors          json        what happens when credits run out, by unit
        creditsConsumptionBehaviors      json        whether a unit uses credits
        createdAt                        timestamp   when it was created
        updatedAt                        timestamp   when it last changed
        plan                             text{self-serve|enterprise}  its plan
        cadence                          text{monthly|annual|one_time|quarterly|semi_annual|custom}  how often it is billed
        fixedPrice                       number      its price for a period
        conversionRate                   number      price of a credit
        startAt                          timestamp   when the period began
        resetAt                          timestamp   when credits start anew
        endAt                            timestamp   when it ends
        hasPendingChange                 boolean     whether it is about to change
        hasCredits                       boolean     whether credits are left
        futureChange                     json        what it will change to
        topup                            json        how credits are bought by themselves
    """),
)

INVOICES = Entity(
    table="invoices",
    description="Invoices; their links open without a password and never land.",
    group="billing",
    admin=True,
    key=("id",),
    call=Call("GET", "billing/subscriptions/invoices", "invoices"),
    reading=Snapshot(),
    evidence="whole list",
    dropped=("url",),
    columns=columns("""
        id        text!      the invoice
        isPaid    boolean    whether it is paid
        currency  text       its currency
        amount    number     its amount in cents
        dueDate   timestamp  when it is due
    """),
)
