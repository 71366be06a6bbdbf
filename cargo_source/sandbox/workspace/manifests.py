"""The vendor's catalogue of integrations, as data: what each can do and what it can extract."""

from dataclasses import dataclass


@dataclass(frozen=True)
class App:
    """An integration: its actions and extractors by slug, separated by blanks."""

    slug: str
    name: str
    category: str
    actions: str
    extractors: str = ""


LANGUAGE_ACTION = "instruct"
"""What an agent's answer is billed as, with the integration of its language model."""

APPS = (
    App("hubspot", "HubSpot", "sales", "upsertObject createTask searchObjects associate", "fetchObject listenChanges"),
    App("salesforce", "Salesforce", "sales", "createRecord updateRecord runSoql", "fetchObject"),
    App("pipedrive", "Pipedrive", "sales", "createDeal updatePerson", "fetchObject"),
    App("attio", "Attio", "sales", "assertRecord createNote", "fetchObject"),
    App("gong", "Gong", "sales", "searchCalls addToFlow", "fetchCalls"),
    App("outreach", "Outreach", "engagement", "verifyEmail addToSequence", "fetchProspects"),
    App("salesloft", "Salesloft", "engagement", "addToCadence createPerson"),
    App("lemlist", "lemlist", "engagement", "addLead removeLead", "listenActivities"),
    App("gmail", "Gmail", "engagement", "sendEmail createDraft"),
    App("mailchimp", "Mailchimp", "marketing", "addMember tagMember", "fetchMembers"),
    App("marketo", "Marketo", "marketing", "upsertLead addToList", "fetchLeads"),
    App("linkedin", "LinkedIn", "marketing", "addToAudience removeFromAudience"),
    App("google_ads", "Google Ads", "marketing", "uploadConversion addToAudience"),
    App("stripe", "Stripe", "finance", "createCustomer createInvoice", "fetchCustomers fetchInvoices"),
    App("chargebee", "Chargebee", "finance", "createSubscription", "fetchSubscriptions"),
    App("segment", "Segment", "analytics", "identify track", "listenTracks"),
    App("mixpanel", "Mixpanel", "analytics", "setProfile trackEvent", "fetchEvents"),
    App("amplitude", "Amplitude", "analytics", "identify", "fetchEvents"),
    App("http", "HTTP", "freeform", "request", "listenHook"),
    App("openai", "OpenAI", "freeform", f"{LANGUAGE_ACTION} embed transcribe"),
    App("anthropic", "Anthropic", "freeform", f"{LANGUAGE_ACTION} classify"),
    App("slack", "Slack", "freeform", "sendMessage createChannel inviteUser", "listenMessages"),
    App("notion", "Notion", "freeform", "createPage appendBlock", "fetchPages"),
    App("confluence", "Confluence", "freeform", "createPage", "fetchPages"),
    App("vitally", "Vitally", "success", "updateAccount createNote", "fetchAccounts"),
    App("planhat", "Planhat", "success", "upsertCompany", "fetchCompanies"),
    App("zendesk", "Zendesk", "support", "createTicket commentTicket", "fetchTickets"),
    App("intercom", "Intercom", "support", "replyConversation tagContact", "fetchConversations"),
    App("clearbit", "Clearbit", "enrichment", "enrichCompany enrichPerson findEmail"),
    App("apollo", "Apollo", "enrichment", "enrichOrganization searchPeople", "fetchPeople"),
    App("hunter", "Hunter", "enrichment", "findEmail verifyEmail"),
    App("built_with", "BuiltWith", "enrichment", "findTechnologies"),
    App("snowflake", "Snowflake", "storage", "runQuery insertRows", "query fetchTable"),
    App("bigquery", "BigQuery", "storage", "runQuery", "query fetchTable"),
    App("postgres", "PostgreSQL", "storage", "runQuery upsertRows", "query fetchTable"),
    App("google_sheets", "Google Sheets", "storage", "appendRow updateRow", "fetchSheet"),
    App("airtable", "Airtable", "storage", "createRecord updateRecord", "fetchObject"),
    App("google_drive", "Google Drive", "storage", "uploadFile", "fetchFiles"),
    App("sharepoint", "SharePoint", "storage", "uploadFile", "fetchFiles"),
    App("dropbox", "Dropbox", "storage", "uploadFile", "fetchFiles"),
    App("harvest_erp", "Harvest ERP", "custom", "pushOrder", "fetchOrders"),
    App("pricing_desk", "Pricing desk", "custom", "quote"),
)

NATIVE = App(
    "native",
    "Native",
    "",
    "start end filter branch group script delay modelUpsert modelSearch switch memory allocate",
    "defineCustom defineAccount defineContact defineDeal uploadFiles",
)
"""What the platform does by itself; its category is that of each action."""
NATIVE_CATEGORIES = {
    "start": "invisible", "end": "invisible", "filter": "logic", "branch": "logic", "group": "logic", "delay": "logic",
    "switch": "logic", "script": "code", "modelUpsert": "storage", "modelSearch": "storage", "memory": "ai",
    "allocate": "sales",
}  # fmt: skip
