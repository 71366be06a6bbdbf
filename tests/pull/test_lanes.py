"""Every lane gives the same cells, whichever went before it on the same table."""

import itertools

import pytest

from cargo_source.pull.lanes import LANES
from tests.small import small_box
from tests.target import model_differences

MODELS = {"only": ["models", "datasets"], "models": ["default.companies", "default.contacts"]}


@pytest.fixture(scope="module")
def box():
    with small_box(21, companies=60) as own:
        yield own


def rows(target, box):
    """All cells but those that name the sync, with times and nested values as they compare."""
    found = {}
    for model in box.truth("models"):
        if f"default.{model['slug']}" in MODELS["models"] and model["kind"] == "native":
            table = f"default__{model['slug']}"
            for row in target.rows(table):
                found[table, row["_id"]] = {name: row[name] for name in row if name != "_cargo_run_id"}
    return found


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(LANES, 2)])
def test_lanes_follow_one_another_on_one_table(box, target, first, second):
    """What one lane has written another finds right: the cells stay, and they are those of the workspace."""
    report = target.sync(box, lane=first, **MODELS)
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {first}
    before = rows(target, box)
    box.advance(hours=2)
    report = target.sync(box, lane=second, **MODELS)
    assert before
    assert {o.lane for o in report.outcomes if o.entity == "records" and o.rows} <= {second}
    for model in box.truth("models"):
        if f"default.{model['slug']}" in MODELS["models"] and model["kind"] == "native":
            assert model_differences(target, box, model) == []
