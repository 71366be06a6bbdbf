"""The story of Dagster, run by Dagster itself against the sandbox."""

import subprocess
from collections import Counter

import pytest

from cargo_source.catalog import ENTITIES
from tests.orchestrators.player import ROOT, Player, environment, python_of
from tests.small import small_box
from tests.target import Target

pytestmark = [pytest.mark.dagster, pytest.mark.timeout(600)]

TIMES = {"runs": "updatedAt", "spans": "executionStartedAt", "traces": "startedAt", "changes": "createdAt"}
"""Which time of a row says that it belongs to a window, as docs/sync.md has it."""
LISTS = ("agents", "segments", "plays", "models", "users")
EVERYBODY = "SELECT domain, 'qualified' AS stage FROM cargo.default__companies"


@pytest.fixture
def box():
    with small_box(71) as own:
        yield own


@pytest.fixture
def play(box, tmp_path):
    player = Player("dagster", box, tmp_path)
    yield player
    player.close()


@pytest.fixture
def warehouse(tmp_path):
    return Target(tmp_path)


def days_of(box, table="runs"):
    """The days on which something moved in a table, the busiest first."""
    return [day for day, _ in Counter(row[TIMES[table]][:10] for row in box.truth(table)).most_common()]


def companies(box):
    """The uuid of the model that is pushed to."""
    return next(m for m in box.truth("models") if m["slug"] == "companies" and m["kind"] == "native")["uuid"]


def full_days(box):
    """Days on which runs and companies moved: on others, a first load makes no table of companies to ask."""
    return sorted({row["_emitted_at"][:10] for row in box.truth_rows(companies(box))} & set(days_of(box)))


def made(played):
    """The metadata of each asset that was materialised."""
    return {name: facts for name, _, facts in played["made"]}


def contents(warehouse):
    """Every cell that came from Cargo."""
    with warehouse.opened():
        return {
            table: sorted(repr({k: v for k, v in row.items() if k != "_cargo_run_id"}) for row in warehouse.rows(table))
            for table in sorted(warehouse.tables())
        }


def moved(box, table, *days):
    """The rows of a table that belong to some days, by key."""
    key = "uuid" if table != "spans" else "runUuid"
    return Counter(row[key] for row in box.truth(table) if row[TIMES[table]][:10] in days)


def landed(warehouse, table):
    """The same of what was loaded."""
    return Counter(row["uuid" if table != "spans" else "run_uuid"] for row in warehouse.rows(table))


def test_a_day_lands_with_what_dagster_shows_of_it(box, play, warehouse):
    """Tables hold what moved that day and whole lists, each asset says so; two days loaded again change nothing."""
    first, second = full_days(box)[-2:]
    played = play(partition=first)
    facts = made(played)
    assert played["success"], played["failed"]
    usual = {entity.table for entity in ENTITIES.values() if not entity.on_request}
    assert facts.keys() == {*usual, "records", "qualified_leads"}
    assert {day for name, day, _ in played["made"] if name != "qualified_leads"} == {first}
    for table in TIMES:
        assert landed(warehouse, table) == moved(box, table, first), table
        assert facts[table]["rows"] == len(warehouse.rows(table))
    assert facts["runs"]["expected"] == facts["runs"]["got"] == facts["runs"]["rows"] > 0
    assert facts["runs"]["tables"] == [
        {"table": "runs", "rows": facts["runs"]["rows"], "expected": facts["runs"]["rows"], "lane": "window"}
        | {"status": "complete"}
    ]
    for table in LISTS:
        assert landed(warehouse, table).total() == len(box.truth(table)) == facts[table]["rows"]
        assert (facts[table]["lane"], facts[table]["status"]) == ("list", "complete")
    records = {line["table"]: line for line in facts["records"]["tables"]}
    assert len(records) == len(box.truth("models"))
    assert facts["records"]["rows"] == sum(line["rows"] for line in records.values())
    assert facts["records"]["expected"] == sum(line["expected"] or 0 for line in records.values())
    assert records["default__companies"]["rows"] == len(warehouse.rows("default__companies"))
    # Another day of what has a time, and of the rest a little; then both again.
    some = [*TIMES, "chats", "messages", "agents", "records"]
    assert play(partition=second, only=some)["success"]
    for table in TIMES:
        assert landed(warehouse, table) == moved(box, table, first, second), table
    before = contents(warehouse)
    assert play(partition=first, only=some)["success"]
    assert play(partition=second, only=some)["success"]
    assert contents(warehouse) == before


def test_some_assets_load_without_the_others(box, play, warehouse):
    """Who selects messages and agents gets these tables alone."""
    day = days_of(box)[0]
    played = play(partition=day, only=["messages", "agents"])
    assert made(played).keys() == {"messages", "agents"}
    assert warehouse.tables() == {"messages", "agents"}


def test_an_incomplete_stream_fails_its_asset_and_no_other(box, play, warehouse):
    """The list of chats never ends: what needs it fails in one line, without a retry, and the rest is materialised."""
    fault = box.faults.add(path="ai/chats/list", kind="repeat_page")
    day = full_days(box)[-1]
    played = play(partition=day)
    needy = {"chats", "messages", "votes", "agent_runs"}
    assert fault.fired
    assert not played["success"]
    assert played["retried"] == []
    ((step, told),) = played["failed"]
    assert step == "entities"
    assert "\n" not in told
    assert "the same page again and again" in told
    assert all(table in told for table in needy)
    usual = {entity.table for entity in ENTITIES.values() if not entity.on_request}
    assert made(played).keys() == {*usual, "records"} - needy
    assert landed(warehouse, "runs") == moved(box, "runs", day)
    assert not needy & warehouse.tables()
    box.faults.clear()
    again = play(partition=day)
    assert again["success"], again["failed"]
    assert needy <= made(again).keys()


def test_a_retry_is_made_where_it_may_help_and_nowhere_else(box, tmp_path):
    """A server that failed for as long as one waits is asked again; a token that is wrong is not."""
    day = days_of(box)[0]
    player = Player("dagster", box, tmp_path, CARGO_WAIT_BUDGET="0.01")
    box.faults.add(path="ai/agents/list", kind="5xx", count=1)
    played = player(partition=day, only=["agents", "runs"])
    player.close()
    assert played["success"]
    assert played["retried"] == ["entities"]
    assert made(played)["agents"]["rows"] == len(box.truth("agents"))
    player = Player("dagster", box, tmp_path, CARGO_API_TOKEN="wrong")
    played = player(partition=day)
    player.close()
    assert (played["success"], played["retried"], played["made"]) == (False, [], [])
    ((_, told),) = played["failed"]
    assert "Settings > API" in told


def test_what_the_token_may_not_read_is_not_materialised(box, tmp_path):
    """It is no failure, and no asset that looks loaded."""
    player = Player("dagster", box, tmp_path, CARGO_API_TOKEN=box.token_without("billing"))
    played = player(partition=days_of(box)[0], only=["runs", "usage_metrics", "invoices"])
    player.close()
    assert played["success"]
    assert made(played).keys() == {"runs"}


def test_scores_are_pushed_and_a_brake_stops_them_with_its_numbers(box, play, warehouse):
    """A plan that changes every company is refused with its numbers, nothing is sent; a smaller one is applied."""
    model = companies(box)
    assert play(days=["2025-11-01", f"{box.world.now:%Y-%m-%d}"], only=["records"])["success"]
    before = box.truth_rows(model)
    stopped = play(only=["qualified_leads"], query=EVERYBODY)
    ((step, told),) = stopped["failed"]
    assert (stopped["made"], stopped["retried"], step) == ([], [], "cargo__qualified_leads")
    assert f"of {len(before)} rows" in told
    assert "max_change_pct is 50" in told
    assert box.truth_rows(model) == before
    few = f"{EVERYBODY} WHERE stage = 'lead' ORDER BY domain LIMIT 3"
    facts = made(play(only=["qualified_leads"], query=few))["qualified_leads"]
    assert facts["updated"] == 3
    assert facts["plan"].startswith(f"updates 3 of {len(before)} companies")
    assert "3 updated" in facts["done"]
    assert sum(row["stage"] == "qualified" for row in box.truth_rows(model)) == 3 + sum(
        row["stage"] == "qualified" for row in before
    )


def test_rows_that_are_rejected_fail_the_asset_after_it_was_pushed(box, play):
    """The good rows are written, the step fails at once and says how many are not; APPLY = False shows a plan alone."""
    model = companies(box)
    assert play(days=["2025-11-01", f"{box.world.now:%Y-%m-%d}"], only=["records"])["success"]
    before = box.truth_rows(model)
    few = f"{EVERYBODY} WHERE stage = 'lead' ORDER BY domain LIMIT 2"
    twice = f"WITH few AS ({few}) SELECT * FROM few UNION ALL (SELECT * FROM few ORDER BY domain LIMIT 1)"
    shown = made(play(only=["qualified_leads"], query=twice, apply=False))["qualified_leads"]
    assert shown["plan"].startswith(f"updates 1 of {len(before)} companies")
    assert shown["done"] == "not applied: APPLY is False"
    assert box.truth_rows(model) == before
    played = play(only=["qualified_leads"], query=twice)
    ((step, told),) = played["failed"]
    assert (played["made"], played["retried"], step) == ([], [], "cargo__qualified_leads")
    assert "the push was applied, and not every row is as it should be: 2 rejected" in told
    assert "_cargo_push_rows" in told
    assert sum(row["stage"] == "qualified" for row in box.truth_rows(model)) == 1 + sum(
        row["stage"] == "qualified" for row in before
    )


def test_several_days_in_one_run_are_one_window(box, play, warehouse):
    """A backfill of a range is one run, for which Dagster gives the whole stretch, and its last day is inside."""
    first, *_, last = days = sorted(days_of(box))[-6:]
    played = play(days=[first, last], only=["runs"])
    assert played["success"], played["failed"]
    assert landed(warehouse, "runs") == moved(box, "runs", *days)
    assert len({row["_cargo_run_id"] for row in warehouse.rows("runs")}) == 1


def test_the_definitions_load_without_a_network(box, tmp_path):
    """No token, no socket: Dagster lists the assets, with their words and groups, and the schedule."""
    code = """
import socket
def refused(*_args, **_kwargs):
    raise AssertionError("somebody asked the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refused
import dagster_assets as story
graph = story.defs.resolve_asset_graph()
specs = {key.path[-1]: graph.get(key) for key in graph.get_all_asset_keys()}
print(len(specs), specs["runs"].group_name, specs["runs"].description)
print(story.defs.resolve_schedule_def("daily_schedule").cron_schedule)
"""
    hidden = environment(box, tmp_path)
    del hidden["CARGO_API_TOKEN"], hidden["CARGO_API_URL"]
    done = subprocess.run([python_of("dagster"), "-c", code], cwd=tmp_path, env=hidden, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usual = [entity for entity in ENTITIES.values() if not entity.on_request]
    told = f"{len(usual) + 2} orchestration {ENTITIES['runs'].description}\n0 2 * * *\n"
    assert done.stdout == told
    assert not list(tmp_path.glob("*.duckdb"))
    assert (ROOT / "pipelines" / "dagster_assets.py").read_text().count("\n") < 120
