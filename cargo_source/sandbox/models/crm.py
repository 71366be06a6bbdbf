"""Models that mirror CRMs and other systems through connectors."""

from cargo_source.sandbox.models.cells import (
    EMITTED,
    after,
    before,
    flag,
    id_at,
    listed,
    mixed,
    nested,
    pick,
    real,
    uuid_at,
    whole,
)
from cargo_source.sandbox.models.native import COUNTRY, INDUSTRY, OWNER
from cargo_source.sandbox.models.people import FIRST, LAST, TITLE, company_domain, company_name, person_email
from cargo_source.sandbox.models.spec import EDITED, LIVELY, QUIET, Col, ModelSpec

_ENCRYPTED = {"type": "encryption", "isEncrypted": True, "value": "sandbox-secret-config"}

_HUBSPOT_COMPANY = (
    Col("hs_object_id", "number", id_at("hs_company"), big=True),
    Col("name", "string", company_name()),
    Col("domain", "string", company_domain(), nulls=0.02),
    Col("industry", "string", INDUSTRY, nulls=0.1),
    Col("country", "string", COUNTRY, nulls=0.1),
    Col("lifecyclestage", "string", pick("lifecycle", "lead", "opportunity", "customer"), moves=True),
    Col("hubspot_owner", "string", OWNER, nulls=0.2, moves=True),
    Col("numberofemployees", "number", whole("employees", 1, 5000), nulls=0.2, big=True),
    Col("annualrevenue", "number", real("revenue", 0, 90_000_000), nulls=0.3),
    Col("hs_lastmodifieddate", "date", EMITTED, moves=True),
    Col("properties", "object", nested(source=pick("source", "PAID", "OFFLINE"), score=real("p", 0, 9)), nulls=0.1),
    Col("route", "string", pick("route", "emea", "amer", "apac"), kind="custom", nulls=0.3, moves=True),
    Col("contactsCount", "number", whole("contacts", 0, 9), kind="metric", big=True,
        formula=("hubspot.contacts", "COUNT", "hs_object_id")),
)  # fmt: skip
_HUBSPOT_CONTACT = (
    Col("hs_object_id", "number", id_at("hs_contact"), big=True),
    Col("associatedcompanyid", "number", id_at("hs_company", "i // 2"), nulls=0.1, big=True),
    Col("email", "string", person_email(company_domain("i // 2"))),
    Col("firstname", "string", FIRST, nulls=0.02),
    Col("lastname", "string", LAST, nulls=0.02),
    Col("jobtitle", "string", TITLE, nulls=0.2, moves=True),
    Col("hs_email_optout", "boolean", flag("optout", 0.1), nulls=0.3, moves=True),
    Col("lastmodifieddate", "date", EMITTED, moves=True),
    Col(
        "companyName",
        "string",
        company_name("i // 2"),
        kind="lookup",
        nulls=0.1,
        formula=("hubspot.companies", "associatedcompanyid", "hs_object_id", "name"),
    ),
)
_HUBSPOT_DEAL = (
    Col("hs_object_id", "number", id_at("hs_deal"), big=True),
    Col("dealname", "string", f"concat({company_name()}, ' deal')"),
    Col("amount", "number", real("amount", 100, 90_000), nulls=0.1, moves=True),
    Col("dealstage", "string", pick("dealstage", "appointment", "contractsent", "closedwon"), moves=True),
    Col("closedate", "date", after("close", 60), nulls=0.2),
)
_SALESFORCE_ACCOUNT = (
    Col("Id", "string", "concat('001', upper(substr(md5(s || ':sf:' || i), 1, 15)))"),
    Col("Name", "string", company_name()),
    Col("Website", "string", f"concat('https://', {company_domain()}, '/?ref=crm&x=1')", nulls=0.1),
    Col("AnnualRevenue", "number", real("revenue", 0, 90_000_000, 0), nulls=0.2, moves=True),
    Col("BillingAddress", "object", nested(city=pick("city", "Lyon", "Porto"), state="NULL"), nulls=0.2),
    Col("IsDeleted", "boolean", flag("deleted", 0.03)),
    Col("SystemModstamp", "date", EMITTED, moves=True),
    Col("Health__c", "string", pick("health", "green", "amber", "red"), nulls=0.3, moves=True),
)
_SALESFORCE_OPPORTUNITY = (
    Col("Id", "string", "concat('006', upper(substr(md5(s || ':sfo:' || i), 1, 15)))"),
    Col("AccountId", "string", "concat('001', upper(substr(md5(s || ':sf:' || i), 1, 15)))"),
    Col("Name", "string", f"concat({company_name()}, ' expansion')"),
    Col("Amount", "number", real("amount", 1000, 300_000), nulls=0.1, moves=True),
    Col("StageName", "string", pick("stage", "Prospecting", "Closed Won", "Closed Lost"), moves=True),
    Col("CloseDate", "date", after("close", 90)),
)
_STRIPE_CUSTOMER = (
    Col("id", "string", "concat('cus_', substr(md5(s || ':cus:' || i), 1, 14))"),
    Col("name", "string", company_name(), nulls=0.05),
    Col("email", "string", person_email(company_domain()), nulls=0.05),
    Col("balance", "number", whole("balance", -5000, 5000), big=True, moves=True),
    Col("delinquent", "boolean", flag("delinquent", 0.05), moves=True),
    Col("created", "date", before("created", 500)),
    Col("metadata", "object", nested(plan=pick("plan", "free", "pro", "scale"), seats=whole("seats", 1, 90))),
    Col(
        "averageInvoice",
        "number",
        real("avg", 9, 9e5),
        kind="metric",
        nulls=0.1,
        formula=("stripe.invoices", "AVG", "amount_due"),
    ),
    Col(
        "largestInvoice",
        "number",
        whole("max", 900, 4_000_000),
        kind="metric",
        nulls=0.1,
        big=True,
        formula=("stripe.invoices", "MAX", "amount_due"),
    ),
    Col(
        "firstDueAt",
        "date",
        before("first", 300),
        kind="metric",
        nulls=0.1,
        formula=("stripe.invoices", "MIN", "due_date"),
    ),
)
_STRIPE_INVOICE = (
    Col("id", "string", "concat('in_', substr(md5(s || ':in:' || i), 1, 18))"),
    Col("customer", "string", "concat('cus_', substr(md5(s || ':cus:' || (i // 2)), 1, 14))"),
    Col("amount_due", "number", whole("due", 900, 4_000_000), big=True),
    Col("currency", "string", pick("currency", "eur", "usd", "gbp")),
    Col("paid", "boolean", flag("paid", 0.8), moves=True),
    Col("due_date", "date", after("due", 30), nulls=0.3),
    Col("lines", "array", listed(nested(description="'Seats'", amount=whole("due", 900, 4_000_000)))),
)
_TICKET = (
    Col("ticket_id", "number", "(400000 + i)", big=True),
    Col("subject", "string", pick("subject", "Cannot log in", "Invoice, please", "Feature: dark mode", "Bug \u2764")),
    Col("priority", "string", pick("priority", "low", "normal", "urgent"), nulls=0.2, moves=True),
    Col("status", "string", pick("status", "new", "open", "solved"), moves=True),
    Col("tags", "array", listed(pick("tag", "vip", "trial", "bug")), nulls=0.3),
    Col("custom_fields", "any", mixed("fields", "h", "'text'", listed("1", "NULL")), nulls=0.3),
)
_PERSON = (
    Col("person_id", "string", uuid_at("apollo")),
    Col("name", "string", f"concat({FIRST}, ' ', {LAST})"),
    Col("title", "string", TITLE, nulls=0.1),
    Col("organization", "object", nested(name=company_name("i // 3"), domain=company_domain("i // 3"))),
    Col("confidence", "number", real("confidence", 0, 1, 6)),
)
_SHEET = (
    Col("row", "number", "(i + 2)", big=True),
    Col("account", "string", company_name()),
    Col("quarter", "string", pick("quarter", "Q1", "Q2", "Q3", "Q4")),
    Col("target", "any", mixed("target", "h % 1000", "'tbd'", "NULL"), nulls=0.1),
)

CRM_MODELS = (
    ModelSpec("hubspot", "companies", "HubSpot companies", "fetchObject", "hs_object_id", "name", _HUBSPOT_COMPANY,
              per_company=0.7, time="hs_lastmodifieddate", pace=LIVELY, sync_hours=6,
              config={"objectType": "companies", "privateAppToken": _ENCRYPTED}),
    ModelSpec("hubspot", "contacts", "HubSpot contacts", "fetchObject", "hs_object_id", "email", _HUBSPOT_CONTACT,
              per_company=1, time="lastmodifieddate", pace=LIVELY, sync_hours=6, config={"objectType": "contacts"}),
    ModelSpec("hubspot", "deals", "HubSpot deals", "fetchObject", "hs_object_id", "dealname", _HUBSPOT_DEAL,
              per_company=0.3, pace=EDITED, sync_hours=6, config={"objectType": "deals"}),
    ModelSpec("salesforce", "accounts", "Salesforce accounts", "fetchObject", "Id", "Name", _SALESFORCE_ACCOUNT,
              per_company=0.4, time="SystemModstamp", pace=LIVELY, sync_hours=24,
              config={"object": "Account", "clientSecret": _ENCRYPTED}),
    ModelSpec("salesforce", "opportunities", "Opportunities", "fetchObject", "Id", "Name", _SALESFORCE_OPPORTUNITY,
              per_company=0.2, pace=QUIET, sync_hours=24, config={"object": "Opportunity"}),
    ModelSpec("stripe", "customers", "Stripe customers", "fetchCustomers", "id", "name", _STRIPE_CUSTOMER,
              per_company=0.3, time="created", pace=LIVELY, config={"apiKey": _ENCRYPTED}),
    ModelSpec("stripe", "invoices", "Invoices", "fetchInvoices", "id", "id", _STRIPE_INVOICE, per_company=0.3,
              time="due_date", pace=LIVELY),
    ModelSpec("zendesk", "tickets", "Tickets", "fetchTickets", "ticket_id", "subject", _TICKET, at_least=180,
              pace=LIVELY),
    ModelSpec("apollo", "people", "Apollo people", "fetchPeople", "person_id", "name", _PERSON, at_least=90),
    ModelSpec("google_sheets", "quotas", "Quota sheet", "fetchSheet", "row", "account", _SHEET, at_least=40,
              sync_hours=24),
)  # fmt: skip
