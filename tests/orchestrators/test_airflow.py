"""The DAG of pipelines/, run by Airflow itself, which lives in an environment of its own: see the Makefile."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.proxy import proxied
from tests.small import small_box
from tests.target import Target, differences

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"
DAG = ROOT / "pipelines" / "airflow_dag.py"
ROWS = r"^([\d,]+) rows in \d+ tables"
TOO_MUCH = r"it would update or remove [\d,]+ of [\d,]+ rows \(\d.* %\), and max_change_pct is 0\.1"
TWICE = """
WITH few AS (
  SELECT domain, 'qualified' AS stage FROM cargo.default__companies WHERE stage = 'lead' ORDER BY domain LIMIT 2
)
SELECT * FROM few UNION ALL (SELECT * FROM few ORDER BY domain LIMIT 1)
"""
SYNCS = ("sync_workspace", "sync_models", "sync_segments", "sync_work")


class Played:
    """How one run of the DAG ended, and its log."""

    def __init__(self, log):
        self.log = log
        ended = re.search(r"^ENDED (.*)$", log, re.MULTILINE)
        assert ended, log[-8000:]
        told = json.loads(ended[1])
        self.run = told["run"]
        self.states = {task: state for task, (state, _) in told["tasks"].items()}
        self.tries = {task: tries for task, (_, tries) in told["tasks"].items()}
        self.rows = sum(int(rows.replace(",", "")) for rows in re.findall(ROWS, log, re.MULTILINE))


class Home:
    """An Airflow with its DAG, its database and the warehouse that it loads."""

    def __init__(self, folder, box, migrated=None):
        self.folder, self.dags = folder, folder / "dags"
        self.warehouse = Target(folder / "warehouse")
        self.dags.mkdir()
        shutil.copy(DAG, self.dags)
        if migrated:
            shutil.copy(migrated.folder / "airflow.db", folder)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "HOME": str(folder),
            "CARGO_FOLDER": str(self.warehouse.folder),
        }
        if box is not None:
            self.environment |= {"CARGO_API_TOKEN": box.token, "CARGO_API_URL": box.url}

    def call(self, *arguments, timeout=500, **environment):
        """Run Airflow's python."""
        command, found = [str(PYTHON), *map(str, arguments)], {**self.environment, **environment}
        return subprocess.run(command, env=found, cwd=self.folder, capture_output=True, text=True, timeout=timeout)

    def play(self, conf=None, **environment):
        """Run the DAG once."""
        done = self.call(Path(__file__).with_name("play_airflow.py"), self.dags, json.dumps(conf or {}), **environment)
        return Played(done.stdout + done.stderr)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """An Airflow whose database is made."""
    home = Home(tmp_path_factory.mktemp("migrated"), None)
    done = home.call("-m", "airflow", "db", "migrate")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def box():
    """A workspace whose time is the scheduler's."""
    with small_box(7, companies=60, start=datetime.now(UTC)) as own:
        yield own


def qualified(box):
    """How many companies of the workspace are qualified leads."""
    (dataset,) = [row["uuid"] for row in box.truth("datasets") if row["slug"] == "default"]
    (model,) = [r["uuid"] for r in box.truth("models") if (r["slug"], r["datasetUuid"]) == ("companies", dataset)]
    return sum(row["stage"] == "qualified" for row in box.truth_rows(model))


def test_the_workspace_is_synced_and_the_next_run_loads_what_moved_and_pushes(tmp_path, migrated, box):
    """Every table is the workspace's; a push that is too large fails at once with its numbers, a usual one is sent."""
    home, before = Home(tmp_path, box, migrated), qualified(box)
    first = home.play({"max_change_pct": 0.1})
    assert first.states == {**dict.fromkeys(SYNCS, "success"), "push": "failed"}, first.log[-8000:]
    assert first.tries["push"] == 1
    assert re.search(TOO_MUCH, first.log)
    assert qualified(box) == before
    assert differences(home.warehouse, box) == []

    box.advance(days=1)
    second = home.play({"max_change_pct": 60})
    assert second.run == "success", second.log[-8000:]
    assert 0 < second.rows < first.rows / 2
    pushed = int(re.search(r"default\.companies: (\d+) updated", second.log)[1])
    assert qualified(box) >= before + pushed > before
    assert {line.split()[0] for line in differences(home.warehouse, box)} == {"default__companies", "models"}


def test_it_is_read_without_network_and_quickly(tmp_path):
    """The scheduler reads the file again and again: it opens no socket and imports neither dlt nor the connector."""
    code = """
import json, runpy, socket, sys, time
def refused(*_args, **_kwargs):
    raise AssertionError("a socket was used")
from airflow.sdk import CronDataIntervalTimetable, dag, task
@dag(schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"))
def other():
    @task
    def nothing(): pass
    nothing()
other()
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refused
start = time.perf_counter()
found = runpy.run_path(sys.argv[1])
seconds = time.perf_counter() - start
heavy = sorted({"dlt", "duckdb", "cargo_source", "pyarrow"} & set(sys.modules))
print(json.dumps({"seconds": seconds, "heavy": heavy}))
"""
    told = Home(tmp_path, None).call("-c", code, DAG)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["heavy"] == []
    assert found["seconds"] < 1


def test_what_a_retry_mends_is_tried_again_and_what_it_cannot_is_not(tmp_path, migrated, box):
    """Exports that stay short fail their task at the first try, a server that was down costs one; nothing is pushed."""
    box.faults.add(path="segmentation/segments/list", kind="5xx", count=1)
    before = qualified(box)
    try:
        with proxied(box, after=without_files) as odd:
            home = Home(tmp_path, odd, migrated)
            played = home.play(CARGO_WAIT_BUDGET="0")
    finally:
        box.faults.clear()
    assert played.states == {**dict.fromkeys(SYNCS, "success"), "sync_models": "failed", "push": "upstream_failed"}
    assert (played.tries["sync_models"], played.tries["sync_segments"]) == (1, 2), played.log[-8000:]
    assert re.search(r"0 rows of \d+", played.log)
    assert "segments" in home.warehouse.tables()
    assert "default__companies" not in home.warehouse.tables()
    assert qualified(box) == before


def without_files(_method, path, told):
    """An export that says that it is done and lists no file."""
    return {**told, "urls": []} if path == "storage/query/download" else told


def test_rows_that_are_rejected_fail_the_push_after_it_was_applied(tmp_path, migrated, box):
    """The good rows are written, the task fails at once and says how many are not; APPLY = False shows a plan alone."""
    home, before = Home(tmp_path, box, migrated), qualified(box)
    text, changed = re.subn(r"^APPLY = True$", "APPLY = False", DAG.read_text(), flags=re.MULTILINE)
    assert changed == 1
    text, changed = re.subn(r'(?<=^QUALIFIED = """).*?(?=""")', TWICE, text, flags=re.MULTILINE | re.DOTALL)
    assert changed == 1
    (home.dags / DAG.name).write_text(text)
    shown = home.play()
    assert shown.run == "success", shown.log[-8000:]
    assert "updates 1 of " in shown.log
    assert "not applied: the param apply is false" in shown.log
    assert qualified(box) == before
    played = home.play({"apply": True})
    assert played.states == {**dict.fromkeys(SYNCS, "success"), "push": "failed"}, played.log[-8000:]
    assert played.tries["push"] == 1
    assert "the push was applied, and not every row is as it should be: 2 rejected" in played.log
    assert qualified(box) == before + 1
    (table,) = home.warehouse.query("SELECT count(*) FROM cargo._cargo_push_rows WHERE status = 'rejected'")
    assert table == (2,)


def test_an_interval_of_zero_width_fails(tmp_path, migrated, box):
    """With "@daily" each run's interval is empty: that is told at once, instead of loading nothing."""
    home = Home(tmp_path, box, migrated)
    text, changed = re.subn(r"schedule=CronDataIntervalTimetable\(.*\),", 'schedule="@daily",', DAG.read_text())
    assert changed == 1
    (home.dags / DAG.name).write_text(text)
    played = home.play()
    assert played.states["sync_workspace"] == "failed"
    assert played.tries["sync_workspace"] == 1
    assert "is empty, so that nothing would load; in Airflow, schedule='@daily' gives" in played.log
    assert not home.warehouse.database.exists()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def family(pid):
    """A process and all that it has started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def until(seconds, happened):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end
        time.sleep(2)
    return found


def _answers(url):
    with suppress(httpx.TransportError):
        return httpx.get(url).status_code == 200
    return False


@contextmanager
def scheduled(home, **environment):
    """A whole Airflow meanwhile: scheduler, DAG processor and API, each a process of its own."""
    port = str(free_port())
    found = {
        **home.environment,
        "AIRFLOW__API__PORT": port,
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
        **environment,
    }
    with (home.folder / "standalone.log").open("w") as log:
        command = [str(PYTHON), "-m", "airflow", "standalone"]
        process = subprocess.Popen(command, env=found, cwd=home.folder, stdout=log, stderr=log, start_new_session=True)
        try:
            health = f"http://localhost:{port}/api/v2/monitor/health"
            until(180, lambda: _answers(health) and asked(home, "SELECT 1 FROM dag WHERE NOT is_stale"))
            # A task that starts before the API listens fails, and is tried again much later.
            assert home.call("-m", "airflow", "dags", "unpause", "cargo_workspace", **environment).returncode == 0
            yield
        finally:
            whole = family(process.pid)
            for number in (signal.SIGTERM, signal.SIGKILL):
                for pid in whole:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)


def asked(home, sql):
    """Ask Airflow's own database."""
    with closing(sqlite3.connect(f"file:{home.folder / 'airflow.db'}?mode=ro", uri=True, timeout=30)) as db:
        return db.execute(sql).fetchall()


def ended(home, number):
    """So many runs of the DAG, each with the day that it is for, once all have ended; nothing before."""
    runs = asked(home, "SELECT data_interval_start, state FROM dag_run ORDER BY 1")
    return runs if len(runs) >= number and not {state for _, state in runs} & {"running", "queued"} else None


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_scheduler_catches_up_and_the_tables_are_the_workspaces(tmp_path, migrated):
    """Days that were missed, or come again, load as windows; the newest run makes every table whole and pushes."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with small_box(7, companies=60, start=datetime.now(UTC)) as box:
        home = Home(tmp_path, box, migrated)
        times = [datetime.fromisoformat(run["updatedAt"]) for run in box.truth("runs")]

        def moved(days):
            """How many runs moved last on that day."""
            return sum(today - timedelta(days=days) <= at < today - timedelta(days=days - 1) for at in times)

        begins = f"{today - timedelta(days=3):%Y-%m-%d}"
        with scheduled(home, AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT="True", CARGO_START=begins):
            until(900, lambda: ended(home, 3))
            days = ("--from-date", begins, "--to-date", begins, "--reprocess-behavior", "completed")
            made = home.call("-m", "airflow", "backfill", "create", "--dag-id", "cargo_workspace", *days)
            assert made.returncode == 0, made.stderr
            until(60, lambda: asked(home, "SELECT 1 FROM dag_run WHERE run_type = 'backfill'"))
            runs = until(300, lambda: ended(home, 3))
        assert [(start[:10], state) for start, state in runs] == [
            (f"{today - timedelta(days=days):%Y-%m-%d}", "success") for days in (3, 2, 1)
        ]
        query = "SELECT t.state FROM task_instance t JOIN dag_run r USING (run_id) WHERE task_id = 'push' ORDER BY r.id"
        assert [state for (state,) in asked(home, query)] == ["skipped", "skipped", "success"]
        assert {line.split()[0] for line in differences(home.warehouse, box)} <= {"default__companies", "models"}
        loaded = home.warehouse.query("SELECT rows FROM cargo._cargo_syncs WHERE entity = 'runs' ORDER BY started_at")
        assert [rows for (rows,) in loaded] == [moved(3), moved(2), len(times), moved(3)]
