"""orchestration/query: ClickHouse's SQL over runs, batches, spans and records, with its caps and its refusals."""

import re
from collections import Counter

import pytest

from cargo_source.sandbox import Sandbox
from cargo_source.sandbox.clickhouse import Caps
from cargo_source.sandbox.runtime_tables import TABLES
from tests.sandbox.conftest import client

CONFIRMED = {
    "runs": {
        "uuid", "workspace_uuid", "workflow_uuid", "release_uuid", "batch_uuid", "record_id", "record_title", "status",
        "created_at", "updated_at", "finished_at", "credits_used_count", "executions",
    },
    "batches": {"workflow_uuid", "status", "runs_count", "failed_runs_count", "credits_used_count", "created_at"},
    "spans": {
        "run_uuid", "workflow_uuid", "node_slug", "node_kind", "execution_status", "execution_started_at",
        "execution_finished_at", "execution_credits_used_count",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def wide():
    """A sandbox that knows every presumed column."""
    with Sandbox(seed=3, companies=20, sql_columns="all") as box, client(box) as api:
        yield box, api


def asked(api, text):
    answer = api.post("/orchestration/query", json={"query": text})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["rows"]
    return answer.json()["rows"]


def refused(api, text):
    answer = api.post("/orchestration/query", json={"query": text})
    assert (answer.status_code, list(answer.json())) == (400, ["errorMessage"])
    return answer.json()["errorMessage"]


def code(api, text):
    return int(re.match(r"Code: (\d+)\. DB::Exception: .*\([A-Z_]+\)$", refused(api, text), re.DOTALL)[1])


def plain(moment):
    """A time as ClickHouse writes it."""
    return moment and moment.replace("T", " ").removesuffix("Z")


def test_runs_are_read_with_their_credits(box, api):
    """Every run of the workspace, whatever its workflow: confirmed columns, times without zone, and credits."""
    names = sorted(CONFIRMED["runs"] - {"executions"})
    found = {row["uuid"]: row for row in asked(api, f"SELECT {', '.join(names)} FROM runs")}
    truth = box.truth("runs")
    assert found.keys() == {run["uuid"] for run in truth}
    for run in truth:
        row = found[run["uuid"]]
        assert row["credits_used_count"] == sum(each["creditsUsedCount"] for each in run["executions"])
        for name, field in (("created_at", "createdAt"), ("finished_at", "finishedAt"), ("updated_at", "updatedAt")):
            assert row[name] == plain(run[field])
        for name, field in (("batch_uuid", "batchUuid"), ("status", "status"), ("record_id", "recordId")):
            assert row[name] == run[field]


@pytest.mark.parametrize("table", ["batches", "spans"])
def test_only_confirmed_columns_exist(box, api, table):
    """A star gives the columns that are known for sure, and no others."""
    rows = asked(api, f"SELECT * FROM {table}")
    assert len(rows) == len(box.truth(table))
    assert set(rows[0]) == CONFIRMED[table]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT error_message FROM runs",
        "SELECT r.trace_uuid FROM runs AS r",
        "SELECT uuid FROM batches",
        "SELECT node_uuid FROM spans",
        "SELECT id FROM records",
        "SELECT * FROM records",
        "SELECT UUID FROM runs",
        "SELECT count() FROM runs WHERE finished = 1",
    ],
)
def test_what_is_only_presumed_is_an_unknown_identifier(api, text):
    """A column that nobody has confirmed is refused as ClickHouse would, and so is another case of a known one."""
    assert code(api, text) == 47


def test_records_can_only_be_counted(box, api):
    """No column of records is confirmed, so a count is all there is."""
    assert asked(api, "SELECT count() AS n FROM records") == [{"n": len(box.truth("orchestration_records"))}]


def test_all_presumed_columns_are_there_when_asked_for(wide):
    """With every column: the API's fields in snake_case, nested values as JSON text, equal to the truth."""
    box, api = wide
    for table in ("batches", "spans", "records"):
        rows = asked(api, f"SELECT * FROM {table}")
        truth = box.truth(TABLES[table].entity)
        assert len(rows) == len(truth)
        wanted = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field).lower() for row in truth for field in row}
        assert set(rows[0]) == wanted
    (row,) = asked(api, "SELECT data, nodes FROM batches WHERE nodes IS NOT NULL LIMIT 1")
    assert row["data"].startswith('{"kind":')
    assert row["nodes"].startswith('[{"uuid":')


@pytest.mark.parametrize(
    "text", ["SELECT * FROM runs", "SELECT r.* FROM runs r", "SELECT count() FROM (SELECT * FROM runs)"]
)
def test_a_star_over_runs_reads_too_many_columns(api, wide, text):
    """runs has 51 columns and 50 may be read, whichever columns are known."""
    for asker in (api, wide[1]):
        assert "Requested: 51, maximum: 50" in refused(asker, text)
        assert code(asker, text) == 161


def test_questions_in_clickhouses_dialect_are_answered(box, api):
    """Conditional aggregates, starts of days, joins, CTEs, keyset pages and unnamed columns work as they should."""
    runs, spans = box.truth("runs"), box.truth("spans")
    rows = asked(api, "SELECT status, count() AS n, countIf(batch_uuid IS NULL) AS alone FROM runs GROUP BY status")
    assert {row["status"]: row["n"] for row in rows} == Counter(run["status"] for run in runs)
    assert sum(row["alone"] for row in rows) == sum(run["batchUuid"] is None for run in runs)
    days = asked(api, "SELECT toStartOfDay(created_at) AS day, uniq(record_id) FROM runs GROUP BY day ORDER BY day")
    assert [row["day"] for row in days] == sorted({f"{run['createdAt'][:10]} 00:00:00" for run in runs})
    assert sum(row["uniq(record_id)"] for row in days) >= len({run["recordId"] for run in runs})
    errors = "WITH e AS (SELECT uuid FROM runs WHERE status = 'error')"
    joined = f"{errors} SELECT count() FROM spans s JOIN e ON e.uuid = s.run_uuid"
    failed = {run["uuid"] for run in runs if run["status"] == "error"}
    assert asked(api, joined) == [{"count()": sum(span["runUuid"] in failed for span in spans)}]
    ordered = sorted((plain(run["updatedAt"]), run["uuid"]) for run in runs)
    for operator, wanted in ((">", ordered[41]), (">=", ordered[40])):
        after = f"(updated_at, uuid) {operator} ('{ordered[40][0]}', '{ordered[40][1]}')"
        (row,) = asked(api, f"SELECT uuid FROM runs WHERE {after} ORDER BY updated_at, uuid LIMIT 1")
        assert row["uuid"] == wanted[1]
    middle = ordered[len(ordered) // 2][0]
    for bound in (f"'{middle}'", f"toDateTime64('{middle}', 3, 'UTC')"):
        (row,) = asked(api, f"SELECT count() AS n FROM runs WHERE updated_at >= {bound}")
        assert row["n"] == sum(moment >= middle for moment, _ in ordered)


def test_the_time_is_the_sandboxs(box, api):
    """now and today are those of the workspace, never of this machine."""
    (row,) = asked(api, "SELECT now() AS now, today() AS today, yesterday() AS before, now() - INTERVAL 1 HOUR AS hour")
    assert row["now"] == f"{box.world.now:%Y-%m-%d %H:%M:%S}"
    assert row["today"] == f"{box.world.now:%Y-%m-%d}"
    assert row["before"] < row["today"]
    assert row["hour"].startswith(f"{box.world.now:%Y-%m-%d} 08:00:00")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("INSERT INTO runs VALUES (1)", 497),
        ("DROP TABLE runs", 497),
        ("CREATE TABLE x AS SELECT 1", 497),
        ("SHOW TABLES", 497),
        ("DESCRIBE runs", 497),
        ("SET max_threads = 1", 497),
        ("SELECT name FROM system.tables", 497),
        ("SELECT * FROM information_schema.tables", 497),
        ("SELECT * FROM numbers(10)", 497),
        ("SELECT * FROM url('http://127.0.0.1/', CSV, 'a String')", 497),
        ("SELECT * FROM read_csv('/etc/hostname')", 497),
        ("SELECT dictGet('d', 'a', 1)", 497),
        ("SELECT hostName()", 497),
        ("SELECT version()", 497),
        ("SELECT current_setting('memory_limit')", 497),
        ("SELECT uuid FROM runs SETTINGS use_query_cache = 1", 497),
        ("SELECT uuid FROM runs SETTINGS max_threads = 8", 164),
        ("SELECT uuid FROM default.runs", 81),
        ("SELECT uuid FROM held.runs", 81),
        ("SELECT uuid FROM companies", 60),
        ("SELECT 1; SELECT 2", 62),
        ("", 62),
        ("SELECT FROM WHERE", 62),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, 62),
        ("SELECT nothing(uuid) FROM runs", 46),
        ("SELECT uuid, count() AS n FROM runs GROUP BY status", 215),
        ("SELECT uuid AS a, status AS a FROM runs", 179),
        ("SELECT uuid FROM runs PREWHERE status = 'x'", 48),
    ],
)
def test_what_may_not_be_asked_is_refused_with_its_code(api, text, wanted):
    """Writes, introspection, table functions, dictionaries, the cache, unknown names and bad grammar: a 400, a code."""
    assert code(api, text) == wanted


def test_subqueries_nest_five_deep_and_no_deeper(api):
    """The sixth subquery is one too many."""

    def nested(depth):
        return "SELECT uuid FROM runs" if not depth else f"SELECT uuid FROM ({nested(depth - 1)})"

    assert asked(api, nested(5))
    assert code(api, nested(6)) == 162


def test_a_result_is_cut_at_ten_thousand_rows_silently(api):
    """Exactly 10,000 rows come back where there are more, and nothing says so."""
    assert len(asked(api, "SELECT a.uuid FROM runs a, batches b WHERE a.status = 'success'")) == 10_000


def test_what_reads_too_much_or_takes_too_long_is_stopped(own):
    """Past the rows that may be read, or the seconds that a query may take, the database stops it with its code."""
    asker = own.box._desk.store.runtime
    try:
        asker.caps = Caps(rows_read=100)
        assert code(own.api, "SELECT count() FROM runs") == 158
        asker.caps = Caps(seconds=0.05)
        assert (
            code(own.api, "SELECT sum(length(a.executions || b.executions || c.uuid)) FROM runs a, runs b, runs c")
            == 159
        )
    finally:
        asker.caps = Caps()
    assert asked(own.api, "SELECT count() AS n FROM runs")


def test_the_tables_follow_the_workspace(own):
    """What time brings is in the next query."""
    before = asked(own.api, "SELECT count() AS n FROM spans")[0]["n"]
    own.box.advance(days=1)
    assert asked(own.api, "SELECT count() AS n FROM spans")[0]["n"] == len(own.box.truth("spans")) > before


def test_young_rows_are_not_seen_yet():
    """With a lag, rows that moved less than that ago are missing, and turn up when the time has passed."""
    with Sandbox(seed=3, companies=20, sql_lag=3600) as box, client(box) as api:
        box.advance(hours=6)
        for table, field in (("runs", "updatedAt"), ("spans", "executionUpdatedAt"), ("batches", "updatedAt")):
            edge = box.world.now.timestamp() - 3600
            limit = f"{box.world.now.fromtimestamp(edge, box.world.now.tzinfo):%Y-%m-%dT%H:%M:%S}"
            old = sum(row[field][:19] < limit for row in box.truth(table))
            assert asked(api, f"SELECT count() AS n FROM {table}")[0]["n"] == old < len(box.truth(table))
        box.world.tick(3_600_000)
        assert asked(api, "SELECT count() AS n FROM runs")[0]["n"] == len(box.truth("runs"))


def test_a_query_needs_the_permission_of_its_group(box):
    """A token that may not read orchestration may not ask."""
    with client(box, box.token_without("orchestration")) as api:
        assert api.post("/orchestration/query", json={"query": "SELECT count() FROM runs"}).status_code == 403
