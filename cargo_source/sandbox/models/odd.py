"""Models with awkward names, which a careful reader must keep apart.

Two slugs that are one in snake_case, columns that are one in snake_case, slugs that meet a table of the platform,
words that SQL reserves.
"""

from cargo_source.sandbox.models.cells import before, flag, pick, real, uuid_at, whole
from cargo_source.sandbox.models.people import company_name
from cargo_source.sandbox.models.spec import APPENDED, LIVELY, QUIET, Col, ModelSpec

_VISIT = (
    Col("visitId", "string", uuid_at("visit")),
    Col("path", "string", pick("path", "/", "/pricing", "/docs?q=a%20b", "/été")),
    Col("seconds", "number", real("seconds", 0, 600, 1), nulls=0.1),
    Col("visitedAt", "date", before("visited", 2)),
)
_LEGACY_VISIT = (
    Col("visit_id", "string", uuid_at("legacy_visit")),
    Col("url", "string", pick("url", "/", "/home"), nulls=0.1),
    Col("hits", "number", whole("hits", 1, 9), big=True),
)
_SCORECARD = (
    Col("key", "string", "concat('SC-', i)"),
    Col("companyName", "string", company_name(), nulls=0.1),
    Col("company_name", "string", pick("alias", "ACME", "Globex", "Initech"), nulls=0.1, moves=True),
    Col("company-name", "number", whole("other", 1, 9), nulls=0.1, big=True),
    Col("select", "string", pick("select", "from", "where")),
    Col("score %", "number", real("percent", 0, 100, 1), nulls=0.1, moves=True),
    Col("1st_touch", "boolean", flag("touch"), nulls=0.1),
    Col("company_name", "string", pick("custom_name", "x", "y"), kind="custom", nulls=0.3),
)
_SHADOW = (
    Col("id", "string", uuid_at("shadow")),
    Col("name", "string", company_name("i * 3")),
    Col("status", "string", pick("status", "success", "error"), moves=True),
    Col("createdAt", "date", before("created", 90)),
)
_ARCHIVED = (
    Col("id", "string", uuid_at("archived")),
    Col("note", "string", pick("note", "kept", "moved"), nulls=0.2),
)

ODD_MODELS = (
    ModelSpec("default", "webVisits", "Web visits", "defineCustom", "visitId", "path", _VISIT, at_least=150,
              time="visitedAt", pace=APPENDED),
    ModelSpec("default", "web_visits", "Web visits (legacy)", "defineCustom", "visit_id", "url", _LEGACY_VISIT,
              at_least=35, pace=QUIET),
    ModelSpec("default", "scorecards", "Scorecards", "defineCustom", "key", "key", _SCORECARD, at_least=80,
              pace=LIVELY),
    ModelSpec("default", "runs", "Runs (imported)", "defineCustom", "id", "name", _SHADOW, at_least=45, pace=LIVELY),
    ModelSpec("agent", "runs", "Agent runs (support desk)", "fetchObject", "id", "name", _SHADOW, at_least=30),
    ModelSpec("agent_", "runs", "Agent runs (old desk)", "fetchObject", "id", "name", _SHADOW, at_least=25),
    ModelSpec("attio", "order", "Orders", "fetchObject", "id", "note", _ARCHIVED, at_least=24),
)  # fmt: skip
