import csv
import gzip
import io
import json
import random
from datetime import UTC, datetime

import httpx
import pyarrow.parquet as pq
import pytest

from cargo_source.sandbox import exports

SORTS = [(column, kind) for column in ("_id", "_title", "_emitted_at") for kind in ("asc", "desc")]


def pages(api, model, **more):
    rows = []
    while True:
        sent = {"modelUuid": model, "limit": 100, "offset": len(rows), **more}
        answer = api.post("/storage/records/list", json=sent)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["isRefreshing"] is False
        if not page["records"]:
            return rows
        rows += page["records"]


def query(api, text):
    answer = api.post("/storage/query", json={"query": text})
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def refused(api, text):
    answer = api.post("/storage/query", json={"query": text})
    assert (answer.status_code, set(answer.json())) == (400, {"errorMessage"})
    return answer.json()["errorMessage"]


def table_of(box, model):
    return f"`{box.world.tables['datasets'][model['datasetUuid']]['slug']}`.`{model['slug']}`"


def test_pages_of_every_model_hold_its_rows_once(box, api):
    """All rows of each model, in the order of _id, with physical names, ISO dates and nested values."""
    for model in box.truth("models"):
        names = api.get("/storage/columns/list", params={"modelUuid": model["uuid"]}).json()["columns"]
        rows = pages(api, model["uuid"])
        assert rows == box.truth_rows(model["uuid"])
        assert all(list(row) == names for row in rows)
        assert [row["_id"] for row in rows] == sorted(row["_id"] for row in rows)


def test_values_are_on_the_wire_as_documented(box, api):
    """Dates are ISO 8601 in UTC with milliseconds, integers beyond 2^53 stay whole, nested values are JSON."""
    seen = set()
    for model in box.truth("models"):
        types = {each.name: each for each in box.world.columns_of(model["uuid"])}
        for row in pages(api, model["uuid"])[:50]:
            for name, value in row.items():
                kind = types[name].type if value is not None else "null"
                seen.add(kind)
                if kind == "date":
                    assert datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
                    assert len(value) == len("2026-03-02T09:00:00.000Z")
                if types[name].sql_type == "BIGINT" and value is not None:
                    assert isinstance(value, int)
                    seen.add("big" if abs(value) > 2**53 else "small")
                wanted = {"object": dict, "array": list, "vector": list, "boolean": bool, "string": str}.get(kind)
                assert wanted is None or isinstance(value, wanted)
    assert seen >= {"string", "number", "date", "boolean", "object", "array", "vector", "any", "null", "big", "small"}


@pytest.mark.parametrize(("column", "kind"), SORTS)
def test_rows_come_sorted_as_asked(api, companies, column, kind):
    """Each of the three documented sort columns, both ways, over all pages."""
    rows = pages(api, companies["uuid"], sort={"columnSlug": column, "kind": kind})
    values = [row[column] for row in rows]
    assert values == sorted(values, reverse=kind == "desc")
    assert len({row["_id"] for row in rows}) == companies_count(api)


def companies_count(api):
    return query(api, "SELECT count(*) AS n FROM default.companies")[0]["n"]


def test_any_offset_gives_the_same_rows_as_reading_through(api, companies):
    """Pages may be read in any order and size."""
    rows = pages(api, companies["uuid"])
    chance = random.Random(5)
    for _ in range(20):
        start, size = chance.randrange(len(rows) + 5), chance.randint(1, 100)
        sent = {"modelUuid": companies["uuid"], "offset": start, "limit": size}
        assert api.post("/storage/records/list", json=sent).json()["records"] == rows[start : start + size]


def test_a_model_without_emission_times_cannot_be_sorted_by_them(box, api):
    """The one model without _emitted_at refuses that sort with a documented reason."""
    bare = [m for m in box.truth("models") if "_emitted_at" not in {c.name for c in box.world.columns_of(m["uuid"])}]
    assert bare
    sent = {"modelUuid": bare[0]["uuid"], "sort": {"columnSlug": "_emitted_at", "kind": "asc"}}
    answer = api.post("/storage/records/list", json=sent)
    assert (answer.status_code, answer.json()) == (400, {"reason": "failedToFetchRecords"})


def test_one_record_is_had_by_its_id(box, api, companies):
    """records/get gives the row, or recordNotFound, or modelNotFound."""
    row = box.truth_rows(companies["uuid"])[3]
    sent = {"modelUuid": companies["uuid"], "id": row["_id"]}
    assert api.get("/storage/records/get", params=sent).json() == {"record": row, "isRefreshing": False}
    answer = api.get("/storage/records/get", params={**sent, "id": "no' such \0 id"})
    assert (answer.status_code, answer.json()) == (404, {"reason": "recordNotFound"})
    unknown = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
    answer = api.get("/storage/records/get", params={**sent, "modelUuid": unknown})
    assert (answer.status_code, answer.json()) == (404, {"reason": "modelNotFound"})
    assert api.post("/storage/records/list", json={"modelUuid": unknown}).json() == {"reason": "modelNotFound"}


def test_the_ddl_names_the_columns_of_the_table(box, api):
    """BigQuery's dialect, every physical column; a model that has never been synced has no DDL and no table."""
    for model in box.truth("models"):
        answer = api.get(f"/storage/models/{model['uuid']}/ddl")
        if model["lastEmittedAt"] is None:
            assert (answer.status_code, answer.json()) == (400, {"reason": "failedToGetDdl"})
            assert "Not found: Table" in refused(api, f"SELECT * FROM {table_of(box, model)}")
        else:
            assert answer.json()["language"] == "bigQuery"
            names = [column.name for column in box.world.columns_of(model["uuid"])]
            assert all(f"`{name}`" in answer.json()["ddl"] for name in names)


def test_sql_reads_every_model(box, api):
    """SELECT * over <dataset>.<model> gives the rows as records/list does, whatever the slugs look like."""
    for model in box.truth("models"):
        if model["lastEmittedAt"] is not None:
            rows = query(api, f"SELECT * FROM {table_of(box, model)} ORDER BY _id")
            assert rows == box.truth_rows(model["uuid"])


def test_sql_speaks_the_warehouses_dialect(box, api):
    """Backquotes, TIMESTAMP literals, SAFE_CAST, JSON functions, CTEs and unnamed columns work as in BigQuery."""
    rows = box.truth_rows(next(m["uuid"] for m in box.truth("models") if m["slug"] == "companies"))
    middle = sorted(row["_emitted_at"] for row in rows)[len(rows) // 2]
    counted = query(api, f"SELECT COUNT(*) FROM `default.companies` WHERE _emitted_at >= TIMESTAMP '{middle}'")
    assert counted == [{"f0_": sum(row["_emitted_at"] >= middle for row in rows)}]
    text = (
        "WITH some AS (SELECT _id, JSON_VALUE(address, '$.city') AS city FROM `default`.companies) "
        "SELECT city, COUNTIF(_id IS NOT NULL) AS n, SAFE_CAST('x' AS INT64) AS bad FROM some GROUP BY city"
    )
    cities = query(api, text)
    assert sum(row["n"] for row in cities) == len(rows)
    assert {row["bad"] for row in cities} == {None}
    now = query(api, "SELECT CURRENT_TIMESTAMP() AS now, CURRENT_DATE() AS today")
    assert now[0]["now"] == box.world.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert now[0]["today"] == box.world.now.date().isoformat()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT * FROM companies", "must be qualified with a dataset"),
        ("SELECT * FROM default.nothing", "Not found: Table"),
        ("SELECT * FROM nowhere.companies", "Not found: Table"),
        ("SELECT * FROM a.default.companies", "Not found: Table"),
        ("SELECT * FROM default.INFORMATION_SCHEMA.TABLES", "Not found: Table"),
        ("SELECT * FROM information_schema.tables", "qualified|Not found"),
        ("SELECT * FROM read_csv('/etc/hostname')", "function not found"),
        ("SELECT (SELECT max(name) FROM companies) AS m", "must be qualified"),
        ("DELETE FROM default.companies WHERE true", "Only SELECT"),
        ("CREATE TABLE default.x AS SELECT 1 AS a", "Only SELECT"),
        ("SELECT 1 AS a; SELECT 2 AS b", "exactly one"),
        ("", "exactly one"),
        ("SELECT nope FROM default.companies", "nope"),
        ("SELECT _id, _id FROM default.companies", "Duplicate column names"),
        ("SELECT FROM WHERE", ""),
        ("COPY default.companies TO '/tmp/x'", ""),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, ""),
    ],
)
def test_sql_that_the_warehouse_would_refuse_is_refused_with_its_text(api, text, message):
    """A 400 with an errorMessage: unknown or unqualified tables, statements that write, syntax, unknown columns."""
    assert message.split("|")[0] in refused(api, text) or message.split("|")[-1] in refused(api, text)
    assert api.post("/storage/query/download", json={"query": text}).status_code == 400


def test_sql_rows_are_cut_at_ten_thousand_silently(api):
    """The real cap is not documented; ours gives 10,000 rows and says nothing."""
    assert len(query(api, "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 10500)) AS n")) == 10_000


def fetched(links):
    return [httpx.get(link).raise_for_status().content for link in links]


def export(api, text, file_format=None):
    sent = {"query": text} if file_format is None else {"query": text, "format": file_format}
    answer = api.post("/storage/query/download", json=sent)
    assert answer.status_code == 200, answer.text
    assert answer.json()["isRefreshing"] is False
    return answer.json()["urls"]


def test_parquet_exports_hold_the_rows_with_their_types(box, api):
    """Real parquet: times in UTC, 64-bit integers, doubles, booleans, lists, and JSON as text."""
    for model in box.truth("models"):
        truth = box.truth_rows(model["uuid"])
        if not truth:
            continue
        (content,) = fetched(export(api, f"SELECT * FROM {table_of(box, model)} ORDER BY _id", "parquet"))
        assert content[:4] == content[-4:] == b"PAR1"
        table = pq.read_table(io.BytesIO(content))
        wanted = {
            "VARCHAR": "string", "BIGINT": "int64", "DOUBLE": "double", "BOOLEAN": "bool", "JSON": "string",
            "TIMESTAMPTZ": "timestamp[us, tz=UTC]", "DOUBLE[]": "list<element: double>",
        }  # fmt: skip
        columns = {column.name: column.sql_type for column in box.world.columns_of(model["uuid"])}
        assert {f.name: str(f.type) for f in table.schema} == {name: wanted[sql] for name, sql in columns.items()}
        assert [_wire(row, columns) for row in table.to_pylist()] == truth


def _wire(row, columns):
    row = dict(row)
    for name, value in row.items():
        if isinstance(value, datetime):
            row[name] = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        elif value is not None and columns[name] == "JSON":
            row[name] = json.loads(value)
    return row


def test_csv_exports_are_gzipped_and_tell_empty_texts_from_nulls(box, api, companies):
    """The default format; texts are quoted and nulls are not, nested values are JSON text, times are ISO."""
    (content,) = fetched(export(api, "SELECT * FROM default.companies ORDER BY _id"))
    assert content[:2] == b"\x1f\x8b"
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(content).decode())))
    truth = box.truth_rows(companies["uuid"])
    assert len(rows) == len(truth)
    for row, wanted in zip(rows, truth, strict=True):
        assert row["_emitted_at"] == wanted["_emitted_at"]
        assert row["name"] == (wanted["name"] or "")
        assert row["address"] == "" if wanted["address"] is None else json.loads(row["address"]) == wanted["address"]
    (content,) = fetched(export(api, "SELECT '' AS a, CAST(NULL AS STRING) AS b, 'x\"y\nz' AS c"))
    assert gzip.decompress(content).decode() == '"a","b","c"\n"",,"x""y\nz"\n'


def test_large_results_come_in_several_files_and_empty_ones_in_none(api, monkeypatch):
    """Every link holds a part; concatenated in order they are the result."""
    monkeypatch.setattr(exports, "ROWS_PER_FILE", 40)
    for file_format in ("csv", "parquet"):
        links = export(api, "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 100)) AS n ORDER BY n", file_format)
        assert len(links) == 3
        read = {
            "parquet": lambda content: pq.read_table(io.BytesIO(content)).column("n").to_pylist(),
            "csv": lambda content: [int(line) for line in gzip.decompress(content).decode().split()[1:]],
        }[file_format]
        assert [n for content in fetched(links) for n in read(content)] == list(range(1, 101))
        assert export(api, "SELECT _id FROM default.companies WHERE false", file_format) == []


def test_links_open_only_as_they_were_given(own):
    """No Authorization header, no changed signature, id or time: each is refused as an object store does, in XML."""
    link = httpx.URL(export(own.api, "SELECT 1 AS a")[0])
    assert httpx.get(link).status_code == 200
    answer = own.api.get(str(link))
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/xml")
    assert "Only one auth mechanism" in answer.text
    later = link.copy_set_param("expires", str(int(link.params["expires"]) + 900))
    for tampered in (link.copy_set_param("signature", "0" * 64), later, link.copy_with(query=None)):
        answer = httpx.get(tampered)
        assert (answer.status_code, "SignatureDoesNotMatch" in answer.text) == (403, True)
        assert answer.text.startswith("<?xml")
    assert httpx.post(link).status_code == 405


def test_links_expire_with_the_sandboxs_time(own):
    """After fifteen minutes of the sandbox's own time a link is a 403 in XML; a new export has new links."""
    (link,) = export(own.api, "SELECT 1 AS a")
    own.box.advance(minutes=14)
    assert httpx.get(link).status_code == 200
    own.box.advance(minutes=2)
    answer = httpx.get(link)
    assert (answer.status_code, "expired" in answer.text) == (403, True)
    (again,) = export(own.api, "SELECT 1 AS a")
    assert again != link
    assert httpx.get(again).status_code == 200


def test_export_files_are_gone_when_the_sandbox_stops(tmp_path, monkeypatch):
    """Nothing stays on disk."""
    from cargo_source.sandbox import Sandbox
    from tests.sandbox.conftest import client

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Sandbox(seed=1, companies=5) as box, client(box) as api:
        export(api, "SELECT 1 AS a")
        assert list(tmp_path.rglob("*-0"))
    assert list(tmp_path.iterdir()) == []
