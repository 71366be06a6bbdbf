"""The sandbox against the contract: requests made from openapi.yaml, answers checked against it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cargo_source.sandbox.routes import OPERATIONS
from cargo_source.sandbox.shapes import UUID4

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
SERVED = {(operation.path, operation.method.lower()): operation for operation in OPERATIONS}
LENIENT = {path for path, _ in SERVED if path.startswith("/segmentation/segments/")}
"""What is wrong inside a filter is dropped and not refused, as in the real API."""
STRICTER = {"limit", "offset", "fetchingLimit", "fetchingOffset", "workflowUuid", "agentUuid", "from", "to"}
"""Keys whose bound, form or being required is not in the schema: a refusal that names them is in order."""
COLUMN_KINDS = ("Original", "Custom", "Computed", "Metric", "Lookup")
STRICT = (
    *("ExecutionsFilter", "Sort", "Expression", "ModelUnification", "RateLimit"),
    *(f"Model{kind}Column" for kind in COLUMN_KINDS),
)
"""Schemas that stand in bodies of requests."""
KNOWN: list[str] = []
"""Uuids of the sandboxes, so that requests also find something."""
WRITTEN = {"create", "createBulk", "ingest", "models", "columns", "runs", "refresh", "cancel", "connectors"}
"""What a POST ends in that changes something."""
WRITES = [(path, method) for path, method in SERVED if method in {"put", "delete"}]
WRITES += [(path, method) for path, method in SERVED if method == "post" and path.rsplit("/")[-1] in WRITTEN]
"""Operations that write, and are tried on a sandbox of their own."""


def contract():
    """The contract, with the operations that are served and with strict request bodies."""
    whole = yaml.safe_load((Path(__file__).parents[1] / "contract" / "openapi.yaml").read_text())
    del whole["security"]  # the token is always sent; what happens without it is tested elsewhere
    whole["paths"] = {
        path: {method: described for method, described in methods.items() if (path, method) in SERVED}
        for path, methods in whole["paths"].items()
        if any((path, method) in SERVED for method in methods)
    }
    for name in STRICT:
        _forbid_more(whole["components"]["schemas"][name])
    for methods in whole["paths"].values():
        for described in methods.values():
            described.pop("security", None)
            if "requestBody" in described:
                _forbid_more(described["requestBody"]["content"]["application/json"]["schema"])
    return whole


def _forbid_more(schema):
    """Unknown keys are refused; the schemas leave that open, so that answers may gain fields."""
    if "properties" in schema:
        schema["additionalProperties"] = False
    kinds = (*schema.get("oneOf", ()), *schema.get("anyOf", ()))
    for inner in (*schema.get("properties", {}).values(), *kinds, *([schema["items"]] if "items" in schema else [])):
        _forbid_more(inner)


CONTRACT = contract()
SCHEMA = schemathesis.openapi.from_dict(CONTRACT)
OPERATION_NAMES = sorted(SERVED)


def moment(minutes):
    found = datetime(2025, 6, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


schemathesis.openapi.format(
    "uuid", st.deferred(lambda: st.one_of(st.uuids(version=4).map(str), st.sampled_from(KNOWN)))
)
schemathesis.openapi.format("date-time", st.integers(0, 500_000).map(moment))


@pytest.fixture(scope="module", autouse=True)
def known(box, own):
    for each in (box, own.box):
        for rows in each.world.tables.values():
            KNOWN.extend(key for key in list(rows)[:8] if UUID4.fullmatch(key))


@pytest.fixture
def place(box, own, path, method):
    """The sandbox that an operation is tried on."""
    return own.box if (path, method) in WRITES else box


def tried(test, path, method, mode):
    """Run a test on examples that are the same each time; filters are slow to make, so they get fewer."""
    wrapped = settings(
        max_examples=4 if path in LENIENT else 8,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given(SCHEMA[path][method].as_strategy(generation_mode=mode))(test))
    seed(7)(wrapped)()


def named_keys(answer):
    """The keys that a refusal names, or None if it names none."""
    try:
        issues = json.loads(answer.json()["errorMessage"])
    except (KeyError, ValueError):
        return None
    return {issue["path"][0] if issue["path"] else "" for issue in issues} if isinstance(issues, list) else None


def test_only_documented_operations_are_served():
    """Nothing is invented: each route is an operation of the contract."""
    documented = {(path, method) for path, methods in CONTRACT["paths"].items() for method in methods}
    assert set(SERVED) == documented


@pytest.mark.parametrize(("path", "method"), OPERATION_NAMES)
def test_requests_that_fit_the_contract_get_answers_that_fit_it(place, path, method):
    """No request that fits is refused for its shape, and every status, type and body is documented."""

    def fits(case):
        answer = case.call(base_url=f"{place.url}/v1", headers={"authorization": f"Bearer {place.token}"})
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code in {200, 204, 400, 404}, answer.text
        assert (named_keys(answer) or set()) <= STRICTER, answer.text
        reason = {} if answer.status_code < 400 else answer.json()
        documented = CONTRACT["paths"][path][method].get("x-error-reasons", [])
        assert "reason" not in reason or reason["reason"] in documented or reason["reason"].endswith("NotFound")

    tried(fits, path, method, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    ("path", "method"), [each for each in OPERATION_NAMES if SERVED[each].fields or "{uuid}" in each[0]]
)
def test_requests_that_break_the_contract_are_refused(place, path, method):
    """A request with a broken path, query or body gets a documented 4xx, never a 200 and never a 5xx."""

    def broken(case):
        # An empty list in a query is not sent at all, so what is left may fit.
        hypothesis.assume([] not in (case.query or {}).values())
        answer = case.call(base_url=f"{place.url}/v1", headers={"authorization": f"Bearer {place.token}"})
        case.validate_response(answer, checks=CHECKS)
        assert 400 <= answer.status_code < 500 or path in LENIENT, answer.text

    tried(broken, path, method, GenerationMode.NEGATIVE)


TABLES = {
    "/ai/mcpServers": "mcp_servers",
    "/ai/releases": "agent_releases",
    "/orchestration/releases": "workflow_releases",
    "/storage/runs": "storage_runs",
}
"""Tables whose name is not the second part of their path."""


def requests_of(box, path, method):
    """Requests that find something: for each object of the path, or for parents that have rows."""
    truth = {entity: box.truth(entity) for entity in ("datasets", "models", "changes", "runs", "chats", "agents")}
    model = next(m for m in truth["models"] if m["lastEmittedAt"])
    values = {
        "modelUuid": model["uuid"],
        "datasetUuid": truth["datasets"][0]["uuid"],
        "slug": model["slug"],
        "id": box.truth_rows(model["uuid"])[0]["_id"],
        "ids": [row["_id"] for row in box.truth_rows(model["uuid"])[:3]],
        "query": "SELECT count() AS n FROM runs" if "/orchestration/" in path else "SELECT _id FROM default.companies",
        "filter": {"conjonction": "and", "groups": []},
        "kinds": ["added", "removed"],
        "segmentUuid": truth["changes"][0]["segmentUuid"],
        "workflowUuid": truth["runs"][0]["workflowUuid"],
        "executionStartedAfter": "2020-01-01T00:00:00Z",
        "startedAfter": "2020-01-01T00:00:00Z",
        "agentUuid": truth["agents"][0]["uuid"],
        "chatUuid": truth["chats"][0]["uuid"],
        "scope": "user",
        "from": "2026-01-01",
        "to": "2026-01-31",
    }
    sent = {name: values[name] for name, field in SERVED[path, method].fields.items() if field.required}
    if path.startswith("/systemOfRecordIntegration") and sent:
        sent["query"] = f"SELECT _id FROM {box.world.ddl(model['uuid']).split()[2]}"
    if "{" not in path:
        return [(path, sent)]
    rows = box.truth(TABLES.get("/".join(path.split("/")[:3]), path.split("/")[2]))
    return [(path.format_map(row), sent) for row in rows if can_be_asked(path, row)][:12]


def can_be_asked(path, row):
    """Some operations need more than that the object is there: a table, an end, a small file."""
    if path.endswith("ddl"):
        return row["lastEmittedAt"]
    if path.endswith("raw"):
        return row["size"] < 10_000 and not row["deletedAt"]
    return not path.endswith("batches/{uuid}/download") or (row["finishedAt"] and row["data"]["kind"] != "group")


@pytest.mark.parametrize(("path", "method"), [each for each in OPERATION_NAMES if each not in WRITES])
def test_answers_that_hold_something_fit_their_schema(box, api, path, method):
    """Lists, pages and objects of the workspace validate against the schema of the operation."""
    for where, sent in requests_of(box, path, method):
        answer = api.get(where, params=sent) if method == "get" else api.post(where, json=sent)
        assert answer.status_code == 200, answer.text
        SCHEMA[path][method].validate_response(answer)
