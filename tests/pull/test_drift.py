"""Models that change between two syncs: nothing is lost, nothing blocks, everything is reported."""

import pytest

from cargo_source.catalog import ENTITIES
from cargo_source.pull import patience
from tests.small import small_box
from tests.target import differences, model_differences

ENTITIES_BUT_MODELS = set(ENTITIES) - {"models", "datasets", "columns"}
COMPANIES = "default.companies"


@pytest.fixture
def box():
    with small_box(7, companies=40) as own:
        yield own


def sync(target, box, models=(COMPANIES,)):
    """Sync models and their rows, and give what was said of each table."""
    report = target.sync(box, only=["models", "datasets", "columns"], models=models)
    assert {outcome.status for outcome in report.outcomes} == {"complete"}
    return {outcome.table: outcome.note for outcome in report.outcomes}


def compared(target, box, *names, skip=frozenset()):
    """In what the tables of these models, and those of entities, differ from the workspace."""
    found = differences(target, box, skip=ENTITIES_BUT_MODELS | skip | {"records"})
    slugs = {dataset["uuid"]: dataset["slug"] for dataset in box.truth("datasets")}
    models = {f"{slugs[model['datasetUuid']]}.{model['slug']}": model for model in box.truth("models")}
    return found + [each for name in names for each in model_differences(target, box, models[name])]


def test_a_new_column_is_filled_in_all_rows_and_told(target, box):
    """No row was written anew in Cargo, yet each has its value here."""
    sync(target, box)
    box.reshape.add_column(COMPANIES, "region", "string", "north")
    note = sync(target, box)["default__companies"]
    assert "new columns: region" in note
    assert compared(target, box, COMPANIES) == []


def test_a_removed_column_keeps_its_table_and_is_told(target, box):
    """Later rows have none; the column stays, for its values are somebody's history."""
    sync(target, box)
    box.reshape.remove_column(COMPANIES, "industry")
    note = sync(target, box)["default__companies"]
    assert "columns gone" in note
    assert "industry" in note
    assert "industry" in target.types("default__companies")
    assert compared(target, box, COMPANIES, skip={"columns"}) == []


@pytest.mark.parametrize("lane", ["export", "pages"])
@pytest.mark.parametrize(
    ("column", "kind", "sql"),
    [
        ("employeesCount", "string", "\"employeesCount\"::VARCHAR || ' people'"),
        ("industry", "object", "json_object('of', \"industry\")"),
        ("isCustomer", "number", '"isCustomer"::INT * 1.5'),
    ],
    ids=["number to string", "string to object", "boolean to number"],
)
def test_a_retyped_column_loads_its_table_anew(target, box, lane, column, kind, sql):
    """The table has the new type and every row; syncs before and after go on as if nothing had been."""
    if lane == "pages":
        box.faults.add({"path": "storage/query*", "kind": "forbidden", "count": None})
    sync(target, box)
    box.reshape.retype_column(COMPANIES, column, kind, sql)
    note = sync(target, box)["default__companies"]
    assert "loaded anew" in note
    assert compared(target, box, COMPANIES) == []
    box.advance(days=1)
    assert "anew" not in sync(target, box)["default__companies"]
    assert compared(target, box, COMPANIES) == []


def test_a_retyped_column_waits_while_cargo_is_writing(target, box, monkeypatch):
    """The table would be made anew of what has been written so far, so it stays; the next sync loads it."""
    monkeypatch.setattr(patience, "PATIENCE", 0.0)
    sync(target, box)
    before = sorted(map(str, target.rows("default__companies")))
    box.reshape.retype_column(COMPANIES, "employeesCount", "string", "\"employeesCount\"::VARCHAR || ' people'")
    box.faults.add(path="storage/query*", kind="refreshing")
    report = target.sync(box, only=["models", "datasets", "columns"], models=[COMPANIES])
    (found,) = [outcome for outcome in report.outcomes if outcome.table == "default__companies"]
    assert (found.status, found.rows) == ("refreshing", 0)
    assert "employees_count" in found.note
    assert sorted(map(str, target.rows("default__companies"))) == before
    box.faults.clear()
    sync(target, box)
    assert compared(target, box, COMPANIES) == []


def test_a_renamed_model_gets_a_table_of_its_new_name(target, box):
    """All rows are there under the new name; the old table stays, and it is told. Named back, nothing is stale."""
    sync(target, box, ["default.runs"])
    box.reshape.rename_model("default.runs", "flights")
    notes = sync(target, box, ["default.flights"])
    assert "was default__runs" in notes["default__flights"]
    assert compared(target, box, "default.flights") == []
    assert "default__runs" in target.tables()
    box.advance(days=1)
    sync(target, box, ["default.flights"])
    box.reshape.rename_model("default.flights", "runs")
    sync(target, box, ["default.runs"])
    assert compared(target, box, "default.runs", skip={"columns"}) == []


def test_models_come_and_go(target, box):
    """A new model gets its table; that of one that is gone stays, and the summary says so, once."""
    sync(target, box, ["hubspot.deals", COMPANIES])
    box.reshape.add_model("default.partners", [("name", "string"), ("score", "number")], rows=30)
    box.reshape.remove_model("hubspot.deals")
    models = ["default.partners", COMPANIES]
    assert "gone" in sync(target, box, models)["hubspot__deals"]
    assert compared(target, box, *models) == []
    assert target.query("SELECT count(*) FROM cargo.default__partners") == [(30,)]
    assert "hubspot__deals" not in sync(target, box, models)


def test_a_model_that_is_made_again_under_its_old_name(target, box):
    """Rows of the model that was called so before are not among those of the new one."""
    sync(target, box, ["hubspot.deals", COMPANIES])
    box.reshape.remove_model("hubspot.deals")
    sync(target, box)
    box.reshape.add_model("hubspot.deals", [("name", "string")], rows=3)
    sync(target, box, ["hubspot.deals", COMPANIES])
    assert compared(target, box, "hubspot.deals") == []
    assert target.query("SELECT count(*) FROM cargo.hubspot__deals") == [(3,)]


def test_a_name_that_a_second_model_takes_as_well(target, box):
    """Where two models fold to one name both get a suffix, and no row is lost on the way there or back."""
    signups = "http.product_signups"
    sync(target, box, [signups])
    box.reshape.add_model("http.productSignups", [("name", "string")], rows=3)
    sync(target, box, [signups, "http.productSignups"])
    assert compared(target, box, signups, "http.productSignups") == []
    box.advance(days=1)
    sync(target, box, [signups, "http.productSignups"])
    box.reshape.remove_model("http.productSignups")
    sync(target, box, [signups])
    assert compared(target, box, signups) == []


def test_a_table_that_somebody_dropped_comes_back(target, box):
    """A table that is missing in the destination is made again with all its rows, of a model and of an entity."""
    sync(target, box)
    target.query("DROP TABLE cargo.default__companies")
    target.query("DROP TABLE cargo.models")
    sync(target, box)
    assert compared(target, box, COMPANIES) == []


def test_unknown_fields_and_values_are_kept_and_told(target, box):
    """A field that nobody knows lands in _cargo_extra, a new status in its column, and both are named."""
    target.sync(box, only=["plays", "runs"])
    for kind in ("extra_fields", "unknown_enum"):
        box.faults.add({"path": "orchestration/*", "kind": kind, "count": None})
    box.advance(hours=3)
    report = target.sync(box, only=["plays", "runs"])
    notes = {outcome.table: outcome.note for outcome in report.outcomes}
    assert "unknown fields" in notes["plays"]
    assert "unknown values of status" in notes["runs"]
    assert target.query("SELECT count(*) > 0 FROM cargo.plays WHERE _cargo_extra IS NOT NULL") == [(True,)]
