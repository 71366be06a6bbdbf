"""The workspace against the contract: every field has its type, every enum value and every null occurs."""

import json
from collections import defaultdict
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from cargo_source.sandbox.entities import ENTITIES
from cargo_source.sandbox.truth import truth
from tests.sandbox.workspaces import lived, settled

CONTRACT = Path(__file__).parent.parent / "contract" / "openapi.yaml"
SCHEMAS = {name: entity.schema for name, entity in ENTITIES.items() if entity.schema}
SINGLE = {"Workspace", "Subscription"}
"""Objects of which there is one, so that no field is seen both null and set."""


@pytest.fixture(scope="module")
def components():
    return yaml.load(CONTRACT.read_text(), Loader=yaml.CSafeLoader)["components"]


def validator(components, name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": components}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


@pytest.mark.parametrize("entity", SCHEMAS)
def test_every_row_fits_its_schema(components, entity):
    """Rows are valid before and after time has passed."""
    check = validator(components, SCHEMAS[entity])
    for world in (settled(), lived().world):
        for row in truth(world, entity):
            assert [str(error) for error in check.iter_errors(row)] == []


@pytest.mark.parametrize("entity", SCHEMAS)
def test_no_documented_field_is_missing(components, entity):
    """A nullable field is there as null; a field that may be absent is there in some row."""
    schema = components["schemas"][SCHEMAS[entity]]
    rows = truth(settled(), entity)
    seen = set().union(*rows)
    assert seen - set(ENTITIES[entity].key) == schema["properties"].keys() - set(ENTITIES[entity].key)
    for field, kind in schema["properties"].items():
        if may_be_null(kind) or field in schema.get("required", []):
            assert all(field in row for row in rows), field


def may_be_null(schema):
    kinds = schema.get("type")
    return (isinstance(kinds, list) and "null" in kinds) or any(
        each.get("type") == "null" for each in schema.get("anyOf", [])
    )


class Coverage:
    """Walks rows beside their schemas and notes what was seen; places are counted from the nearest named schema."""

    def __init__(self, components):
        self.schemas = components["schemas"]
        self.enums = defaultdict(lambda: (set(), set()))
        self.nulls = defaultdict(set)
        self.walked = set()

    def walk(self, schema, value, place):
        if "$ref" in schema:
            place = schema["$ref"].split("/")[-1]
            schema = self.schemas[place]
        if isinstance(value, dict | list):
            # Graphs and settings are one object in many rows.
            if (id(value), id(schema)) in self.walked:
                return
            self.walked.add((id(value), id(schema)))
        for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            self.walk(branch, value, place)
        wanted = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if wanted and not isinstance(value, dict | list):
            self.enums[place][0].update(wanted)
            self.enums[place][1].add(value)
        if isinstance(value, dict):
            self.fields(schema, value, place)
        if isinstance(value, list) and "items" in schema:
            for item in value:
                self.walk(schema["items"], item, f"{place}[]")

    def fields(self, schema, value, place):
        for field, inner in schema.get("properties", {}).items():
            spot = f"{place}.{field}"
            if may_be_null(inner):
                self.nulls[spot].add(value.get(field) is None)
            if value.get(field) is not None:
                self.walk(inner, value[field], spot)


@pytest.mark.parametrize("seed", [7, 8])
def test_every_enum_value_and_every_null_occurs(components, seed):
    """Each value of each enum is in some row; each nullable field is null in one row and set in another."""
    coverage = Coverage(components)
    rows = {entity: truth(settled(seed), entity) for entity, name in SCHEMAS.items() if name not in SINGLE}
    for entity, name in SCHEMAS.items():
        for row in rows.get(entity, ()):
            coverage.walk({"$ref": f"#/components/schemas/{name}"}, row, name)
    missing = {place: wanted - seen - {None} for place, (wanted, seen) in coverage.enums.items()}
    assert {place: gap for place, gap in missing.items() if gap} == {}
    assert {place: seen for place, seen in coverage.nulls.items() if len(seen) < 2} == {}


def test_secrets_are_easy_to_recognise():
    """Every field that bears a secret holds a made-up value that a test can look for."""
    world = settled()
    tables = world.tables
    configs = [m["config"] for m in tables["models"].values()]
    encrypted = [v for c in configs for v in c.values() if isinstance(v, dict) and v.get("type") == "encryption"]
    forms = [t["publicForm"]["spam"]["captchaSecret"] for t in tables["tools"].values() if t["publicForm"]]
    tokens = [
        client["authentication"]["accessToken"]
        for entity in ("agent_releases", "messages")
        for row in tables[entity].values()
        for client in row.get("mcpClients", [])
        if client.get("authentication")
    ]
    code = [
        entry["secretValue"]["value"]
        for entity in ("agent_releases", "messages")
        for row in tables[entity].values()
        for capability in row.get("capabilities") or ()
        for entry in capability.get("config", {}).get("env", ())
        if "secretValue" in entry
    ]
    found = [
        *(value["value"] for value in encrypted),
        *forms,
        *tokens,
        *code,
        world.user["webExtensionData"]["linkedin"]["li_at"],
    ]
    assert all(secret.startswith("sandbox-secret-") for secret in found)
    assert min(len(encrypted), len(forms), len(tokens), len(code)) >= 3
    assert any(
        "sandbox-secret-" in json.dumps(a["deployedRelease"]) for a in tables["agents"].values() if a["deployedRelease"]
    )


def test_segments_are_of_every_sort():
    """Some are a play's own, sorted, limited, tracked, narrowed to columns; some were never evaluated."""
    segments = settled().tables["segments"].values()
    for field in ("fromPlay", "sort", "limit", "trackingColumnSlugs", "columnSlugs", "syncedAt", "deletedAt"):
        assert {bool(segment[field]) for segment in segments} == {True, False}, field
    never = [segment for segment in segments if segment["syncedAt"] is None]
    assert {segment["recordsCount"] for segment in never} == {0}
