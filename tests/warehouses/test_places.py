"""The same story in each place that rows can be loaded to: DuckDB, a PostgreSQL server, a folder of parquet files."""

from datetime import timedelta

import pytest

from cargo_source import backfill, cargo
from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings
from cargo_source.pull.versions import remove_halves
from tests.properties.kills import Door, Kill, Point, killed
from tests.small import tiny_box
from tests.target import differences, model_differences
from tests.warehouses.places import InFiles

COMPANIES = "default.companies"
ROWS = {"only": ["models", "datasets", "columns"], "models": [COMPANIES]}
JOB = "dlt.common.destination.client"
POINTS = {
    "row by row": Point(JOB, "RunnableLoadJob.run_managed", "before", 3),
    "rows written": Point(JOB, "RunnableLoadJob.run_managed", "after", 3),
    "package not done": Point("dlt.common.storages.load_storage", "LoadStorage.complete_load_package", "before", 1),
}


@pytest.fixture
def box():
    with tiny_box(1) as own:
        yield own


def model_of(box):
    native = next(each["uuid"] for each in box.truth("datasets") if each["slug"] == "default")
    return next(each for each in box.truth("models") if (each["datasetUuid"], each["slug"]) == (native, "companies"))


def compared(place, box, tables=("models", "datasets", "columns")):
    """In what these tables, and that of companies, differ from the workspace."""
    return differences(place, box, skip=set(ENTITIES) - set(tables) | {"records"}) + model_differences(
        place, box, model_of(box)
    )


def remove(box, count):
    """Take rows out of the model of companies, and give their keys."""
    spec = box.world.warehouse.specs[COMPANIES]
    ids = box.world.warehouse.draw_ids(spec, count, "gone")
    box.world.warehouse.remove(spec, ids)
    box.world.revision += 1
    return set(ids)


def contents(place):
    return {
        table: sorted(repr({k: v for k, v in row.items() if k != "_cargo_run_id"}) for row in place.rows(table))
        for table in sorted(place.tables())
    }


def test_every_cell_is_that_of_the_workspace_and_later_syncs_bring_what_moved(place, box):
    """First everything, then the news of a day, then nearly nothing; all tables are exact and told of each time."""
    first = place.sync(box)
    assert differences(place, box) == []
    box.advance(days=1)
    second = place.sync(box)
    assert differences(place, box) == []
    assert second.rows < first.rows / 4
    assert place.sync(box).rows < second.rows / 4
    told = place.query("SELECT run_id, count(*), sum(rows) FROM cargo._cargo_syncs GROUP BY 1 ORDER BY 1")
    assert [rows for _, _, rows in told][:2] == [first.rows, second.rows]
    assert {count for _, count, _ in told} == {len(first.outcomes)}
    types = place.types("spans") | place.types("agents")
    assert {types["execution_started_at"], types["_cargo_deleted_at"]} == {"TIMESTAMP WITH TIME ZONE"}
    assert {types["triggers"], types["name"], types["is_read_only"]} == {"JSON", "VARCHAR", "BOOLEAN"}


def test_rows_that_are_gone_are_marked_and_come_back(place, box):
    """A mark leaves all other cells as they were."""
    place.sync(box, **ROWS)
    before = {row["_id"]: row for row in place.rows("default__companies")}
    gone = remove(box, 3)
    place.sync(box, **ROWS)
    after = {row["_id"]: row for row in place.rows("default__companies")}
    assert {key for key, row in after.items() if row["_cargo_deleted_at"]} == gone
    ours = {"_cargo_run_id", "_cargo_deleted_at"}
    assert [{k: v for k, v in after[key].items() if k not in ours} for key in sorted(gone)] == [
        {k: v for k, v in before[key].items() if k not in ours} for key in sorted(gone)
    ]
    assert compared(place, box) == []


def test_rows_that_are_gone_are_removed_where_that_can_be(place, box):
    """Files cannot: there it is refused in a line that says what to do instead."""
    place.sync(box, **ROWS)
    gone = remove(box, 3)
    if not place.removes:
        with pytest.raises(BadSettings, match="--deletes soft"):
            place.sync(box, deletes="hard", **ROWS)
        return
    place.sync(box, deletes="hard", **ROWS)
    assert not gone & {row["_id"] for row in place.rows("default__companies")}
    assert compared(place, box) == []


def test_models_grow_and_change_their_types(place, box):
    """A new column is filled in all rows, one of another type has its table made anew, and syncs go on."""
    place.sync(box, **ROWS)
    box.reshape.add_column(COMPANIES, "region", "string", "north")
    place.sync(box, **ROWS)
    assert compared(place, box) == []
    box.reshape.retype_column(COMPANIES, "employeesCount", "string", "\"employeesCount\"::VARCHAR || ' people'")
    place.sync(box, **ROWS)
    assert place.types("default__companies")["employees_count"] == "VARCHAR"
    assert compared(place, box) == []
    box.advance(days=1)
    place.sync(box, **ROWS)
    assert compared(place, box) == []


def test_a_backfill_loads_what_a_sync_loads_however_often(place, box):
    """Windows that follow one another, and are loaded again, give every cell; syncs go on after them."""
    only = ["runs", "executions", "chats", "messages", "usage_metrics", "changes", "change_rows"]
    some = {"only": [*only, "models", "datasets", "columns"], "models": [COMPANIES]}
    source = cargo(box.token, box.url, window=("2025-11-01", None), **some)
    backfill(place.pipeline(), source, step=timedelta(days=60), parallel=2)
    once = contents(place)
    assert compared(place, box, some["only"]) == []
    backfill(place.pipeline(), source, step=timedelta(days=90))
    assert contents(place) == once
    box.advance(days=1)
    place.sync(box, **some)
    assert compared(place, box, some["only"]) == []


def test_names_that_are_too_long_are_made_to_fit(place, box):
    """A model and two columns of more than 63 letters, which PostgreSQL takes, load and go on."""
    long = "with_a_name_that_is_longer_than_the_sixty_three_letters_of_postgres"
    box.reshape.add_model(f"default.model_{long}", [(f"{long}_1", "string"), (f"{long}_2", "number")], rows=30)
    model = next(each for each in box.truth("models") if each["slug"].startswith("model_"))
    for _ in range(2):
        place.sync(box, only=["models", "datasets"], models=[model["uuid"]])
        (table,) = (row["table"] for row in place.rows("models") if row["uuid"] == model["uuid"])
        truth = {row["_id"]: row for row in box.truth_rows(model["uuid"])}
        rows = place.rows(table)
        assert len(rows) == len(truth)
        for row in rows:
            cells = {name: cell for name, cell in row.items() if name.startswith("with_a")}
            assert sorted(cells.values(), key=str) == sorted(
                (truth[row["_id"]][f"{long}_{n}"] for n in (1, 2)), key=str
            )
        box.advance(days=1)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("first", [True, False], ids=["first sync", "later sync"])
def test_a_sync_after_one_that_was_killed_while_it_loaded_is_exact(place, box, point, first):
    """Whatever had been written by then, each row is there once and as it is."""
    only = ["agents", "runs", "executions", "usage_metrics", "change_rows", "segment_members"]
    some = {"only": [*only, "models", "datasets", "columns"], "models": [COMPANIES]}
    if not first:
        place.sync(box, **some)
        box.advance(days=1)
    kill = Kill(point, 0.99, points=POINTS)
    door = Door(box.url, box.token)
    passed = killed(Sync(place, door, some), place.folder, kill, POINTS)
    assert passed[point] == kill.turn
    box.advance(hours=2)
    place.sync(box, **some)
    assert compared(place, box, some["only"]) == []


class Sync:
    """A sync that another process can be given."""

    def __init__(self, place, door, options) -> None:
        self.place, self.door, self.options = place, door, options

    def __call__(self) -> None:
        self.place.sync(self.door, **self.options)


def test_a_file_that_a_killed_load_left_by_half_is_removed_and_no_other(tmp_path):
    """Also of a first load, of which nobody knows any table; files of other loads may be somebody's who is at work."""
    pipeline = InFiles(tmp_path).pipeline()
    folder = tmp_path / "lake" / "cargo" / "agents"
    folder.mkdir(parents=True)
    for name, content in (
        ("17.5.half.parquet", b"PAR1"),
        ("17.5.long.parquet", b"PAR1" + b"x" * 100),
        ("17.5.whole.parquet", b"PAR1" + b"x" * 100 + b"PAR1"),
        ("17.50.other.parquet", b"PAR1"),
    ):
        (folder / name).write_bytes(content)
    remove_halves(pipeline, ["17.5"])
    assert sorted(path.name for path in folder.iterdir()) == ["17.5.whole.parquet", "17.50.other.parquet"]
