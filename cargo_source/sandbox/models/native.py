"""Models of the native dataset: what a team builds in Cargo itself."""

from cargo_source.sandbox.models.cells import (
    EMITTED,
    after,
    before,
    draw,
    flag,
    id_at,
    listed,
    mixed,
    nested,
    pick,
    real,
    uuid_at,
    vector,
    whole,
)
from cargo_source.sandbox.models.people import FIRST, LAST, TITLE, company_domain, company_name, person_email
from cargo_source.sandbox.models.spec import EDITED, LIVELY, QUIET, Col, ModelSpec

COUNTRY = pick("country", "France", "Germany", "United States", "Côte d'Ivoire", "Brasil", "日本", "India", "Sverige")
INDUSTRY = pick("industry", "Software", "Finance", "Health, Pharma", "Retail", "Energy", 'The "other" one', "Media")
STAGE = pick("stage", "lead", "qualified", "customer", "churned")
OWNER = pick("owner", "Ada Marsh", "Ben Okafor", "Chloé Martin", "Dmitri Sokolov", "Eun-ji Park")
TECHNOLOGY = ("HubSpot", "Salesforce", "Snowflake", "BigQuery", "Segment", "Stripe", "Intercom", "dbt", "Notion")
# Quotes, commas, line breaks and empty text: what breaks careless csv readers.
DESCRIPTION = pick(
    "description",
    "Makes tools for teams that sell.",
    "Founded in a garage, now in 12 countries.\nHiring.",
    'They call it "the platform", others do not',
    "",
    "Éditeur de logiciels; filiale à 100 %",
    "急成長中のスタートアップ",
    "tab\there, comma, and a trailing space ",
)

_COMPANY = (
    Col("id", "string", uuid_at("company")),
    Col("name", "string", company_name(), described=True),
    Col("domain", "string", company_domain()),
    Col("industry", "string", INDUSTRY, nulls=0.06),
    Col("country", "string", COUNTRY, nulls=0.04),
    Col("stage", "string", STAGE, moves=True),
    Col("description", "string", DESCRIPTION, nulls=0.1),
    Col("employeesCount", "number", whole("employees", 1, 5000), nulls=0.08, moves=True, big=True),
    Col("annualRevenue", "number", real("revenue", 0, 90_000_000), nulls=0.12, moves=True),
    Col("growthRate", "number", real("growth", -0.4, 1.9, 4), nulls=0.2),
    Col("sequence", "number", "(9007199254740993 + i * 2)", big=True),
    Col("isCustomer", "boolean", flag("customer", 0.3), nulls=0.05, moves=True),
    Col("foundedAt", "date", before("founded", 9000), nulls=0.15),
    Col("createdAt", "date", before("created", 700)),
    Col("updatedAt", "date", EMITTED, moves=True),
    Col(
        "address",
        "object",
        nested(city=pick("city", "Paris", "Köln", "Austin", "São Paulo"), zip="(10000 + h % 80000)::VARCHAR",
               geo=nested(lat=real("lat", -60, 60, 5), lon=real("lon", -179, 179, 5)), suite="NULL"),
        nulls=0.1,
    ),
    Col("technologies", "array", listed(pick("tech1", *TECHNOLOGY), pick("tech2", *TECHNOLOGY)), nulls=0.1),
    Col("embedding", "vector", vector("embedding", 6), nulls=0.1),
    Col("signal", "any", mixed("signal", "h", "'hiring'", flag("hot"), nested(kind="'funding'", round="h % 5"),
                               real("signal", 0, 1)), nulls=0.2, moves=True),
    Col("tier", "string", pick("tier", "A", "B", "C"), kind="custom", nulls=0.1, moves=True),
    Col("notes", "any", mixed("notes", "'call back'", listed("1", "'two'")), kind="custom", nulls=0.4),
    Col("fitScore", "number", real("fit", 0, 100), kind="computed", moves=True, formula=("employeesCount", "industry")),
    Col("isTarget", "boolean", flag("target"), kind="computed", nulls=0.02, formula=("stage",)),
    Col("contactsCount", "number", whole("contacts", 0, 9), kind="metric", big=True,
        formula=("default.contacts", "COUNT", "id")),
    Col("pipelineAmount", "number", real("pipeline", 0, 400_000), kind="metric", nulls=0.3,
        formula=("default.deals", "SUM", "amount")),
    Col("owner", "string", OWNER, kind="lookup", nulls=0.2, moves=True,
        formula=("hubspot.companies", "domain", "domain", "hubspot_owner")),
)  # fmt: skip

_CONTACT = (
    Col("id", "string", uuid_at("contact")),
    Col("companyId", "string", uuid_at("company", "i // 2"), nulls=0.03),
    Col("firstName", "string", FIRST),
    Col("lastName", "string", LAST),
    Col("fullName", "string", f"concat({FIRST}, ' ', {LAST})"),
    Col("email", "string", person_email(company_domain("i // 2")), nulls=0.05),
    Col("jobTitle", "string", TITLE, nulls=0.1, moves=True),
    Col("seniority", "number", whole("seniority", 1, 6), nulls=0.1, big=True),
    Col("isSubscribed", "boolean", flag("subscribed", 0.7), moves=True),
    Col("lastSeenAt", "date", before("seen", 40), nulls=0.3, moves=True),
    Col("profile", "object", nested(github=flag("github"), langs=listed("'en'", pick("lang", "fr", "de"))), nulls=0.4),
    Col("persona", "string", pick("persona", "buyer", "champion", "blocker"), kind="custom", nulls=0.3),
    Col("greeting", "string", f"concat('Hi ', {FIRST}, ',')", kind="computed", formula=("firstName",)),
    Col("companyTier", "string", pick("tier", "A", "B", "C"), kind="lookup", nulls=0.2,
        formula=("default.companies", "companyId", "id", "custom__tier")),
)  # fmt: skip

_DEAL = (
    Col("id", "string", uuid_at("deal")),
    Col("name", "string", f"concat({company_name()}, ' \u2013 renewal #', 1 + i % 4)"),
    Col("companyId", "string", uuid_at("company")),
    Col("amount", "number", real("amount", 500, 250_000), nulls=0.1, moves=True),
    Col("probability", "number", real("probability", 0, 1, 3), moves=True),
    Col("stage", "string", pick("dealstage", "discovery", "proposal", "negotiation", "won", "lost"), moves=True),
    Col("isClosed", "boolean", flag("closed", 0.4), moves=True),
    Col("closeAt", "date", after("close", 90), nulls=0.1),
    Col("openedAt", "date", before("opened", 200)),
    Col("lineItems", "array", listed(nested(sku="concat('SKU-', h % 97)", qty=whole("qty", 1, 50))), nulls=0.2),
    Col("weightedAmount", "number", real("weighted", 0, 90_000), kind="computed", moves=True, formula=("amount",)),
)

_CAMPAIGN = (
    Col("id", "string", uuid_at("campaign")),
    Col("name", "string", f"concat({pick('season', 'Spring', 'Été', 'Autumn', 'Winter')}, ' push ', i)"),
    Col("budget", "number", whole("budget", 500, 40_000), nulls=0.1, big=True),
    Col("isLive", "boolean", flag("live"), nulls=0.1),
    Col("startsAt", "date", before("starts", 60), nulls=0.1),
    Col("channels", "array", listed(pick("channel", "email", "ads", "phone"), "'linkedin'"), nulls=0.1),
    Col("brief", "object", nested(goal="'meetings'", target=whole("goal", 5, 80)), nulls=0.1),
    Col("payload", "any", mixed("payload", "1", "'one'", flag("one")), nulls=0.1),
    Col("centroid", "vector", vector("centroid", 3), nulls=0.1),
)

_ACCOUNT_PLAN = (
    Col("id", "string", uuid_at("plan")),
    Col("title", "string", "'Plan'"),
    Col("objectives", "array", listed("'grow'")),
    Col("reviewAt", "date", EMITTED),
    Col("weight", "number", real("weight", 0, 1)),
    Col("isApproved", "boolean", flag("approved")),
    Col("shape", "vector", vector("shape", 3)),
    Col("details", "object", nested(a="1")),
    Col("extra", "any", mixed("extra", "1", "'x'")),
)

_TARGET = (
    Col("externalId", "number", id_at("target"), big=True),
    Col("label", "string", company_name()),
    Col("priority", "number", whole("priority", 1, 5), nulls=0.1, big=True, moves=True),
    Col("score", "number", f"({draw('score')} / 7.0::DOUBLE)", moves=True),
    Col("reviewedAt", "date", before("reviewed", 30), nulls=0.2, moves=True),
)

NATIVE_MODELS = (
    ModelSpec("default", "companies", "Companies", "defineAccount", "id", "name", _COMPANY, per_company=1,
              time="updatedAt", pace=LIVELY),
    ModelSpec("default", "contacts", "Contacts", "defineContact", "id", "fullName", _CONTACT, per_company=2,
              pace=LIVELY),
    ModelSpec("default", "deals", "Deals", "defineDeal", "id", "name", _DEAL, per_company=0.6, time="openedAt",
              pace=LIVELY),
    ModelSpec("default", "campaigns", "Campaigns", "defineCustom", "id", "name", _CAMPAIGN, at_least=60,
              time="startsAt", pace=QUIET),
    ModelSpec("default", "accountPlans", "Account plans", "defineCustom", "id", "title", _ACCOUNT_PLAN, at_least=0),
    ModelSpec("default", "targets", "Target list", "defineCustom", "externalId", "label", _TARGET, at_least=130,
              pace=EDITED),
)  # fmt: skip
