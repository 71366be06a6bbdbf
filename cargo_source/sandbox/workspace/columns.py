"""Columns of models as the API shows them, each kind with what it is made from."""

from typing import Any

from cargo_source.sandbox.identity import uuid_for
from cargo_source.sandbox.models import ModelSpec
from cargo_source.sandbox.models.edges import EDGES, Edge
from cargo_source.sandbox.models.spec import Col
from cargo_source.sandbox.workspace.team import Team

Wire = dict[str, Any]


def edge_uuid(seed: int, edge: Edge) -> str:
    """Return the uuid of a relationship."""
    return uuid_for(seed, "relationship", edge.source, edge.source_column, edge.target, edge.target_column)


def column(team: Team, spec: ModelSpec, col: Col) -> Wire:
    """Return a column as its model lists it."""
    if col.shown:
        return dict(col.shown)
    shown: Wire = {"slug": col.slug, "type": col.type, "label": _label(col.slug), "kind": col.kind}
    if col.type == "object":
        shown["properties"] = ["city", "zip"]
    if col.described:
        shown["description"] = "The name as the team writes it."
    match col.kind:
        case "original":
            shown["originalSlug"] = col.slug
        case "computed":
            shown |= _computed(team, spec, col)
        case "metric":
            shown |= _metric(team, spec, col)
        case "lookup":
            shown |= _lookup(team, col)
    return shown


def _label(slug: str) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in slug.replace("_", " "))
    return words.strip().capitalize()


def _computed(team: Team, spec: ModelSpec, col: Col) -> Wire:
    ai = col.slug == "fitScore"
    expression: Wire = {
        "expression": f"{{{{ {col.formula[0]} }}}}",
        "instructTo": "ai" if ai else "none",
        "kind": "templateExpression" if spec.slug == "contacts" else "jsExpression",
        "fromRecipe": ai,
    }
    if ai:
        expression["recipe"] = {
            "uuid": uuid_for(team.seed, "recipe", col.slug),
            "version": 2,
            "variables": {"weight": 3},
        }
    return {"expression": expression, "columnsUsed": list(col.formula)}


def _metric(team: Team, spec: ModelSpec, col: Col) -> Wire:
    target, function, column = col.formula
    edge = next(edge for edge in EDGES if (edge.source, edge.target) == (spec.key, target))
    open_only = {"kind": "boolean", "columnSlug": "isClosed", "operator": "isFalse"}
    group = {"conjonction": "and", "conditions": [open_only]}
    return {
        "relationshipUuid": edge_uuid(team.seed, edge),
        "aggregation": {"function": function, "columnSlug": column},
        "filter": {"conjonction": "and", "groups": [group]} if function == "SUM" else None,
    }


def _lookup(team: Team, col: Col) -> Wire:
    target, own, theirs, taken = col.formula
    dataset, slug = target.split(".")
    return {
        "join": {
            "toModelUuid": uuid_for(team.seed, "model", f"{dataset}.{slug}"),
            "fromColumnSlug": own,
            "toColumnSlug": theirs,
        },
        "extractColumnSlug": taken,
        "filter": {"conjonction": "and", "groups": []} if own == "domain" else None,
    }
