"""Segments of other models whose members depend on rows of the model that is written: how, cannot be known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cargo_source.pull.pages import Row
from cargo_source.pull.records import Model
from cargo_source.push.segment_truth import is_evaluated

ENDS = ("fromModelUuid", "toModelUuid")


class Afar:
    """Looks for what in the filters of other models' segments leads to one model.

    ``relationships`` are those between models, None where they cannot be seen: then any may be with this one.
    """

    def __init__(
        self,
        segments: Mapping[str, Row],
        model: Model,
        models: Sequence[Model],
        relationships: Sequence[Row] | None,
    ) -> None:
        self._segments, self._model = segments, model
        self._drawn = {each.uuid: _drawn(each, model, relationships) for each in models}

    def found(self) -> Iterator[tuple[Row, str]]:
        """Give the segments of other models that may move, each with the reason."""
        for row in self._segments.values():
            if row["modelUuid"] != self._model.uuid and is_evaluated(row):
                reason = self._reason(row, frozenset())
                if reason is not None:
                    yield row, reason

    def _reason(self, row: Row, seen: frozenset[str]) -> str | None:
        drawn = self._drawn.get(str(row["modelUuid"]), frozenset())
        ordered_by = (key.get("columnSlug") for key in row.get("sort") or ())
        for slug in (*(row.get("trackingColumnSlugs") or ()), *ordered_by):
            if slug in drawn:
                return _told(slug)
        reasons = (self._asked(each, drawn, seen | {str(row["uuid"])}) for each in _conditions(row.get("filter")))
        return next((reason for reason in reasons if reason), None)

    def _asked(self, condition: Mapping[str, Any], drawn: frozenset[str], seen: frozenset[str]) -> str | None:
        if condition.get("relatedModelUuid") == self._model.uuid:
            return "its filter asks for rows of this model"
        if condition.get("columnSlug") in drawn and condition.get("relatedModelUuid") is None:
            return _told(condition["columnSlug"])
        other = self._segments.get(str(condition.get("segmentUuid")))
        if other is None or other["uuid"] in seen:
            return None
        if other["modelUuid"] == self._model.uuid or self._reason(other, seen):
            return "its filter asks for another segment, which asks for rows of this model"
        return None


def has_metrics(models: Sequence[Model]) -> bool:
    """Say whether relationships have to be known to tell what columns are made from."""
    return any(
        column.get("relationshipUuid") for model in models for column in model.row.get("additionalColumns") or ()
    )


def _told(slug: str) -> str:
    return f"its column {slug!r} is made from rows of this model"


def _conditions(tree: object) -> Iterator[Mapping[str, Any]]:
    """Give every condition of a filter, those inside others too, whatever else is in it."""
    if isinstance(tree, list):
        for each in tree:
            yield from _conditions(each)
    elif isinstance(tree, Mapping):
        if "kind" in tree:
            yield tree
        for part in ("groups", "conditions", "propertyConditions"):
            yield from _conditions(tree.get(part))


def _drawn(model: Model, source: Model, relationships: Sequence[Row] | None) -> frozenset[str]:
    """Name the columns of a model, as filters may call them, whose values are made from rows of another."""
    between = None
    if relationships is not None:
        both = {model.uuid, source.uuid}
        between = {row["uuid"] for row in relationships if {row[end] for end in ENDS} == both}
    columns = model.row.get("additionalColumns") or []
    found = {each["slug"] for each in columns if _is_drawn(each, source, between)}
    # What is computed from such a column is made from those rows as well.
    while more := {each["slug"] for each in columns if found.intersection(each.get("columnsUsed") or ())} - found:
        found |= more
    kinds = {each["slug"]: each.get("kind") for each in columns}
    return frozenset(name for slug in found for name in (slug, f"{kinds[slug]}__{slug}"))


def _is_drawn(column: Mapping[str, Any], source: Model, between: set[str] | None) -> bool:
    if (column.get("join") or {}).get("toModelUuid") == source.uuid:
        return True
    counted = column.get("relationshipUuid")
    return counted is not None and (between is None or counted in between)
