"""The benchmarks run, in small: figures that nobody takes today have to be there when somebody wants them."""

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "benchmarks"
ROWS = 300


def ran(*command, code=0):
    """Run one of the scripts and give what it printed."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{SCRIPTS}"}
    command = [sys.executable, str(SCRIPTS / command[0]), *map(str, command[1:])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Made-up rows, in all forms."""
    folder = tmp_path_factory.mktemp("cache")
    ran("rows.py", folder, "companies", ROWS, "lines", "parquet", "csv", "delta-parquet")
    return folder


@contextmanager
def serving(cache, *options):
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, str(SCRIPTS / "server.py"), str(cache), *map(str, options)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def post(url, path, body):
    request = urllib.request.Request(url + path, data=json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.long
def test_a_small_race_fills_table_and_chart(tmp_path):
    """Each contender of a race lands what is served, and the table says so, with a verdict for each floor."""
    ran("bench.py", "--only", "limits", "--scale", 0.0006, "--rounds", 1, "--cache", tmp_path / "c", "--out", tmp_path)
    table = (tmp_path / "results.md").read_text()
    assert "failed:" not in table
    landed = [line.split("|")[1:-1] for line in table.splitlines() if f"| {ROWS} |" in line]
    assert len(landed) >= 5
    assert len({cells[-1] for cells in landed}) == 1
    assert "| cargo_source, pages | " in table
    assert "≤ 2.3x" in table
    chart = (tmp_path / "results.svg").read_text()
    assert chart.count("<rect") == 1 + len(landed)


@pytest.mark.long
def test_a_merge_and_nested_runs_are_measured(tmp_path):
    """What is merged equals the newer rows, a quiet sync moves nothing, and runs and executions land as served."""
    ran(
        *("bench.py", "--only", "merge", "runs", "--scale", 0.0003, "--rounds", 1),
        *("--cache", tmp_path / "c", "--out", tmp_path),
    )
    table = (tmp_path / "results.md").read_text()
    assert "failed:" not in table
    assert "| rows that a second sync moves, nothing new | 0 |" in table
    assert "merge of 30 rows onto 300: times as long as a plain insert" in table
    assert "| 900 |" in table


@pytest.mark.long
def test_a_push_is_measured(tmp_path):
    """All rows of a push arrive, many in flight and one, and each of its four figures is there with its floor."""
    ran("bench.py", "--only", "push", "--scale", 0.0005, "--rounds", 1, "--cache", tmp_path / "c", "--out", tmp_path)
    table = (tmp_path / "results.md").read_text()
    assert "failed:" not in table
    lines = [line for line in table.splitlines() if "push" in line or "plan" in line or "in flight" in line]
    assert {floor for line in lines for floor in ("≥ 12x", "≤ 5 s", "≤ 2x", "≤ 1.3x") if f"| {floor} |" in line} == {
        *("≥ 12x", "≤ 5 s", "≤ 2x", "≤ 1.3x")
    }


def test_the_server_takes_writes_and_counts_them(cache):
    """A creation is answered with rows that have identifiers, in another order, and all that was sent is counted."""
    with serving(cache, "--rows", ROWS) as url:
        rows = [{"data": {"domain": f"{n}.example", "employees": n}} for n in range(3)]
        stored = post(url, "/v1/storage/records/createBulk", {"records": rows})["records"]
        with urllib.request.urlopen(url + "/_bench/counts") as answer:
            written = json.load(answer)["written"]
    assert [row["employees"] for row in stored] == [2, 1, 0]
    assert len({row["_id"] for row in stored}) == 3
    assert written == {"create": 3, "update": 0, "remove": 0}


def test_the_server_gives_the_same_rows_by_every_lane(cache):
    """Pages of any offset and length, parquet and csv hold the same rows, in one order."""
    with serving(cache, "--rows", ROWS) as url:
        listed = [
            row
            for offset in range(0, ROWS, 70)
            for row in post(url, "/v1/storage/records/list", {"limit": 70, "offset": offset})["records"]
        ]
        again = post(url, "/v1/storage/records/list", {"limit": 5, "offset": 68})["records"]
        past = post(url, "/v1/storage/records/list", {"limit": 5, "offset": ROWS})["records"]
        (parquet,) = post(
            url, "/v1/storage/query/download", {"query": "SELECT * FROM crm.companies", "format": "parquet"}
        )["urls"]
        everything = {"conjonction": "and", "groups": []}
        (csv,) = post(url, "/v1/segmentation/segments/download", {"filter": everything})["urls"]
        urllib.request.urlretrieve(parquet, cache / "a.parquet")
        urllib.request.urlretrieve(csv, cache / "a.csv")
        counted = post(url, "/v1/storage/query", {"query": "SELECT count(*) AS n FROM crm.companies"})["rows"]
    assert [row["_id"] for row in listed] == sorted(row["_id"] for row in listed)
    assert len(listed) == ROWS
    assert listed[68:73] == again
    assert past == []
    assert counted == [{"n": ROWS}]
    names = "_id, name, employees, revenue, address, tools"
    exported = duckdb.sql(f"SELECT {names} FROM '{cache}/a.parquet' ORDER BY _id").fetchall()
    written = duckdb.sql(f"SELECT {names} FROM read_csv('{cache}/a.csv', quote = '\"') ORDER BY _id").fetchall()
    paged = [
        (row["_id"], row["name"], row["employees"], row["revenue"], compact(row["address"]), compact(row["tools"]))
        for row in listed
    ]
    assert exported == paged
    assert written == paged


def test_a_hidden_limit_refuses_and_counts(cache):
    """A bucket of three allows three at once, and says how many it refused."""
    with serving(cache, "--rows", ROWS, "--rate", 3) as url:
        for _ in range(3):
            post(url, "/v1/storage/records/list", {"limit": 1})
        with pytest.raises(urllib.error.HTTPError, match="429"):
            post(url, "/v1/storage/records/list", {"limit": 1})
        with urllib.request.urlopen(url + "/_bench/counts") as answer:
            counts = json.load(answer)
    assert [allowed for _, allowed, _ in counts["moments"]] == [True, True, True, False]
    assert counts["paths"] == {"/v1/storage/records/list": 4}


def test_the_checksum_sees_one_cell(cache, tmp_path):
    """One other cell, or one row twice in place of another, gives another checksum; order does not matter."""
    truth = json.loads(ran("checksum.py", "--truth", cache / f"companies-{ROWS}", "companies"))
    rows = f"FROM '{cache}/companies-{ROWS}/parquet/*.parquet'"
    variants = {
        "same": f"SELECT * {rows} ORDER BY hash(_id)",
        "cell": f"SELECT * REPLACE (CASE WHEN sequence = 9000007 THEN NULL ELSE city END AS city) {rows}",
        "twice": f"SELECT * {rows} WHERE sequence <> 9000007 UNION ALL SELECT * {rows} WHERE sequence = 9000008",
    }
    found = {}
    for name, query in variants.items():
        with duckdb.connect(tmp_path / f"{name}.duckdb") as db:
            db.execute(f"CREATE SCHEMA cargo; CREATE TABLE cargo.crm__companies AS {query}")
        found[name] = json.loads(ran("checksum.py", tmp_path / f"{name}.duckdb", "companies", "plain"))
    assert found["same"] == truth
    assert {found["cell"]["rows"], found["twice"]["rows"]} == {ROWS}
    assert len({truth["checksum"], found["cell"]["checksum"], found["twice"]["checksum"]}) == 3
