"""What analysts ask: a warehouse by its file, and frames out of its tables and views."""

import dlt
import pandas as pd
import pytest

from cargo_source import ask, cargo, sync, warehouse
from cargo_source.errors import BadSettings
from tests.forked import run_command


@pytest.fixture(scope="module")
def pipeline(box, tmp_path_factory):
    """A warehouse with agents, their answers and companies."""
    made = warehouse(tmp_path_factory.mktemp("warehouse") / "warehouse.duckdb")
    wanted = cargo(only=["agents", "agent_runs", "votes"], models=["default.companies"], token=box.token, url=box.url)
    sync(made, wanted, views=True)
    return made


def test_tables_and_views_are_asked_alike(box, pipeline):
    """By their bare names; what comes is what the workspace holds."""
    ((agents,),) = ask(pipeline, "SELECT count(*) FROM agents").to_numpy().tolist()
    assert agents == len(box.truth("agents")) > 10
    spent = ask(pipeline, "SELECT sum(credits) AS credits FROM agent_performance_daily").credits[0]
    messages = [each for each in box.truth("messages") if each["type"] == "assistant" and each["usage"]]
    assert spent == sum(each["usage"]["creditsUsedCount"] for each in messages) > 0


def test_numbers_and_moments_have_the_types_that_people_count_with(pipeline):
    """Sums of whole numbers stay whole, nulls stay nulls, decimals are floats, moments are in UTC."""
    frame = ask(
        pipeline,
        "SELECT employees_count, sum(employees_count) AS people, is_customer, CAST(1.25 AS DECIMAL(5, 2)) AS price,"
        " CAST(1 AS UTINYINT) AS small, max(created_at) AS moment, CAST(max(created_at) AS DATE) AS day"
        " FROM default__companies GROUP BY ALL",
    )
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    assert {types[name] for name in ("employees_count", "people", "small")} == {"Int64"}
    assert (types["is_customer"], types["price"]) == ("boolean", "float64")
    assert types["moment"].endswith("UTC]")
    assert types["day"].startswith("datetime64")
    assert frame.employees_count.isna().any()


def test_nothing_found_has_its_columns(pipeline):
    """A frame without rows still says what it would hold."""
    assert list(ask(pipeline, "SELECT uuid, name FROM agents WHERE 1 = 0").columns) == ["uuid", "name"]


def test_what_cannot_be_asked_is_told(pipeline, tmp_path):
    """A table that was never loaded, no SQL at all, and a query that is wrong, in the database's own words."""
    with pytest.raises(BadSettings, match=r"agents does not exist! Sync it first"):
        ask(warehouse(tmp_path / "empty.duckdb"), "FROM agents")
    files = dlt.pipeline("files", destination="dummy", dataset_name="cargo", pipelines_dir=str(tmp_path / "files"))
    with pytest.raises(BadSettings, match="cannot be asked in SQL"):
        ask(files, "SELECT 1")
    with pytest.raises(Exception, match=r"nobody.*not found"):
        ask(pipeline, "SELECT nobody FROM agents")


def test_the_command_and_the_notebook_share_a_warehouse(box, tmp_path):
    """What `cargo-source sync` has loaded is there, and is not loaded again."""
    environment = {"CARGO_API_TOKEN": box.token, "CARGO_API_URL": box.url, "HOME": str(tmp_path)}
    done = run_command(["sync", "--only", "agents"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    shared = warehouse(tmp_path / "warehouse.duckdb")
    assert isinstance(ask(shared, "FROM agents"), pd.DataFrame)
    assert sync(shared, cargo(only=["agents"], token=box.token, url=box.url)).rows == 0
