"""The notebook's door: what it shows, what it reads, and that both lanes give the same rows."""

import gc
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from cargo_source import Workspace
from cargo_source.errors import BadSettings, IncompleteRead, PermissionDenied, StopAndLook
from cargo_source.tabular import Grid
from tests.proxy import proxied
from tests.target import column_of, same

TYPES = {pa.string(): "VARCHAR", pa.bool_(): "BOOLEAN", pa.int64(): "BIGINT", pa.float64(): "DOUBLE"}
NO_SQL = (400, {"reason": "clientNotFound", "errorMessage": "no client"})


def no_sql(_method, path, _params):
    return NO_SQL if path.startswith("storage/query") else None


def no_segment_export(_method, path, _params):
    return (404, {"errorMessage": "not found"}) if path.startswith("segmentation") and "download" in path else None


@pytest.fixture(scope="module")
def ws(box):
    with Workspace(box.token, box.url) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def paged(box):
    """The same workspace without SQL and without exports of segments."""
    with (
        proxied(box, before=lambda *asked: no_sql(*asked) or no_segment_export(*asked)) as proxy,
        Workspace(box.token, proxy.url) as workspace,
    ):
        yield workspace


def by_id(table):
    return table.sort_by("_id") if "_id" in table.schema.names else table


# What there is -------------------------------------------------------------------------------------------------------


def test_models_are_listed_with_their_columns(ws, box):
    """Every model of the workspace is there with what the API says of it."""
    truth = {model["uuid"]: model for model in box.truth("models")}
    assert len(ws.models) == len(truth)
    for model in ws.models:
        row = truth[model.uuid]
        assert (model.slug, model.name, model.kind) == (row["slug"], row["name"], row["kind"])
        declared = [*row["columns"], *row["additionalColumns"]]
        assert [(c.slug, c.type, c.label) for c in model.columns] == [
            (c["slug"], c["type"], c["label"]) for c in declared
        ]
        assert [c.kind for c in model.columns if c.kind != "original"] == [c["kind"] for c in row["additionalColumns"]]


def test_models_show_as_tables(ws):
    """A notebook shows aligned text or HTML, and completes names."""
    text = repr(ws.models).splitlines()
    assert text[0].split() == ["dataset", "slug", "name", "kind", "columns", "table"]
    assert len({line.index("default") for line in text if line.startswith("default ")}) == 1
    assert "<td" in ws.models._repr_html_()
    assert "default.companies" in ws.models._ipython_key_completions_()
    assert "employeesCount" in repr(ws.model("default.companies").columns)
    assert "employeesCount" in ws.model("default.companies")._repr_html_()
    assert repr(ws.model("targets")) == "<Model default.targets, 5 columns>"
    assert "targets" in ws.models
    assert len(ws.models[:3]) == 3


def test_segments_of_plays_come_last_and_go_by_their_play(ws, box):
    """Saved ones first; a play's own is found by the play, unless the token may not list plays."""
    plays = {play["segmentUuid"]: play["name"] for play in box.truth("plays")}
    kinds = [cells[1] for cells in (each.cells for each in ws.segments)]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"saved", "play"}
    own = [each for each in ws.segments if each.row["fromPlay"]]
    assert [each.cells[0] for each in own] == sorted((plays[each.uuid] for each in own), key=str.casefold)
    assert "GENERATED" not in repr(ws.segments)
    assert ws.segment("Enrich new accounts") == next(each for each in own if each.play == "Enrich new accounts")
    with Workspace(box.token_without("orchestration"), box.url) as narrow:
        assert len(narrow.segments) == len(ws.segments)
        assert "GENERATED" in repr(narrow.segments)


def test_a_model_is_found_by_any_of_its_names(ws):
    """Slug, dataset and slug, uuid, and the table of a sync."""
    model = ws.model("default.targets")
    for name in ("targets", model.uuid, "default__targets"):
        assert ws.model(name) == model == ws.models[name]


def test_shared_and_unknown_names_are_refused_with_a_way_out(ws):
    """A slug of two datasets asks which, a misspelt one suggests; nothing is guessed."""
    with pytest.raises(BadSettings, match=r"default\.companies, hubspot\.companies"):
        ws.read("companies")
    with pytest.raises(BadSettings, match="did you mean 'targets'"):
        ws.read("targtes")
    with pytest.raises(BadSettings, match="did you mean 'All targets'"):
        ws.segment("All targtes")
    with pytest.raises(BadSettings, match="segments are called 'GENERATED_PLAY_SEGMENT'"):
        ws.segment("GENERATED_PLAY_SEGMENT")


# Rows ----------------------------------------------------------------------------------------------------------------


def test_every_model_reads_as_it_is_and_alike_by_both_lanes(ws, paged, box):
    """Cell by cell the sandbox's truth by export, and the same table by pages; ours stay out of the result."""
    for model in ws.models:
        exported, by_pages = ws.read(model), paged.read(paged.model(model.uuid))
        table = by_id(exported.arrow())
        assert table.equals(by_id(by_pages.arrow())), model
        assert by_pages.lane == "pages"
        assert exported.extras == 0
        assert not [name for name in table.schema.names if name.startswith("_cargo")]
        truth = {row["_id"]: row for row in box.truth_rows(model.uuid)}
        kinds = {
            f.name: TYPES.get(f.type, "TIMESTAMP" if pa.types.is_timestamp(f.type) else "DECIMAL") for f in table.schema
        }
        columns = column_of(kinds, sorted({field for row in truth.values() for field in row}))
        json_columns = {
            c.slug if c.kind == "original" else f"{c.kind}__{c.slug}"
            for c in model.columns
            if c.type in {"object", "array", "vector", "any"}
        }
        assert table.num_rows == len(truth)
        for row in table.to_pylist():
            for field, name in columns.items():
                kind = "JSON" if field in json_columns else kinds[name]
                assert same(row[name], truth[row["_id"]][field], kind), (model, field)
    assert {ws.read(m).lane for m in ws.models} == {None}


WANTED = [
    {"where": "employees_count > 50 and country = 'Sverige'"},
    {"where": "employeesCount > 50 or not is_customer", "columns": ["name", "Employees count", "custom__tier"]},
    {"where": "name like 'A%' and annual_revenue between 1000000 and 90000000", "columns": "_id"},
    {"where": "country in ('日本', 'Sverige') and industry is not null and sequence <> 7"},
    {"where": "not (country = 'Sverige') and stage not in ('lead')"},
    {"where": "address->>'city' = 'Austin' or lower(name) like '%a%'", "columns": ["address", "name"]},
    {"where": "founded_at >= '2015-01-01' and is_customer = true"},
    {"where": "founded_at is null or description = ''"},
    {"where": "growth_rate < 0.5 and growth_rate > -0.25", "limit": 7},
    {"where": "is_customer", "limit": 3, "columns": ["name"]},
    {"where": "metric__contacts_count >= 2 and name ilike '%a%'", "limit": 5},
    {"columns": ["tier", "owner", "signal"]},
    {"limit": 10},
    {"limit": 0},
    {"limit": 1000},
    {"where": "country = 'Côte d''Ivoire' and not (employees_count >= 500 or growth_rate is null)"},
    {"where": "name not like 'A%' and not (name like 'B%')"},
    {"where": "false"},
]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_both_lanes_pick_the_same_rows(ws, paged, wanted):
    """Columns, conditions and limits mean the same whether the warehouse does a part of them or nothing."""
    exported = ws.read("default.companies", **wanted)
    by_pages = paged.read("default.companies", **wanted)
    mine, theirs = exported.arrow(), by_pages.arrow()
    assert (mine.schema, mine.num_rows) == (theirs.schema, theirs.num_rows)
    order = [(name, "ascending") for name in mine.schema.names]
    assert mine.sort_by(order).equals(theirs.sort_by(order))
    whole = ws.read("default.companies").duckdb()
    chosen = whole.filter(re.sub("employeesCount", "employees_count", wanted.get("where", "true")))
    assert len(exported) == min(chosen.count("*").fetchone()[0], wanted.get("limit", 10**9))
    if "limit" in wanted:
        ids = chosen.order("_id").limit(wanted["limit"]).order("name").project("name").fetchall()
        if "name" in mine.schema.names:
            assert sorted(mine.column("name").to_pylist()) == [name for (name,) in ids]


def test_clashing_columns_can_be_told_apart(ws, paged):
    """Slugs that fold to one name are each found by their own spelling."""
    wanted = ["companyName", "company_name", "company-name", "custom__company_name", "select", "score %"]
    for workspace in (ws, paged):
        table = workspace.read("scorecards", columns=wanted, where='"select" = \'from\' and "company-name" > 2').arrow()
        assert table.num_columns == 6
        assert set(table.column(4).to_pylist()) == {"from"}
        assert min(table.column(2).to_pylist()) > 2


def test_the_warehouse_does_what_it_can(box):
    """Columns, the certain part of a condition and the limit are in the SQL; the count is of the same rows."""
    with proxied(box) as proxy, Workspace(box.token, proxy.url) as ws:
        ws.read("targets", columns=["score"], where="score > 10 and label = 'x'", limit=5).arrow()
        ws.read("targets", columns=["score"], where="score > 10 and label ilike 'h%'", limit=5).arrow()
        ws.read("targets").arrow()
        exports = [body["query"] for _, path, body in proxy.asked if path == "storage/query/download"]
        counts = [body["query"] for _, path, body in proxy.asked if path == "storage/query"]
    assert re.search(r" WHERE \(+`score` > 10\)+ AND \(`label` = 'x'\)+ ORDER BY `_id` LIMIT 5$", exports[0]), exports[
        0
    ]
    assert "*" not in exports[0]
    assert exports[1].endswith(" WHERE (`score` > 10)")
    assert exports[2] == "SELECT * FROM default.targets"
    assert [count.partition(" FROM ")[2] for count in counts] == [
        export.partition(" FROM ")[2].partition(" ORDER BY")[0] for export in exports
    ]


def test_a_limit_stops_the_pages(box):
    """A few rows of a list cost a page, with a condition as many as it takes."""
    with proxied(box, before=no_sql) as proxy, Workspace(box.token, proxy.url) as ws:
        assert len(ws.read("usage_daily", limit=20)) == 20
        assert len([path for _, path, _ in proxy.asked if path == "storage/records/list"]) == 1
        proxy.asked.clear()
        assert len(ws.read("usage_daily", limit=0)) == 0
        assert [path for _, path, _ in proxy.asked if path == "storage/records/list"] == []


def test_no_row_is_asked_for_before_a_result_is(box):
    """Making rows, checking names, showing them as text and asking for their schema reads none of them."""
    with proxied(box) as proxy, Workspace(box.token, proxy.url) as ws:
        assert proxy.asked == []
        rows = ws.read("targets", where="score > 1")
        for columns, where in ((["scroe"], None), (None, "scroe > 1"), (None, "score > 'x'"), (None, "score +")):
            with pytest.raises(BadSettings):
                ws.read("targets", columns=columns, where=where)
        assert "not read yet" in repr(rows)
        assert "score" in rows.schema.names
        assert not [path for _, path, _ in proxy.asked if "records" in path or "query" in path]
        first = rows.arrow()
        proxy.asked.clear()
        assert rows.arrow() == first
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("scroe > 1", "did you mean 'score'"),
        ("score > 1; drop table x", "one SQL condition"),
        ("score in (select 1)", "without subqueries"),
        ("exists (from pragma_version())", "no SQL condition|without subqueries"),
        ("count(*) > 1", "aggregates"),
        ("sum(score) over () > 1", "aggregates"),
        ("score > ?", "parameters"),
        ("t.score > 1", "without a table"),
        ("score > 1) or (true", "no SQL condition"),
        ("score", "no condition"),
        ("nonsense(score)", "nonsense"),
        ("score > 'many'", "many"),
        ("score > 1 and priority = 'high'", "high"),
        ("", "one SQL condition"),
    ],
)
def test_conditions_that_are_none_are_refused(ws, where, told):
    """One expression over the columns of a row, and nothing else."""
    with pytest.raises(BadSettings, match=told):
        ws.read("targets", where=where)


def test_a_condition_that_fails_on_a_value_does_not_quote_it(ws):
    """A cast that a row refuses is told without the row."""
    with pytest.raises(BadSettings, match="fails on the value of a row") as refused:
        ws.read("default.companies", where="name::integer > 1").arrow()
    names = ws.read("default.companies", columns="name").arrow().column("name").to_pylist()
    assert not [name for name in names if name in str(refused.value)]


def test_a_warehouse_that_lets_more_pass_does_not_shorten_a_limit(box):
    """Where the warehouse compares otherwise than we do, rows are read until the limit is met."""

    def lax(_method, path, params):
        if not path.startswith("storage/query") or " WHERE " not in params["query"]:
            return None
        query = re.sub(r" WHERE .*?(?= ORDER BY|$)", "", params["query"])
        sent = {"Authorization": f"Bearer {box.token}"}
        found = httpx.post(f"{box.url}/v1/{path}", json={**params, "query": query}, headers=sent)
        return found.status_code, found.json()

    with (
        proxied(box, before=lax) as proxy,
        Workspace(box.token, proxy.url) as lenient,
        Workspace(box.token, box.url) as ws,
    ):
        wanted = {"columns": ["_id", "country"], "where": "country = 'Sverige'", "limit": 4}
        assert lenient.read("default.companies", **wanted).arrow() == ws.read("default.companies", **wanted).arrow()
        assert lenient.read("default.companies", **wanted).arrow().num_rows == 4


def test_an_export_that_is_short_of_its_count_stops(box):
    """A part of a table is held against a count of that part, as a whole one is."""

    def more(_method, path, answer):
        return {**answer, "rows": [{"n": 99}]} if path == "storage/query" else answer

    with proxied(box, after=more) as proxy, Workspace(box.token, proxy.url) as ws, pytest.raises(IncompleteRead):
        ws.read("default.companies", where="employees_count > 100000").arrow()


def test_a_workspace_that_is_still_writing_is_told(box):
    """Rows that may be missing come with a warning, of a model and of a segment."""

    def writing(_method, path, answer):
        return {**answer, "isRefreshing": True} if "isRefreshing" in answer else answer

    with proxied(box, after=writing) as proxy, Workspace(box.token, proxy.url) as ws:
        for what in ("targets", ws.segment("All targets")):
            with pytest.warns(UserWarning, match="still writing"):
                ws.read(what).arrow()


def test_unknown_fields_are_in_the_result_and_told(box):
    """What no column is there for comes in _cargo_extra, with a warning; without any, that column stays away."""

    def strange(_method, path, answer):
        if path == "storage/records/list":
            return {**answer, "records": [{**row, "brandNew": 1} for row in answer["records"]]}
        return answer

    with proxied(box, before=no_sql, after=strange) as proxy, Workspace(box.token, proxy.url) as ws:
        rows = ws.read("targets", limit=3)
        with pytest.warns(UserWarning, match="3 rows hold more"):
            table = rows.arrow()
        assert table.column("_cargo_extra").to_pylist() == ['{"brandNew":1}'] * 3
        assert rows.extras == 3
        assert "_cargo_extra" not in ws.read("targets", columns=["score"], limit=3).arrow().schema.names


# Results -------------------------------------------------------------------------------------------------------------


def test_every_kind_of_result_holds_the_same(ws):
    """Arrow, pandas, polars, DuckDB and batches agree, and integers with nulls stay integers."""
    rows = ws.read("default.companies", columns=["_id", "name", "sequence", "is_customer", "created_at"])
    table = rows.arrow()
    frame, lazy = rows.df(), rows.duckdb()
    assert rows.pl().to_arrow().cast(table.schema).equals(table)
    assert lazy.to_arrow_table().cast(table.schema).equals(table)
    assert pa.Table.from_batches(rows.batches(), rows.schema).equals(table)
    assert str(frame["sequence"].dtype) == "Int64"
    assert frame["name"].tolist()[:5] == table["name"].to_pylist()[:5]
    assert str(frame["is_customer"].dtype) == "boolean"
    assert len(rows) == table.num_rows == len(frame)


def test_integers_keep_their_value_in_pandas(ws):
    """Beyond 2**53, and beside a null, an integer is not rounded."""
    rows = ws.read("default.companies", columns=["sequence"])
    wanted = [value for value in rows.arrow()["sequence"].to_pylist() if value is not None]
    assert max(wanted) > 2**53
    assert [int(value) for value in rows.df()["sequence"].dropna()] == [int(value) for value in wanted]


def test_pandas_and_polars_are_needed_only_when_asked_for(box):
    """Where neither is installed all else works; the lack of one says what to install."""
    code = f"""
import sys
class Missing:
    def find_spec(self, name, *_):
        if name in ("pandas", "polars"):
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
from cargo_source import Workspace
with Workspace({box.token!r}, {box.url!r}) as ws:
    rows = ws.read("targets")
    rows._repr_html_(); list(rows.batches()); rows.duckdb().count("*").fetchall()
    for result in (rows.df, rows.pl):
        try:
            result()
        except Exception as error:
            assert "pip install" in str(error), error
        else:
            raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def files_of(ws):
    return sorted(Path(ws._session.spool.folder).iterdir())


def test_files_are_private_and_go_with_the_rows(box):
    """0600 in a folder of 0700; gone when the rows are, when they are closed, and with the workspace."""
    with Workspace(box.token, box.url) as ws:
        rows = ws.read("targets", where="score > 10")
        assert len(rows) > 0
        folder = ws._session.spool.folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [stat.S_IMODE(path.stat().st_mode) for path in files_of(ws)] == [0o600]
        del rows
        gc.collect()
        assert files_of(ws) == []
        closed = ws.read("targets")
        closed.arrow()
        closed.close()
        assert files_of(ws) == []
        with pytest.raises(BadSettings, match="closed"):
            closed.arrow()
        with pytest.raises(BadSettings):
            ws.read("default.companies", where="name::integer > 1").arrow()
        assert files_of(ws) == []
        late = ws.read("targets")
        relation = ws.read("targets").duckdb()
        gc.collect()
        assert relation.count("*").fetchone()[0] == len(ws.read("targets"))
        kept = ws.read("targets")
        kept.arrow()
    assert not folder.exists()
    for rows in (late, kept):
        with pytest.raises(BadSettings, match="closed"):
            rows.arrow()


def test_refreshing_forgets_what_there_is_and_keeps_rows(box):
    """After refresh() the workspace is asked anew, and rows that were read still are."""
    with proxied(box) as proxy, Workspace(box.token, proxy.url) as ws:
        rows = ws.read("targets")
        table = rows.arrow()
        ws.refresh()
        gc.collect()
        proxy.asked.clear()
        assert "targets" in ws.models
        assert "storage/models/list" in [path for _, path, _ in proxy.asked]
        assert rows.arrow() == table


def test_a_big_model_streams(tmp_path):
    """Rows come in batches from their files: no batch is large, and memory does not hold them all."""
    from cargo_source.sandbox import Sandbox

    with Sandbox(seed=3, companies=30_000) as box, Workspace(box.token, box.url) as ws:
        rows = ws.read("default.companies", where="employees_count >= 0 or employees_count is null")
        seen = 0
        for batch in rows.batches():
            assert batch.num_rows <= 20_000
            seen += batch.num_rows
        assert seen == len(rows) == 30_000
        assert rows.duckdb().aggregate("count(DISTINCT _id)").fetchone()[0] == 30_000


# Segments and changes ------------------------------------------------------------------------------------------------


def test_segments_read_alike_by_both_lanes(ws, paged):
    """Every segment passes the check of its filter and, evaluated, has the rows that the platform counted."""
    for segment in [each for each in ws.segments if each.name != "GENERATED_PLAY_SEGMENT"]:
        exported, by_pages = ws.read(segment), paged.read(paged.segment(segment.uuid))
        assert by_id(exported.arrow()).equals(by_id(by_pages.arrow())), segment
        assert by_pages.lane == "pages"
        assert exported.lane == "csv" or len(exported) == 0
        if segment.records is not None:
            assert len(exported) == segment.records
    top = ws.read(ws.segment("Top hundred by revenue"), columns=["annual_revenue"], where="annual_revenue > 0", limit=5)
    whole = (
        ws.read(ws.segment("Top hundred by revenue"), columns=["annual_revenue"]).arrow()["annual_revenue"].to_pylist()
    )
    assert top.arrow()["annual_revenue"].to_pylist() == [value for value in whole if value > 0][:5]
    for workspace in (ws, paged):
        few = workspace.read(workspace.segment("Top hundred by revenue"), columns=["annual_revenue"], limit=5)
        assert few.arrow()["annual_revenue"].to_pylist() == whole[:5]
        assert len(workspace.read(workspace.segment("All targets"), limit=0)) == 0


def test_changes_read_as_they_are(ws, box):
    """The rows of a change are the sandbox's, typed as their model's, with what happened to each."""
    segment = ws.segment("All targets")
    changes = ws.changes("All targets")
    assert [change.uuid for change in changes] == [
        c["uuid"]
        for c in sorted(
            (c for c in box.truth("changes") if c["segmentUuid"] == segment.uuid),
            key=lambda c: c["createdAt"],
            reverse=True,
        )
    ]
    assert "added" in repr(changes)
    for change in changes:
        truth = {
            (row["_kind"], row["_id"]): row
            for row in box.truth("change_rows")
            if row["changeUuid"] == change.uuid and row["_kind"] != "unchanged"
        }
        table = ws.read(change).arrow()
        assert table.schema.names[:4] == ["_kind", "_id", "_title", "_time"]
        rows = {(row["_kind"], row["_id"]): row for row in table.to_pylist()}
        assert rows.keys() == truth.keys()
        for key, row in rows.items():
            assert (row["_title"], row["score"]) == (truth[key]["_title"], truth[key]["score"])
    added = ws.read(changes[-1], columns=["_id"], where="_kind = 'added'")
    assert len(added) == changes[-1].row["addedRecordsCount"]


def broken(change):
    def after(_method, path, answer):
        if path == "segmentation/segments/list":
            for segment in answer["segments"]:
                if segment["name"] == "All targets":
                    segment["filter"] = change
        return answer

    return after


def condition(**parts):
    return {"conjonction": "and", "groups": [{"conjonction": "and", "conditions": [parts]}]}


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ({"conjunction": "and", "groups": []}, "'conjunction'.*did you mean 'conjonction'"),
        ({"conjonction": "and", "conditions": []}, "'conditions' is not known"),
        ({"conjonction": "and", "groups": [{"conjonction": "and", "conditions": []}]}, "group 1: it has no conditions"),
        (
            condition(kind="number", columnSlug="score", operator="is", values=["secret"]),
            "condition 1: column 'score': it needs 'value'",
        ),
        (condition(kind="string", columnSlug="label", operator="is", value="secret"), "needs 'values'"),
        (
            condition(kind="string", columnSlug="score", operator="is", values=["secret"]),
            "of type number, the condition of kind string",
        ),
        (condition(kind="number", columnSlug="scroe", operator="is", value=1), "'scroe' .did you mean 'score'"),
        (condition(kind="number", columnSlug="score", operator="greaterOrEqual", value=1), "'greaterOrEqual'"),
        (condition(kind="numbr", columnSlug="score", operator="is", value=1), "did you mean 'number'"),
        (condition(kind="number", columnSlug="score", operator="between", firstValue=1), "'lastValue'"),
        (condition(kind="segment", operator="in"), "segmentUuid"),
        (condition(kind="occurrence", relatedModelUuid="x", conditions=[]), "relatedModelUuid"),
    ],
)
def test_filters_that_the_server_would_swallow_are_refused(box, tree, told):
    """What would silently give wrong rows is named by its place; its values are not told, and no row is asked for."""
    with proxied(box, after=broken(tree)) as proxy, Workspace(box.token, proxy.url) as ws:
        with pytest.raises(StopAndLook, match=told) as refused:
            ws.read(ws.segment("All targets")).arrow()
        assert "secret" not in str(refused.value)
        assert not [path for _, path, _ in proxy.asked if "fetch" in path or "download" in path]


def test_a_csv_that_is_cut_is_noticed(box):
    """An export with fewer rows than the server counts stops the read."""

    def counts_more(_method, path, answer):
        return {**answer, "count": answer["count"] + 1} if path == "segmentation/segments/fetch" else answer

    with proxied(box, after=counts_more) as proxy, Workspace(box.token, proxy.url) as ws, pytest.raises(IncompleteRead):
        ws.read(ws.segment("All targets")).arrow()


# Seeing and refusing -------------------------------------------------------------------------------------------------


def test_cells_are_never_markup():
    """HTML in a value is shown, not run; long cells are cut."""
    shown = Grid(["<b>"], [["<script>alert(1)</script>"], ["x" * 500], [None], [7]], "<i>").html()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert "&lt;script&gt;" in shown
    assert "x" * 61 not in shown


def test_numbers_stand_under_their_header():
    """To the right, both; moments are shown to the second."""
    moment = datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=UTC)
    shown = Grid(["name", "rows", "when"], [["a", 7, moment], ["b", None, None]]).html()
    assert shown.count("text-align:right") == 3
    assert '<th style="text-align:right">rows</th>' in shown
    assert ">2026-03-02 09:00:00+00:00<" in shown


def test_rows_show_their_first_ones(box):
    """A notebook shows ten rows, and only those are asked for; afterwards it shows how many there are."""
    with proxied(box) as proxy, Workspace(box.token, proxy.url) as ws:
        rows = ws.read("default.companies", columns=["name"])
        assert rows._repr_html_().count("<tr>") == 11
        (query,) = [body["query"] for _, path, body in proxy.asked if path == "storage/query/download"]
        assert query.endswith("LIMIT 10")
        assert "not read yet" in repr(rows)
        assert len(rows) == 60
        assert "60 rows" in rows._repr_html_()
        assert "60 rows" in repr(rows)


def test_settings_and_permissions_are_told_as_such(box, monkeypatch):
    """Without a token the settings are named; a token that may not read says what to do; a closed door says so."""
    monkeypatch.chdir("/")
    with pytest.raises(BadSettings, match="CARGO_API_TOKEN"):
        Workspace(url=box.url)
    with Workspace(box.token_without("storage"), box.url) as ws, pytest.raises(PermissionDenied, match="permission"):
        ws.read("targets")
    with (
        Workspace(box.token_without("segmentation"), box.url) as ws,
        pytest.raises(PermissionDenied, match="permission"),
    ):
        assert ws.segments
    monkeypatch.setenv("CARGO_API_TOKEN", box.token)
    monkeypatch.setenv("CARGO_API_URL", box.url)
    ws = Workspace()
    assert box.token not in repr(ws)
    ws.close()
    ws.close()
    with pytest.raises(BadSettings, match="closed"):
        assert ws.models
