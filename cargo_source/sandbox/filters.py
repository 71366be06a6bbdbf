"""Cargo's filters as SQL (contract: filter syntax).

What the real platform drops without a word is dropped here too: a misspelt key, a condition outside groups,
a kind that does not fit the column's type, `value` where `values` is due, an unknown column. What names
something that does not exist (a segment, a relationship, a column in a `sql` clause) is an `InvalidFilter`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from cargo_source.sandbox.conditions import Condition, column_condition, joined, text_literal
from cargo_source.sandbox.happened import activity, frequency, period, with_time

if TYPE_CHECKING:
    from cargo_source.sandbox.world import World

DEEPEST_SEGMENT = 8
"""Segments may name segments; past this depth they name each other in a circle."""


class InvalidFilter(Exception):
    """A filter that names what does not exist."""


def compile_filter(tree: dict[str, Any], model_uuid: str, world: World) -> str:
    """Give a DuckDB boolean expression over the model's table under the alias `t`; match-all is `TRUE`.

    Raises:
        InvalidFilter: A segment, relationship or `sql` clause does not hold.
    """
    return _Scope(world, model_uuid).filter(tree)


def membership(segment: dict[str, Any], world: World) -> str:
    """Give a SELECT of the `_id`s that are in a segment: its filter, then its order, then its limit."""
    return _Scope(world, segment["modelUuid"]).membership(segment)


def order_by(sort: object, model_uuid: str, world: World, alias: str = "t") -> str:
    """Give ` ORDER BY ...` for a sort list, or an empty text; `_id` breaks ties, so pages never overlap."""
    scope = _Scope(world, model_uuid, alias)
    known = [key for key in map(scope.sort_key, _dicts(sort)) if key]
    return f" ORDER BY {', '.join([*known, f'{alias}._id'])}" if known else ""


def table_of(model_uuid: str, world: World) -> str:
    """Give the quoted name of a model's table in the sandbox's store."""
    model = world.tables["models"][model_uuid]
    dataset = world.tables["datasets"][model["datasetUuid"]]
    return f"{quoted(dataset['slug'])}.{quoted(model['slug'])}"


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class _Scope:
    """Where a condition is read: a model, the alias of its table, and the depth inside other segments."""

    world: World
    model_uuid: str
    alias: str = "t"
    depth: int = 0

    def filter(self, tree: dict[str, Any]) -> str:
        groups = [self.group(each) for each in _dicts(tree.get("groups"))]
        return joined(groups, tree.get("conjonction")) or "TRUE"

    def group(self, group: dict[str, Any]) -> str | None:
        conditions = [self.condition(each) for each in _dicts(group.get("conditions"))]
        return joined(conditions, group.get("conjonction"))

    def condition(self, condition: Condition) -> str | None:
        match condition.get("kind"):
            case "segment":
                return self.segment(condition)
            case "occurrence":
                return self.occurrence(condition)
            case "enrollment":
                return self.enrollment(condition)
            case "sql":
                return self.clause(condition)
        related = condition.get("relatedModelUuid")
        if related is None or related == self.model_uuid:
            return self.column(condition)
        inner = self.related(str(related))
        test = inner.column(condition)
        return test and f"(EXISTS (SELECT 1 FROM {inner.source} WHERE {self.link(inner)} AND {test}))"

    def column(self, condition: Condition) -> str | None:
        found = self.physical(condition.get("columnSlug"))
        return found and column_condition(condition, found[0], found[1])

    def physical(self, slug: object) -> tuple[str, str] | None:
        """Find a column by its name in rows, else by its bare slug; original columns come first."""
        columns = self.world.columns_of(self.model_uuid)
        found = next((each for each in columns if each.name == slug), None)
        found = found or next((each for each in columns if each.slug == slug), None)
        return (f"{self.alias}.{quoted(found.name)}", found.type) if found else None

    def sort_key(self, key: dict[str, Any]) -> str | None:
        found = self.physical(key.get("columnSlug"))
        return found and f"{found[0]} {'DESC' if key.get('kind') == 'desc' else 'ASC'} NULLS LAST"

    @property
    def source(self) -> str:
        return f"{table_of(self.model_uuid, self.world)} AS {self.alias}"

    def related(self, model_uuid: str) -> _Scope:
        if model_uuid not in self.world.tables["models"]:
            raise InvalidFilter(f"no model {model_uuid}")
        return replace(self, model_uuid=model_uuid, alias=f"{self.alias}r")

    def link(self, inner: _Scope) -> str:
        """Join two models over the first relationship between them, in either direction."""
        for edge in self.world.tables["relationships"].values():
            ends = (edge["fromModelUuid"], edge["toModelUuid"])
            if ends == (self.model_uuid, inner.model_uuid):
                return f"{self.end(edge, 'from')} = {inner.end(edge, 'to')}"
            if ends == (inner.model_uuid, self.model_uuid):
                return f"{self.end(edge, 'to')} = {inner.end(edge, 'from')}"
        raise InvalidFilter(f"no relationship between {self.model_uuid} and {inner.model_uuid}")

    def end(self, edge: dict[str, Any], side: str) -> str:
        found = self.physical(edge[f"{side}ColumnSlug"])
        if found is None:
            raise InvalidFilter(f"relationship {edge['uuid']} names an unknown column")
        if edge.get(f"{side}PropertySlug"):
            return f"json_extract_string({found[0]}, {text_literal('/' + edge[f'{side}PropertySlug'])})"
        return f"CAST({found[0]} AS VARCHAR)"

    def segment(self, condition: Condition) -> str | None:
        segment = self.world.tables["segments"].get(str(condition.get("segmentUuid")))
        operator = condition.get("operator")
        if segment is None:
            raise InvalidFilter(f"no segment {condition.get('segmentUuid')}")
        if operator not in {"in", "notIn"} or segment["modelUuid"] != self.model_uuid:
            return None
        negation = "NOT " if operator == "notIn" else ""
        return f"({self.alias}._id {negation}IN ({self.membership(segment)}))"

    def membership(self, segment: dict[str, Any]) -> str:
        if self.depth >= DEEPEST_SEGMENT:
            raise InvalidFilter("segments name each other in a circle")
        inner = _Scope(self.world, segment["modelUuid"], depth=self.depth + 1)
        ids = f"SELECT t._id FROM {inner.source} WHERE {inner.filter(segment['filter'])}"
        if segment["limit"] is None:
            return ids
        order = order_by(segment["sort"], inner.model_uuid, self.world) or " ORDER BY t._id"
        return f"{ids}{order} LIMIT {int(segment['limit'])}"

    def occurrence(self, condition: Condition) -> str | None:
        inner = self.related(str(condition.get("relatedModelUuid")))
        wanted = frequency(condition.get("frequency"))
        if wanted is None or not isinstance(condition.get("conditions"), list):
            return None
        own = [inner.column(each) for each in _dicts(condition["conditions"])]
        tests = [self.link(inner), inner.within(condition.get("period"))]
        tests.append(joined(own, condition.get("conjonction")))
        found = " AND ".join(test for test in tests if test)
        return f"((SELECT count(*) FROM {inner.source} WHERE {found}) {wanted})"

    def within(self, days: object) -> str | None:
        """Limit rows to a period, by the model's time column, else by when they were emitted."""
        model = self.world.tables["models"][self.model_uuid]
        time = self.physical(model.get("timeColumnSlug")) or self.physical("_emitted_at")
        return period(time[0], days, self.world.now) if time and time[1] == "date" else None

    def enrollment(self, condition: Condition) -> str | None:
        wanted = frequency(condition.get("frequency"))
        if wanted is None:
            return None
        moments = activity(condition, self.world.tables["runs"].values())
        if not moments:
            return f"(0 {wanted})"
        rows = ", ".join(f"({text_literal(record)}, TIMESTAMPTZ '{at}')" for record, at in moments)
        within = period("e.moment", condition.get("period"), self.world.now) or "TRUE"
        found = f"(VALUES {rows}) AS e(record, moment) WHERE e.record = {self.alias}._id AND {within}"
        return f"((SELECT count(*) FROM {found}) {wanted})"

    def clause(self, condition: Condition) -> str | None:
        """Take a boolean expression in the warehouse's dialect over the model's own columns."""
        try:
            tree = sqlglot.parse_one(str(condition.get("clause")), read="bigquery")
        except sqlglot.errors.SqlglotError as error:
            raise InvalidFilter("the sql clause does not parse") from error
        if tree.find(exp.Query, exp.Command, exp.DDL, exp.DML):
            raise InvalidFilter("a sql clause is a condition, not a statement")
        return f"({tree.transform(self.resolved).sql(dialect='duckdb')})"

    def resolved(self, node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column):
            return with_time(node, self.world.now)
        found = self.physical(node.name)
        if found is None:
            raise InvalidFilter(f"unrecognized name: {node.name}")
        return sqlglot.parse_one(found[0], read="duckdb")


def _dicts(items: object) -> list[dict[str, Any]]:
    """Give the objects of a list; whatever else stands where conditions are due is dropped."""
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []
