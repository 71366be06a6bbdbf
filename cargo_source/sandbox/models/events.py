"""Models fed by events: webhooks and product data."""

from cargo_source.sandbox.models.cells import (
    EMITTED,
    before,
    flag,
    iso_text,
    listed,
    mixed,
    nested,
    pick,
    real,
    uuid_at,
    whole,
)
from cargo_source.sandbox.models.people import FIRST, LAST, company_domain, company_name, person_email
from cargo_source.sandbox.models.spec import APPENDED, LIVELY, QUIET, Col, ModelSpec

_FORM = (
    Col("_ingest_id", "string", uuid_at("form")),
    Col("form", "string", pick("form", "demo", "newsletter", "pricing")),
    Col("email", "string", person_email(company_domain("i % 97"))),
    Col("name", "string", f"concat({FIRST}, ' ', {LAST})", nulls=0.2),
    Col("submitted_at", "string", iso_text(before("submitted", 0.01))),
    Col("utm", "object", nested(source=pick("utm", "google", "linkedin"), campaign="NULL"), nulls=0.4),
    Col("answers", "any", mixed("answers", listed("'yes'", "2"), "'no'", nested(size="'50-200'"))),
)
_SIGNUP = (
    Col("_ingest_id", "string", uuid_at("signup")),
    Col("workspace", "string", company_name("i % 211")),
    Col("plan", "string", pick("plan", "free", "pro"), nulls=0.1),
    Col("seats", "number", whole("seats", 1, 40), big=True),
)
_TRACK = (
    Col("messageId", "string", uuid_at("track")),
    Col("event", "string", pick("event", "Signed In", "Report Viewed", "Invite Sent", "Export Started")),
    Col("userId", "string", "concat('u_', h % 9973)"),
    Col("timestamp", "date", before("timestamp", 0.02)),
    Col("properties", "object", nested(ms=real("ms", 1, 900, 3), ok=flag("ok", 0.9)), nulls=0.1),
)
_USAGE = (
    Col("day_id", "string", "concat('usage-', i)"),
    Col("account", "string", company_domain("i % 61")),
    Col("active_users", "number", whole("active", 0, 300), big=True, moves=True),
    Col("queries", "number", real("queries", 0, 9e12, 3), moves=True),
    Col("day", "date", before("day", 100)),
)
_CALL = (
    Col("callId", "string", "concat('gong-', 700000 + i)"),
    Col("topic", "string", pick("topic", "Discovery", "Demo", "Négociation"), nulls=0.1),
    Col("durationSeconds", "number", whole("duration", 30, 5400), big=True),
    Col("startedAt", "date", before("started", 1)),
    Col("participants", "array", listed(person_email("'acme.io'"), "'rep@cargo.example'")),
    Col("topics", "vector", "[" + real("t1", 0, 1, 4) + ", " + real("t2", 0, 1, 4) + "]", nulls=0.3),
)
_CONVERSATION = (
    Col("conversation_id", "string", "(8800000 + i * 3)::VARCHAR"),
    Col("state", "string", pick("state", "open", "closed", "snoozed"), moves=True),
    Col("rating", "number", whole("rating", 1, 5), nulls=0.6, big=True, moves=True),
    Col("read", "boolean", flag("read"), moves=True),
    Col("updatedAt", "date", EMITTED, moves=True),
)

EVENT_MODELS = (
    ModelSpec("http", "website_forms", "Website forms", "listenHook", "_ingest_id", "_emitted_at", _FORM,
              per_company=0.5, time="_emitted_at", pace=APPENDED),
    ModelSpec("http", "product_signups", "Product sign-ups", "listenHook", "_ingest_id", "_emitted_at", _SIGNUP,
              at_least=320, pace=APPENDED),
    ModelSpec("segment", "tracks", "Product events", "listenTracks", "messageId", "event", _TRACK, per_company=0.8,
              time="timestamp", pace=APPENDED),
    ModelSpec("snowflake", "usage_daily", "Daily usage", "query", "day_id", "account", _USAGE, at_least=240,
              time="day", pace=LIVELY, emits=False, config={"query": "SELECT * FROM analytics.usage_daily"}),
    ModelSpec("gong", "calls", "Calls", "fetchCalls", "callId", "topic", _CALL, at_least=75, time="startedAt",
              pace=QUIET),
    ModelSpec("intercom", "conversations", "Conversations", "fetchConversations", "conversation_id", "state",
              _CONVERSATION, at_least=210, pace=LIVELY),
)  # fmt: skip
