import csv
import gzip
import io
import json

import httpx
import pytest

KINDS = ["added", "updated", "removed", "unchanged"]
ALL = {"conjonction": "and", "groups": []}
SOME = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


def test_rows_of_a_filter_are_paged_sorted_and_counted(box, api, companies):
    """fetchingLimit and fetchingOffset page, limit caps membership, sort takes any columns, count is the total."""
    truth = box.truth_rows(companies["uuid"])
    sort = [{"columnSlug": "industry", "kind": "desc"}, {"columnSlug": "name", "kind": "asc"}]
    sent = {"modelUuid": companies["uuid"], "filter": ALL, "sort": sort, "limit": 50, "fetchingLimit": 20}
    rows = []
    for offset in (0, 20, 40, 60):
        page = api.post("/segmentation/segments/fetch", json={**sent, "fetchingOffset": offset}).json()
        assert (page["count"], page["isRefreshing"]) == (50, False)
        rows += page["records"]
    named = [row for row in truth if row["industry"] is not None]
    named.sort(key=lambda row: (row["name"] is None, row["name"], row["_id"]))
    named.sort(key=lambda row: row["industry"], reverse=True)
    assert rows == named[:50]
    slugs = [column["slug"] for column in page["columns"]]
    assert slugs == list(truth[0])
    assert {column["modelUuid"] for column in page["columns"]} == {companies["uuid"]}


def test_a_page_of_filtered_rows_is_at_most_a_hundred(api, companies):
    """The maximum is not documented; ours is 100, without a word."""
    sent = {"modelUuid": companies["uuid"], "filter": ALL}
    for more in ({}, {"fetchingLimit": 5000}):
        page = api.post("/segmentation/segments/fetch", json={**sent, **more}).json()
        assert len(page["records"]) == 100 < page["count"]


def read_csv(links):
    texts = [gzip.decompress(httpx.get(link).raise_for_status().content).decode() for link in links]
    return [row for text in texts for row in csv.DictReader(io.StringIO(text))]


def test_filtered_rows_are_exported_by_both_documented_paths(box, api, companies):
    """segments/download and the older segments/{uuid}/download give the same csv of all picked rows."""
    condition = {"kind": "boolean", "columnSlug": "isCustomer", "operator": "isTrue"}
    tree = {"conjonction": "and", "groups": [{"conjonction": "and", "conditions": [condition]}]}
    sent = {"modelUuid": companies["uuid"], "filter": tree}
    wanted = [row["_id"] for row in box.truth_rows(companies["uuid"]) if row["isCustomer"]]
    segment = box.truth("segments")[0]["uuid"]
    for path in ("/segmentation/segments/download", f"/segmentation/segments/{segment}/download"):
        answer = api.post(path, json=sent).json()
        assert list(answer) == ["urls"]
        assert [row["_id"] for row in read_csv(answer["urls"])] == wanted
    answer = api.post(f"/segmentation/segments/{SOME}/download", json=sent)
    assert (answer.status_code, answer.json()) == (404, {"errorMessage": "segment not found"})
    answer = api.post("/segmentation/segments/download", json={**sent, "modelUuid": SOME})
    assert (answer.status_code, answer.json()) == (404, {"errorMessage": "model not found"})


def test_changes_give_their_rows_by_kind(box, api):
    """Rows start with _kind, _id, _title, _time; count is the total; counters of the change agree."""
    kinds = set()
    for change in box.truth("changes")[::7]:
        rows = []
        while True:
            sent = {"kinds": KINDS, "limit": 40, "offset": len(rows)}
            page = api.post(f"/segmentation/changes/{change['uuid']}/fetch", json=sent).json()
            if not page["records"]:
                break
            rows += page["records"]
        assert len(rows) == page["count"]
        for kind in KINDS:
            assert sum(row["_kind"] == kind for row in rows) == change[f"{kind}RecordsCount"]
        assert all(list(row)[:4] == ["_kind", "_id", "_title", "_time"] for row in rows)
        assert [column["slug"] for column in page["columns"]][:4] == ["_kind", "_id", "_title", "_time"]
        assert not rows or set(rows[0]) <= {column["slug"] for column in page["columns"]}
        kinds |= {row["_kind"] for row in rows}
    assert kinds == set(KINDS)


def test_changes_are_exported_as_csv(box, api):
    """The same rows, the kinds that were asked for, nested values as JSON text."""
    change = max(box.truth("changes"), key=lambda change: change["removedRecordsCount"] * change["addedRecordsCount"])
    wanted = [
        row
        for row in box.truth("change_rows")
        if row["changeUuid"] == change["uuid"] and row["_kind"] in {"added", "removed"}
    ]
    sent = {"kinds": ["added", "removed"]}
    rows = read_csv(api.post(f"/segmentation/changes/{change['uuid']}/download", json=sent).json()["urls"])
    assert [(row["_kind"], row["_id"]) for row in rows] == [(row["_kind"], row["_id"]) for row in wanted]
    for row, true in zip(rows, wanted, strict=True):
        for name, value in true.items():
            if name != "changeUuid":
                text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
                assert row[name] == text or json.loads(row[name]) == value


@pytest.mark.parametrize("kinds", [None, [], ["gone"], "added"])
def test_changes_need_known_kinds(box, api, kinds):
    """Without kinds, with none or with an unknown one, the request is a 400."""
    change = box.truth("changes")[0]["uuid"]
    for path in ("fetch", "download"):
        sent = {} if kinds is None else {"kinds": kinds}
        assert api.post(f"/segmentation/changes/{change}/{path}", json=sent).status_code == 400


def test_an_unknown_change_is_not_found(api):
    """changeNotFound."""
    for path in ("fetch", "download"):
        answer = api.post(f"/segmentation/changes/{SOME}/{path}", json={"kinds": ["added"]})
        assert (answer.status_code, answer.json()) == (404, {"reason": "changeNotFound"})


def test_rows_are_had_by_ids_and_unknown_ids_are_absent(box, api, companies):
    """segmentation/records/fetch gives what it knows."""
    truth = box.truth_rows(companies["uuid"])
    sent = {"modelUuid": companies["uuid"], "ids": [truth[5]["_id"], "nobody's", truth[2]["_id"]]}
    assert api.post("/segmentation/records/fetch", json=sent).json() == {"records": [truth[2], truth[5]]}
    assert api.post("/segmentation/records/fetch", json={**sent, "ids": []}).json() == {"records": []}
