"""How models refer to each other, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edge:
    """A relationship between two models, each written `<dataset>.<model>`."""

    source: str
    source_column: str
    target: str
    target_column: str
    relation: str
    source_property: str | None = None
    target_property: str | None = None
    selected: tuple[str, ...] | None = None


EDGES = (
    Edge("default.companies", "id", "default.contacts", "companyId", "oneToMany"),
    Edge("default.companies", "id", "default.deals", "companyId", "oneToMany", selected=("amount", "stage")),
    Edge("hubspot.companies", "hs_object_id", "hubspot.contacts", "associatedcompanyid", "oneToMany"),
    Edge("stripe.customers", "id", "stripe.invoices", "customer", "oneToMany", selected=("amount_due", "due_date")),
    Edge("default.companies", "domain", "hubspot.companies", "domain", "oneToOne"),
    Edge("default.companies", "name", "salesforce.accounts", "Name", "oneToOne"),
    Edge("default.companies", "name", "stripe.customers", "name", "oneToOne"),
    Edge("default.contacts", "email", "hubspot.contacts", "email", "oneToOne"),
    Edge("salesforce.opportunities", "AccountId", "salesforce.accounts", "Id", "manyToOne"),
    Edge("hubspot.deals", "dealname", "default.deals", "name", "manyToOne"),
    Edge("default.scorecards", "companyName", "default.companies", "name", "manyToOne"),
    Edge("http.website_forms", "email", "default.contacts", "email", "manyToOne"),
    Edge("http.product_signups", "workspace", "default.companies", "name", "manyToOne"),
    Edge("snowflake.usage_daily", "account", "default.companies", "domain", "manyToOne"),
    Edge("apollo.people", "organization", "default.companies", "domain", "manyToOne", source_property="domain"),
    Edge("default.companies", "address", "google_sheets.quotas", "account", "oneToMany", source_property="city"),
    Edge("default.targets", "label", "default.companies", "name", "oneToOne"),
    Edge("google_sheets.quotas", "account", "default.companies", "name", "manyToOne"),
    Edge("default.runs", "name", "default.companies", "name", "manyToOne"),
    Edge("agent.runs", "id", "agent_.runs", "id", "oneToOne"),
    Edge("default.webVisits", "path", "default.web_visits", "url", "manyToOne"),
    Edge("default.deals", "name", "apollo.people", "organization", "oneToMany", target_property="name"),
    Edge("hubspot.companies", "name", "default.accountPlans", "title", "oneToMany", selected=("weight",)),
    Edge("zendesk.tickets", "subject", "intercom.conversations", "state", "manyToOne"),
)
