"""The ready-made views and the page in other places than DuckDB: they say what they say there."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from cargo_source import cargo, install_views, sync, write_report
from cargo_source.errors import BadSettings
from cargo_source.views import VIEWS
from tests.small import small_box
from tests.warehouses.places import InDuckDb, InFiles, InPostgres


def plain(value):
    """A value as it compares, whatever the driver makes of it."""
    if isinstance(value, Decimal | float):
        return round(float(value), 6)
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value.isoformat() if isinstance(value, date) else value


def shown(pipeline, name):
    """The rows of a view, in some order that does not depend on who gives them."""
    with pipeline.sql_client() as client, client.execute_query(f"SELECT * FROM {name}") as cursor:
        names = [each[0] for each in cursor.description]
        rows = [dict(zip(names, map(plain, row), strict=True)) for row in cursor.fetchall()]
    return sorted(rows, key=repr)


@pytest.mark.postgres
def test_views_and_page_are_those_of_duckdb(server, tmp_path):
    """Each row of each view, and each figure of the page, out of PostgreSQL as out of DuckDB."""
    with small_box(51, companies=40) as box:
        places = [InDuckDb(tmp_path / "duckdb"), InPostgres(tmp_path / "postgres", server.new_database())]
        pipelines = [place.pipeline() for place in places]
        for pipeline in pipelines:
            report = sync(pipeline, cargo(token=box.token, url=box.url), views=True)
            assert [each.status for each in report.views] == ["installed"] * len(VIEWS)
    for view in VIEWS:
        if view.name != "sync_health":
            rows = shown(pipelines[0], view.name)
            assert rows
            assert shown(pipelines[1], view.name) == rows
    # Anew, where they are there already.
    assert [each.status for each in install_views(pipelines[1])] == ["installed"] * len(VIEWS)
    first, second = (write_report(tmp_path / "page.html", pipeline=pipeline).as_json() for pipeline in pipelines)
    for part in ("credits", "agents", "plays", "segments", "failures"):
        assert second[part] == first[part]
    assert second["health"]["tables"] == first["health"]["tables"] == second["health"]["complete"]


def test_files_have_no_views(box, tmp_path):
    """What would be made there is gone with the connection, so it is refused."""
    pipeline = InFiles(tmp_path).pipeline()
    report = sync(pipeline, cargo(only=["segments"], token=box.token, url=box.url), views=True)
    assert report.views == []
    with pytest.raises(BadSettings, match="keeps no views"):
        install_views(pipeline)
