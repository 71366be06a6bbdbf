"""Segments of other models whose members depend on rows of the model that is written: how, cannot be known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cargo_source.pull.pages import Row
from cargo_source.pull.records import Model
from cargo_source.push.segment_truth import is_evaluated


class Afar:
    """Looks for what in the filters of other models' segments leads to one model."""

    def __init__(self, rows: Mapping[str, Row], model: Model, models: Sequence[Model]) -> None:
        self._rows, self._model = rows, model
        self._lookups = {each.uuid: _looked_up(each, model) for each in models}

    def found(self) -> Iterator[tuple[Row, str]]:
        """Give the segments of other models that may move, each with the reason."""
        for row in self._rows.values():
            if row["modelUuid"] != self._model.uuid and is_evaluated(row):
                reason = self._reason(row, frozenset())
                if reason is not None:
                    yield row, reason

    def _reason(self, row: Row, seen: frozenset[str]) -> str | None:
        slugs = self._lookups.get(str(row["modelUuid"]), frozenset())
        for slug in [
            *(row.get("trackingColumnSlugs") or ()),
            *(key.get("columnSlug") for key in row.get("sort") or ()),
        ]:
            if slug in slugs:
                return f"column {slug!r} is looked up in this model"
        reasons = (self._of_condition(each, slugs, seen | {str(row["uuid"])}) for each in _conditions(row["filter"]))
        return next((reason for reason in reasons if reason), None)

    def _of_condition(self, condition: Mapping[str, Any], slugs: frozenset[str], seen: frozenset[str]) -> str | None:
        if condition.get("relatedModelUuid") == self._model.uuid:
            return "its filter asks for rows of this model"
        if condition.get("columnSlug") in slugs and condition.get("relatedModelUuid") is None:
            return f"column {condition['columnSlug']!r} is looked up in this model"
        other = self._rows.get(str(condition.get("segmentUuid")))
        if other is None or other["uuid"] in seen:
            return None
        if other["modelUuid"] == self._model.uuid or self._reason(other, seen):
            return "its filter asks for another segment, which asks for rows of this model"
        return None


def _conditions(tree: object) -> Iterator[Mapping[str, Any]]:
    """Give every condition of a filter, those inside others too, whatever else is in it."""
    if isinstance(tree, list):
        for each in tree:
            yield from _conditions(each)
    elif isinstance(tree, Mapping):
        if "kind" in tree:
            yield tree
        for name in ("groups", "conditions", "propertyConditions"):
            yield from _conditions(tree.get(name))


def _looked_up(model: Model, wanted: Model) -> frozenset[str]:
    """Name the columns of a model, as filters may call them, that take their value from another model."""
    columns = model.row.get("additionalColumns") or []
    slugs = [str(each["slug"]) for each in columns if (each.get("join") or {}).get("toModelUuid") == wanted.uuid]
    return frozenset(name for slug in slugs for name in (slug, f"lookup__{slug}"))
