"""The older warehouse calls, which take physical table names, and the query log."""

import csv
import gzip
import io

import httpx
import pytest

CLIENTS = "/systemOfRecordIntegration/clients"


@pytest.fixture(scope="module")
def place(box, api, companies):
    """The table of the companies, as its DDL names it."""
    return api.get(f"/storage/models/{companies['uuid']}/ddl").json()["ddl"].split("`")[1]


def query(api, text, kind="query", **more):
    return api.post(f"{CLIENTS}/{kind}", json={"query": text, **more})


def test_a_table_is_named_as_in_its_ddl(box, api, companies, place):
    """With or without the project, quoted as a whole or by parts, under an alias or under its own name."""
    ids = [row["_id"] for row in box.truth_rows(companies["uuid"])]
    project, dataset, table = place.split(".")
    for text in (
        f"SELECT _id FROM `{place}` ORDER BY _id",
        f"SELECT _id FROM `{project}`.`{dataset}`.`{table}` ORDER BY _id",
        f"SELECT _id FROM `{dataset}.{table}` ORDER BY 1",
        f"SELECT c._id FROM `{place}` AS c ORDER BY c._id",
        f"SELECT `{table}`._id FROM `{place}` ORDER BY 1",
        f"WITH some AS (SELECT * FROM `{place}`) SELECT _id FROM some ORDER BY _id",
        f"SELECT a._id FROM `{place}` AS a JOIN `{place}` AS b ON a._id = b._id ORDER BY 1",
    ):
        answer = query(api, text).json()
        assert list(answer) == ["rows"], answer
        assert [row["_id"] for row in answer["rows"]] == ids


@pytest.mark.parametrize(
    "text",
    [
        "SELECT _id FROM default.companies",
        "SELECT _id FROM companies",
        "SELECT _id FROM `cargo-sandbox.elsewhere.datasets_default__models_companies`",
        "SELECT nothing FROM `{place}`",
        "SELECT 1; SELECT 2",
        "DROP TABLE `{place}`",
        "SELEC",
        "SELECT _id FROM attic.main.companies",
        "SELECT * FROM duckdb_tables()",
        "SELECT CAST('x' AS INT64)",
    ],
)
def test_a_query_that_fails_is_notqueried_with_200(api, place, text):
    """clients/query says so in `outcome`, with the warehouse's text; fetch and download, which have none, refuse."""
    text = text.replace("{place}", place)
    answer = query(api, text)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "notQueried")
    assert set(answer.json()) == {"outcome", "errorMessage"}
    for kind in ("fetch", "download"):
        refused = query(api, text, kind)
        assert (refused.status_code, set(refused.json())) == (400, {"errorMessage"})


def test_pages_of_a_query_are_fetched(box, api, companies, place):
    """fetch gives a hundred rows at most, from an offset, and how many there are."""
    ids = [row["_id"] for row in box.truth_rows(companies["uuid"])]
    text = f"SELECT _id FROM `{place}` ORDER BY _id"
    assert [row["_id"] for row in query(api, text, "fetch").json()["records"]] == ids[:100]
    page = query(api, text, "fetch", limit=7, offset=110).json()
    assert ([row["_id"] for row in page["records"]], page["count"]) == (ids[110:117], len(ids))
    assert query(api, text, "fetch", offset=1000).json() == {"records": [], "count": len(ids)}


def test_a_query_is_exported_as_csv(box, api, companies, place):
    """download gives links to gzipped csv, which are fetched without the token."""
    (url,) = query(api, f"SELECT _id, name FROM `{place}` ORDER BY _id", "download").json()["urls"]
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(httpx.get(url).content).decode())))
    assert rows == [{"_id": row["_id"], "name": row["name"]} for row in box.truth_rows(companies["uuid"])]


def test_reading_leaves_no_trace_in_the_log(box, api, place):
    """The log holds what the platform asked, so that two reads of it agree."""
    before = box.truth("warehouse_queries")
    query(api, f"SELECT count(*) AS n FROM `{place}`")
    assert box.truth("warehouse_queries") == before


def test_logged_queries_run_as_the_log_says(box, api):
    """A query that is logged as a success runs again, and one that is logged as an error fails again."""
    logs = box.truth("warehouse_queries")
    wrong = [log for log in logs if log["status"] == "error"]
    for log in (*wrong[:8], *[log for log in logs if log["status"] == "success"][:25]):
        assert ("outcome" in query(api, log["query"]).json()) == (log["status"] == "error"), log["query"]
        assert (log["errorMessage"] is None) == (log["status"] == "success")


def test_the_log_is_filtered_by_status_and_text(box, api):
    """statuses[] and query give the entries that pass and no others."""
    logs = box.truth("warehouse_queries")
    path = "/systemOfRecordIntegration/logs/list"
    found = api.get(path, params={"statuses[]": "error"}).json()["logs"]
    assert {log["uuid"] for log in found} == {log["uuid"] for log in logs if log["status"] == "error"}
    text = logs[0]["query"][8:40].upper()
    found = api.get(path, params={"query": text, "limit": 100}).json()["logs"]
    wanted = [log for log in logs if text.lower() in log["query"].lower()]
    assert len(found) == min(100, len(wanted)) > 0
