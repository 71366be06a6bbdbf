"""The ready-made views: their numbers are those of the workspace itself, counted here without the connector."""

import html
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from statistics import mean, median

import duckdb
import pytest
import sqlglot

from cargo_source import cargo, install_views, sync
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.pull.outcome import Outcome
from cargo_source.views import VIEWS
from tests.small import small_box

NAMES = [view.name for view in VIEWS]
OF_ITSELF = {"native", "connector"}
"""Nodes that spend credits of their own; a tool's and an agent's are spent by what they lead to."""


@pytest.fixture(scope="module")
def world():
    """A workspace with two days since its first sync."""
    with small_box(31, companies=60) as box:
        yield box


@pytest.fixture(scope="module")
def pipeline(world, tmp_path_factory):
    """What was loaded from it, in two syncs, with the views."""
    folder = tmp_path_factory.mktemp("views")
    made = duckdb_pipeline(folder / "warehouse.duckdb", "cargo", folder / "state")
    where = {"token": world.token, "url": world.url}
    sync(made, cargo(**where))
    world.advance(days=2)
    report = sync(made, cargo(**where), views=True)
    assert [each.status for each in report.views] == ["installed"] * len(VIEWS)
    return made


def shown(pipeline, query):
    """The rows of a query as dicts."""
    with pipeline.sql_client() as client, client.execute_query(query) as cursor:
        names = [each[0] for each in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def day(moment):
    return moment[:10]


def test_agents_do_as_the_workspace_says(world, pipeline):
    """Answers, successes, credits, seconds, scores and votes of each agent and day."""
    names = {agent["uuid"]: agent["name"] for agent in world.truth("agents")}
    votes = defaultdict(Counter)
    for vote in world.truth("votes"):
        votes[vote["messageUuid"]][vote["isUpvoted"]] += 1
    answers = defaultdict(list)
    for message in world.truth("messages"):
        if message["type"] == "assistant":
            answers[day(message["createdAt"]), message["agentUuid"]].append(message)
    found = {(str(row["day"]), row["agent_uuid"]): row for row in shown(pipeline, "FROM agent_performance_daily")}
    assert found.keys() == answers.keys()
    for key, messages in answers.items():
        row, states = found[key], Counter(message["status"] for message in messages)
        assert row["agent"] == names.get(key[1])
        assert (row["answers"], row["successes"], row["errors"]) == (len(messages), states["success"], states["error"])
        ended = states["success"] + states["error"] + states["cancelled"]
        assert row["success_rate"] == (states["success"] / ended if ended else None)
        used = [message["usage"]["creditsUsedCount"] for message in messages if message["usage"]]
        assert row["credits"] == sum(used)
        assert row["credits_per_success"] == (
            pytest.approx(sum(used) / states["success"]) if used and states["success"] else None
        )
        scores = [message["evaluation"]["score"] for message in messages if message["evaluation"]]
        assert row["mean_score"] == (pytest.approx(mean(scores)) if scores else None)
        assert row["evaluations"] == len(scores)
        cast = sum((votes[message["uuid"]] for message in messages), Counter())
        assert (row["upvotes"], row["downvotes"]) == (cast[True], cast[False])
    assert sum(row["upvotes"] + row["downvotes"] for row in found.values()) > 5
    query = "SELECT agent_uuid, day, median_seconds FROM agent_performance_daily WHERE answers > 2"
    for row in shown(pipeline, query):
        seconds = [
            each["duration_seconds"]
            for each in shown(pipeline, "SELECT agent_uuid, created_at, duration_seconds FROM agent_runs")
            if each["agent_uuid"] == row["agent_uuid"]
            and each["created_at"].date() == row["day"]
            and each["duration_seconds"] is not None
        ]
        assert row["median_seconds"] == pytest.approx(median(seconds))


def spent(world):
    """Credits of providers and executions by day, kind and name, from runs and messages themselves."""
    plays = {play["workflowUuid"]: ("play", play["uuid"]) for play in world.truth("plays")}
    tools = {tool["workflowUuid"]: ("tool", tool["uuid"]) for tool in world.truth("tools")}
    found = defaultdict(lambda: [0.0, 0])
    for run in world.truth("runs"):
        who = (plays | tools)[run["workflowUuid"]]
        for each in run["executions"]:
            if each["finishedAt"] is not None:
                place = found[day(each["finishedAt"]), *who]
                place[0] += each["creditsUsedCount"] if each["nodeKind"] in OF_ITSELF else 0
                place[1] += 1
    for message in world.truth("messages"):
        if message["usage"]:
            found[day(message["finishedAt"]), "agent", message["agentUuid"]][0] += message["usage"]["creditsUsedCount"]
    return found


def test_credits_are_spent_once_and_executions_cost_a_hundredth(world, pipeline):
    """Each credit is somebody's, none is two's; in sum they are what billing counts, day by day."""
    truth = spent(world)
    rows = shown(pipeline, "FROM credit_spend_daily")
    found = {(str(row["day"]), row["kind"], row["uuid"]): row for row in rows}
    assert found.keys() == truth.keys()
    assert {kind for _, kind, _ in found} == {"play", "tool", "agent"}
    for key, (used, executions) in truth.items():
        assert (found[key]["provider_credits"], found[key]["executions"]) == (used, executions)
        assert float(found[key]["credits"]) == pytest.approx(used + executions / 100)
    billed = defaultdict(float)
    for metric in world.truth("usage_metrics"):
        if metric["dimension"] == "none" and metric["unit"] != "storage.records":
            billed[day(metric["date"])] += metric["count"] / (100 if "executions" in metric["unit"] else 1)
    days = defaultdict(float)
    for row in rows:
        days[str(row["day"])] += float(row["credits"])
    # The API keeps usage of some months; the sandbox's own has every day.
    assert {each: round(used, 6) for each, used in days.items()} == {
        each: round(used, 6) for each, used in billed.items()
    }


def test_the_credits_of_traces_are_counted_with_no_message(world, pipeline):
    """A chat has one trace and many answers: its trace's credits are in no view a second time."""
    used = sum(message["usage"]["creditsUsedCount"] for message in world.truth("messages") if message["usage"])
    ((all_of,),) = [tuple(row.values()) for row in shown(pipeline, "SELECT sum(credits) FROM agent_performance_daily")]
    assert all_of == used
    assert sum(trace["creditsUsedCount"] for trace in world.truth("traces")) > 0


def test_plays_run_as_often_as_the_workspace_says(world, pipeline):
    """From records that moved to runs that succeeded."""
    changes = defaultdict(Counter)
    for change in world.truth("changes"):
        changes[change["segmentUuid"]].update(
            entered=change["addedRecordsCount"],
            updated=change["updatedRecordsCount"],
            departed=change["removedRecordsCount"],
        )
    runs = defaultdict(list)
    for run in world.truth("runs"):
        runs[run["workflowUuid"]].append(run)
    found = {row["play_uuid"]: row for row in shown(pipeline, "FROM play_funnel")}
    assert found.keys() == {play["uuid"] for play in world.truth("plays")}
    for play in world.truth("plays"):
        row, mine = found[play["uuid"]], runs[play["workflowUuid"]]
        states = Counter(run["status"] for run in mine)
        assert (row["play"], row["is_enabled"]) == (play["name"], play["isEnabled"])
        moved = changes[play["segmentUuid"]]
        assert [row[name] for name in ("entered", "updated", "departed")] == [
            moved[name] for name in ("entered", "updated", "departed")
        ]
        assert (row["runs"], row["succeeded"], row["failed"]) == (len(mine), states["success"], states["error"])
        assert row["other"] == len(mine) - states["success"] - states["error"]
        assert row["records_run"] == len({run["recordId"] for run in mine if run["recordId"] is not None})
        used = sum(
            0.01 + (each["creditsUsedCount"] if each["nodeKind"] in OF_ITSELF else 0)
            for run in mine
            for each in run["executions"]
            if each["finishedAt"] is not None
        )
        assert float(row["credits"]) == pytest.approx(used)


def test_views_are_told_in_short_and_in_full(pipeline):
    """As text a line for each, in a notebook with all of what it shows; none with its SQL."""
    made = install_views(pipeline)
    assert repr(made).splitlines() == [f"{name}: installed" for name in NAMES]
    shown = made._repr_html_()
    assert all(html.escape(view.description) in shown for view in VIEWS)
    assert "SELECT" not in repr(made) + shown


def test_a_sync_is_told_in_a_line_that_opens(world, pipeline):
    """Dozens of tables are folded under what it did, unless one has something to say."""
    report = sync(pipeline, cargo(only=["users"], token=world.token, url=world.url))
    report.outcomes = [Outcome("agents", "agents", rows=7)]
    assert report._repr_html_().startswith("<details><summary><b>7 rows in 1 tables")
    report.outcomes[0].note = "look at this"
    assert report._repr_html_().startswith("<details open>")
    report.outcomes = []
    assert report._repr_html_().startswith("<p><b>0 rows")


def test_segments_flow_as_their_changes_say(world, pipeline):
    """What entered, left and changed on each day, and who is inside after the last evaluation of it."""
    plays = {play["segmentUuid"]: play["name"] for play in world.truth("plays")}
    segments = {segment["uuid"]: segment for segment in world.truth("segments")}
    days = defaultdict(list)
    for change in world.truth("changes"):
        days[day(change["createdAt"]), change["segmentUuid"]].append(change)
    found = {(str(row["day"]), row["segment_uuid"]): row for row in shown(pipeline, "FROM segment_flow_daily")}
    assert found.keys() == days.keys()
    for key, several in days.items():
        row, segment = found[key], segments[key[1]]
        assert row["segment"] == (plays.get(key[1]) if segment["fromPlay"] else segment["name"])
        assert row["entered"] == sum(change["addedRecordsCount"] for change in several)
        assert row["departed"] == sum(change["removedRecordsCount"] for change in several)
        assert row["updated"] == sum(change["updatedRecordsCount"] for change in several)
        assert row["evaluations"] == len(several)
        last = max(change["createdAt"] for change in several)
        # The total of a change counts those that it found gone as well.
        inside = ("added", "updated", "unchanged")
        assert row["members"] in {
            sum(each[f"{kind}RecordsCount"] for kind in inside) for each in several if each["createdAt"] == last
        }


def test_each_run_that_failed_is_told_with_its_node(world, pipeline):
    """Once each, with the node at which it stopped and that one's reason."""
    failed = {run["uuid"]: run for run in world.truth("runs") if run["status"] == "error"}
    rows = shown(pipeline, "FROM run_failures")
    assert sorted(row["run_uuid"] for row in rows) == sorted(failed)
    assert len(rows) > 5
    for row in rows:
        run = failed[row["run_uuid"]]
        wrong = [each for each in run["executions"] if each["status"] == "error"]
        assert row["record_id"] == run["recordId"]
        if wrong:
            assert (row["node_slug"], row["error_message"]) == (wrong[-1]["nodeSlug"], wrong[-1]["errorMessage"])
        else:
            assert (row["node_slug"], row["error_message"]) == (None, run["errorMessage"])


def test_health_tells_the_last_sync_of_each_table(world, pipeline):
    """What failed shows, and since when nothing was complete."""
    world.faults.add(path="orchestration/plays/list", kind="forbidden")
    with pytest.raises(Exception, match="plays/list"):
        sync(pipeline, cargo(only=["plays"], token=world.token, url=world.url))
    world.faults.clear()
    rows = {row["table"]: row for row in shown(pipeline, "FROM sync_health")}
    assert rows["plays"]["last_status"] == "failed"
    assert rows["plays"]["last_complete_at"] < rows["plays"]["last_sync_at"]
    assert (rows["plays"]["syncs"], rows["plays"]["failed"]) == (3, 1)
    assert (rows["agents"]["last_status"], rows["agents"]["syncs"], rows["agents"]["failed"]) == ("complete", 2, 0)
    ((rows_of_agents,),) = [
        tuple(row.values())
        for row in shown(pipeline, "SELECT sum(rows)::BIGINT FROM _cargo_syncs WHERE \"table\" = 'agents'")
    ]
    assert rows["agents"]["rows_in_all"] == rows_of_agents


@pytest.mark.parametrize("name", NAMES)
def test_a_view_is_described_and_portable(name):
    """It says what it shows, and reads the same in the words of each warehouse."""
    (view,) = (each for each in VIEWS if each.name == name)
    assert view.description.endswith(".")
    assert len(view.description) > 50
    for dialect in ("postgres", "snowflake", "bigquery", "databricks", "clickhouse", "redshift"):
        again = sqlglot.parse_one(view.in_words_of(dialect), dialect=dialect)
        assert again.named_selects == view.query.named_selects


def test_what_a_view_lacks_is_told_and_made_later(world, tmp_path):
    """Of a narrow sync some can be made; the others come when their tables are there."""
    narrow = duckdb_pipeline(tmp_path / "narrow.duckdb", "cargo", tmp_path / "state")
    where = {"token": world.token, "url": world.url}
    report = sync(narrow, cargo(only=["segments", "changes", "plays"], **where), views=True)
    states = {each.view.name: each.lacks for each in report.views}
    assert states["sync_health"] == ()
    assert states["segment_flow_daily"] == ("models",)
    assert states["agent_performance_daily"] == ("agent_runs", "agents", "votes")
    sync(narrow, cargo(only=["models"], **where))
    again = {each.view.name: each.status for each in install_views(narrow)}
    assert again["segment_flow_daily"] == "installed"


def test_a_view_that_is_refused_costs_no_row(world, tmp_path):
    """A column was left out: the sync is complete, and the view is told of with the column."""
    narrow = duckdb_pipeline(tmp_path / "narrow.duckdb", "loaded", tmp_path / "state")
    source = cargo(
        only=["segments", "changes", "plays", "models"],
        exclude=["segments.from_play"],
        token=world.token,
        url=world.url,
    )
    report = sync(narrow, source, views=True)
    assert report.status == "complete"
    (refused,) = report.views.refused
    assert refused.view.name == "segment_flow_daily"
    assert "from_play" in refused.refused


def test_the_command_makes_them(world, tmp_path):
    """`cargo-source sync --views` and `cargo-source views`, as text and as JSON; without a sync it says what to do."""

    def said(*arguments):
        where = {"CARGO_API_TOKEN": world.token, "CARGO_API_URL": world.url, "HOME": str(tmp_path)}
        command = [sys.executable, "-m", "cargo_source", *arguments]
        return subprocess.run(command, cwd=tmp_path, env={**os.environ, **where}, capture_output=True, text=True)

    missing = said("views")
    assert missing.returncode == 2
    assert "sync first" in missing.stderr
    told = said("sync", "--views", "--only", "segments,changes", "--publish", "--json")
    assert told.returncode == 0, told.stderr
    states = {each["view"]: each["status"] for each in json.loads(told.stdout)["views"]}
    assert states["sync_health"] == "installed"
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM cargo.sync_health").fetchall()[0][0] >= 2
    again = said("views", "--json")
    assert {each["view"]: each["status"] for each in json.loads(again.stdout)["views"]} == states
    assert "needs agent_runs" in said("views").stdout
