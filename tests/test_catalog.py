"""Conformance: what every entry of the catalogue has to hold. A new entry is tested by being there."""

from pathlib import Path

import pytest
import yaml

from cargo_source.catalog import ENTITIES, Entity
from cargo_source.catalog.columns import columns, snake_case
from cargo_source.catalog.entity import Call, Derived, Gated, Metered, Recent, Snapshot, Unfolded, Window

CONTRACT = yaml.safe_load((Path(__file__).parent / "contract" / "openapi.yaml").read_text())
MADE_BY_US = {"change_rows", "columns", "agent_runs", "segment_members", "usage_metrics"}
"""Tables whose columns are not those of one schema of the contract."""
OURS = {
    "models": {"table"},
    "executions": {"runUuid", "index"},
    "actions": {"integrationSlug", "actionSlug"},
    "extractors": {"integrationSlug", "extractorSlug"},
    "subscriptions": {"snapshotDate"},
}
"""Columns that we add to a schema of the contract."""
INSIDE = {"executions": "Execution", "actions": "IntegrationAction", "extractors": "Extractor"}
"""Schemas of what has no list operation of its own."""
DROPPED = {"connectors": {"config"}, "users": {"webExtensionData"}, "invoices": {"url"}}
"""Fields of the contract that are secrets as a whole, so that they have no column."""

every_entity = pytest.mark.parametrize("entity", ENTITIES.values(), ids=list(ENTITIES))


def operation(entity: Entity) -> dict | None:
    """The contract's operation behind an entity's list call."""
    if entity.call is None:
        return None
    return CONTRACT["paths"]["/" + entity.call.path][entity.call.method.lower()]


def answer_schema(entity: Entity) -> dict:
    """The schema of a successful answer."""
    return operation(entity)["responses"]["200"]["content"]["application/json"]["schema"]


def parameters(entity: Entity) -> dict[str, dict]:
    """Every parameter that the operation takes, in query or body."""
    found = operation(entity)
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    query = {p["name"].removesuffix("[]"): p["schema"] for p in found.get("parameters", []) if p.get("in") == "query"}
    return {**query, **body.get("properties", {})}


@every_entity
def test_the_list_operation_is_in_the_contract_and_answers_under_the_envelope(entity):
    """Path, method and envelope of each entry are those of the contract."""
    if entity.call is not None:
        assert entity.call.envelope in answer_schema(entity)["properties"]


@every_entity
def test_every_parameter_sent_is_known_to_the_operation(entity):
    """Strict bodies refuse unknown keys, so each name that an entry can send is in the contract."""
    if entity.call is None:
        return
    sent = {*entity.call.send, *entity.call.fixed} | ({"limit", "offset"} if entity.call.page else set())
    if entity.follow:
        sent |= {*entity.follow.still_open}
    match entity.reading:
        case Window(after=after, before=before):
            sent |= {after, before}
        case Recent(after=after, before=before, open_filter=filters):
            sent |= {after, before, *filters}
        case Gated(also=Call(fixed=fixed)):
            sent |= {*fixed}
        case Metered(after=after, before=before, unit=unit, dimension=dimension):
            sent |= {after, before, unit, dimension}
    sent = {name.removesuffix("[]") for name in sent}
    assert sent <= set(parameters(entity)), entity.table


@every_entity
def test_the_page_asked_for_is_within_the_documented_maximum(entity):
    """No entry asks for more rows than the contract allows."""
    if entity.call is not None and entity.call.page:
        assert entity.call.page <= parameters(entity)["limit"].get("maximum", 100)


@every_entity
def test_counted_entries_are_those_whose_answers_carry_a_count(entity):
    """An entry rests on a count only where the contract has one."""
    if entity.call is not None and entity.call.counted:
        assert "count" in answer_schema(entity)["properties"]


@every_entity
def test_columns_are_the_fields_of_the_contract_in_snake_case(entity):
    """Every field of the schema has its column, and every column its field; names follow one rule."""
    assert all(column.name == snake_case(column.field) for column in entity.columns)
    if entity.table in MADE_BY_US:
        return
    schema = _schema_of(entity)
    fields = {column.field for column in entity.columns} - OURS.get(entity.table, set())
    assert fields == set(schema["properties"]) - DROPPED.get(entity.table, set()), entity.table
    assert DROPPED.get(entity.table, set()) <= set(entity.dropped)


@every_entity
def test_column_types_agree_with_the_contract(entity):
    """A column's type can hold what the contract allows in its field."""
    if entity.table in MADE_BY_US:
        return
    properties = _schema_of(entity)["properties"]
    for column in entity.columns:
        if column.field in OURS.get(entity.table, set()):
            continue
        assert column.type in _types(properties[column.field]), f"{entity.table}.{column.field}"


@every_entity
def test_keys_are_columns_that_are_never_null(entity):
    """Rows merge on their key, so each part of it must be there, or of what is replaced together in its place."""
    by_name = {column.name: column for column in entity.columns}
    assert entity.key
    assert all(by_name[name].required for name in entity.merge_key or entity.key)
    assert set(entity.merge_key) <= set(entity.key)


@every_entity
def test_references_point_to_tables_and_columns_that_exist(entity):
    """A reference that leads nowhere would draw a wrong diagram."""
    for column in entity.columns:
        if column.references:
            table, name = column.references
            assert name in {c.name for c in ENTITIES[table].columns}, f"{entity.table}.{column.name}"


@every_entity
def test_everything_is_described(entity):
    """Tables and columns say what they hold, and the entry says what tells that a read was complete."""
    assert entity.description.endswith((".", "row."))
    assert entity.evidence
    assert all(column.description for column in entity.columns)


@every_entity
def test_parents_exist_and_keep_what_their_children_need(entity):
    """A child is read through fields of its parent, so the parent keeps them."""
    match entity.reading:
        case Gated(parent=parent, signals=signals):
            needed = {signal.split(".")[0] for signal in signals} | set(entity.call.send.values())
        case Window(per=str(parent)):
            needed = set(entity.call.send.values())
        case Unfolded(parent=parent, fields=fields, carry=carry):
            assert {*fields, *carry.values()} <= {column.field for column in ENTITIES[parent].columns}
            return
        case Derived(parents=parents):
            assert set(parents) <= set(ENTITIES)
            return
        case _:
            return
    above = ENTITIES[parent]
    kept = {column.field for column in above.columns} if isinstance(above.reading, Snapshot) else set(above.keep)
    assert needed <= kept


@every_entity
def test_secrets_of_the_contract_are_dropped(entity):
    """What the contract sheet lists as secret is dropped by declaration wherever its schema occurs."""
    if entity.table in MADE_BY_US:
        return
    text = yaml.safe_dump(_schema_of(entity))
    if "McpClient" in text:
        assert any(path.endswith("mcpClients[].authentication") for path in entity.dropped), entity.table
    for table, path in {
        "tools": "publicForm.spam.captchaSecret",
        "batches": "data.webhookSecret",
        "connectors": "config",
        "users": "webExtensionData",
        "invoices": "url",
    }.items():
        assert entity.table != table or path in entity.dropped


@every_entity
def test_enums_list_the_values_of_the_contract(entity):
    """A value that the contract does not have is reported as new, so the catalogue has them all."""
    if entity.table in MADE_BY_US:
        return
    properties = _schema_of(entity)["properties"]
    for column in entity.columns:
        if column.field not in OURS.get(entity.table, set()):
            assert set(column.values) == _enum(properties[column.field]), f"{entity.table}.{column.field}"


def test_a_line_that_is_no_column_is_refused():
    """A slip in the notation stops at import, not in a warehouse."""
    with pytest.raises(ValueError, match="not a column"):
        columns("uuid  varchar  the run")


def _schema_of(entity: Entity) -> dict:
    if entity.table in INSIDE:
        return CONTRACT["components"]["schemas"][INSIDE[entity.table]]
    schema = answer_schema(entity)["properties"][entity.call.envelope]
    schema = schema.get("items", schema)
    return CONTRACT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]


def _enum(schema: dict) -> set[str]:
    if "$ref" in schema:
        return _enum(CONTRACT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    return {value for value in schema.get("enum", ()) if value}


def _types(schema: dict) -> set[str]:
    if "$ref" in schema:
        return _types(CONTRACT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in schema:
        return {kind for part in schema["anyOf"] for kind in _types(part)}
    kinds = schema.get("type", "object")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    found = {
        "string": "timestamp" if schema.get("format") == "date-time" else "text",
        "integer": "integer",
        "number": "number",
        "boolean": "boolean",
        "object": "json",
        "array": "json",
    }
    return {found[kind] for kind in kinds if kind in found} or {"json"}
