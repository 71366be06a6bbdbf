"""Credits and usage: whatever way they are asked for, they are those of what really happened."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from cargo_source.sandbox.moments import to_datetime
from cargo_source.sandbox.truth import truth
from cargo_source.sandbox.workspace.billing import period
from cargo_source.sandbox.world import World
from tests.sandbox.workspaces import lived, settled

DIMENSIONS = ("integration_slug", "connector_uuid", "model_uuid", "workflow_uuid", "agent_uuid")
CREDITS, RECORDS, EXECUTIONS = "billing.credits", "storage.records", "orchestration.executions"


@pytest.fixture(params=["start", "later"])
def world(request):
    return settled() if request.param == "start" else lived().world


def metrics(world, unit, dimension="none"):
    return [m for m in truth(world, "usage_metrics") if (m["unit"], m["dimension"]) == (unit, dimension)]


def by_day(rows):
    days = Counter()
    for row in rows:
        days[row["date"][:10]] += row["count"]
    return days


def test_credits_are_those_of_spans_and_messages(world):
    """Per day: what native and connector nodes used, and what answers used; asking an agent is not counted twice."""
    expected = Counter()
    for span in world.tables["spans"].values():
        if span["executionFinishedAt"] and span["nodeKind"] in {"native", "connector"}:
            expected[span["executionFinishedAt"][:10]] += span["executionCreditsUsedCount"]
    for message in world.tables["messages"].values():
        if message["usage"]:
            expected[message["finishedAt"][:10]] += message["usage"]["creditsUsedCount"]
    assert by_day(metrics(world, CREDITS)) == +expected
    chats = sum(chat["creditsUsedCount"] for chat in world.tables["chats"].values())
    language = [m for m in metrics(world, CREDITS) if m["slug"].endswith(".action.instruct")]
    assert sum(m["count"] for m in language) == chats > 0


def test_executions_are_those_that_ended(world):
    """success and error count the executions that ended on a day, whatever their kind."""
    expected = Counter()
    for run in world.tables["runs"].values():
        for each in run["executions"]:
            if each["finishedAt"]:
                expected[each["finishedAt"][:10], each["status"]] += 1
    assert {(m["date"][:10], m["slug"]): m["count"] for m in metrics(world, EXECUTIONS)} == expected
    assert {slug for _, slug in expected} == {"success", "error"}


def test_inserted_records_are_those_that_were_made(world):
    """Per model as many as there are, were removed, or came back; on the day of `_emitted_at` where that tells."""
    counted = Counter()
    for metric in metrics(world, RECORDS, "model_uuid"):
        assert metric["slug"] == "insert"
        counted[metric["groupBy"]] += metric["count"]
    for uuid in world.tables["models"]:
        spec = world.spec_of(uuid)
        removed = (
            world.db.execute(f"SELECT count(*) FROM {world.warehouse._attic(spec)}").fetchone()[0]
            if (spec.key in world.warehouse._attics)
            else 0
        )
        assert counted[uuid] == world.warehouse.count(spec) + removed, spec.key
    last = max(m["date"] for m in metrics(world, RECORDS))
    assert last == f"{world.now:%Y-%m-%d}T00:00:00.000Z"


def test_nothing_was_used_before_the_workspace_was_made(world):
    """No metric is of an earlier day, so that the API, which begins with that day, gives them all."""
    assert min(m["date"][:10] for m in truth(world, "usage_metrics")) >= world.workspace["createdAt"][:10]


def test_a_day_inserts_what_it_says():
    """What advance counts as added and late is what storage.records grows by."""
    world = settled(8)
    before = sum(m["count"] for m in metrics(world, RECORDS))
    later = World(seed=8, companies=500)
    counts = later.advance(days=1)
    after = sum(m["count"] for m in metrics(later, RECORDS))
    assert after - before == counts["rowsAdded"] + counts["rowsLate"] > 0


@pytest.mark.parametrize("unit", [CREDITS, RECORDS, EXECUTIONS])
def test_each_dimension_has_the_same_totals(world, unit):
    """Grouped by anything, a slug's count of a day adds up to the ungrouped one; null is what is not attributable."""
    wanted = {(m["date"], m["slug"]): m["count"] for m in metrics(world, unit)}
    assert len(wanted) >= 20
    for dimension in DIMENSIONS:
        sums = defaultdict(float)
        for metric in metrics(world, unit, dimension):
            sums[metric["date"], metric["slug"]] += metric["count"]
        assert sums == wanted, dimension


def test_slugs_and_groups_name_what_exists(world):
    """Credits name actions of the manifests; groups name integrations, connectors, models, workflows and agents."""
    actions = {(row["integrationSlug"], row["actionSlug"]) for row in truth(world, "actions")}
    for slug in {m["slug"] for m in metrics(world, CREDITS)}:
        parts = slug.split(".")
        named = ("native", parts[1]) if parts[0] == "native" else (parts[1], parts[3])
        assert parts in (["native", named[1]], ["integration", named[0], "action", named[1]])
        assert named in actions
    tables = zip(DIMENSIONS, ("integrations", "connectors", "models", "workflows", "agents"), strict=True)
    for dimension, table in tables:
        named = {m["groupBy"] for m in truth(world, "usage_metrics") if m["dimension"] == dimension}
        assert None in named
        assert len(named) > 2
        assert named - {None} <= world.tables[table].keys()


def test_the_subscription_used_what_its_period_used(world):
    """Its counter is the credits since startAt plus a hundredth of the executions since then, and resets monthly."""
    (subscription,) = truth(world, "subscriptions")
    now = f"{world.now:%Y-%m-%dT%H:%M:%S}.000Z"
    assert subscription["startAt"] <= now < subscription["resetAt"]
    since = [
        m for m in truth(world, "usage_metrics") if m["dimension"] == "none" and m["date"] >= subscription["startAt"]
    ]
    used = Counter()
    for metric in since:
        used[metric["unit"]] += metric["count"]
    assert subscription["subscriptionCreditsUsedCount"] == pytest.approx(used[CREDITS] + used[EXECUTIONS] / 100)
    assert subscription["subscriptionCreditsUsedCount"] > 0


def test_counters_move_with_time():
    """A day later the subscription has used more, and days that are long past have not changed."""
    (day, _) = lived().days
    world = World(seed=11, companies=300)
    before = truth(world, "usage_metrics"), truth(world, "subscriptions")[0]
    world.advance(days=1)
    after = truth(world, "usage_metrics"), truth(world, "subscriptions")[0]
    assert after[1]["subscriptionCreditsUsedCount"] > before[1]["subscriptionCreditsUsedCount"]
    settled_day = f"{day.before.now - timedelta(days=1):%Y-%m-%d}"
    old = [[m for m in rows if m["date"] < settled_day] for rows in (before[0], after[0])]
    assert old[0] == old[1]


@pytest.mark.parametrize(
    ("now", "began", "ends"),
    [
        ("2026-03-02T09:00", "2026-02-15", "2026-03-15"),
        ("2026-03-14T23:59", "2026-02-15", "2026-03-15"),
        ("2026-03-15T00:00", "2026-03-15", "2026-04-15"),
        ("2026-01-03T00:00", "2025-12-15", "2026-01-15"),
        ("2024-02-20T00:00", "2024-02-15", "2024-03-15"),
    ],
)
def test_a_period_lasts_from_fifteenth_to_fifteenth(now, began, ends):
    """Over the turn of a year and in February as well."""
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = period(int(moment.timestamp() * 1000))
    assert [f"{to_datetime(each):%Y-%m-%d}" for each in found] == [began, ends]


def asked(api, **params):
    answer = api.get("/billing/usage/metrics", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["metrics"]


WINDOW = {"from": "2026-01-10", "to": "2026-02-09"}


@pytest.mark.parametrize("unit", [CREDITS, RECORDS, EXECUTIONS])
@pytest.mark.parametrize("dimension", [None, *DIMENSIONS])
def test_the_api_gives_the_metrics_of_a_window(box, api, unit, dimension):
    """An entry for each day, both ends included; its items are those of the unit, grouped as asked."""
    params = {**WINDOW, "unit": unit} | ({"groupBy": dimension} if dimension else {})
    found = asked(api, **params)
    assert len(found) == 31
    assert [entry["date"] for entry in found] == sorted(entry["date"] for entry in found)
    flat = [(entry["date"], i["slug"], i["groupBy"], i["count"]) for entry in found for i in entry["items"]]
    wanted = [
        (m["date"], m["slug"], m["groupBy"], m["count"])
        for m in box.truth("usage_metrics")
        if (m["unit"], m["dimension"]) == (unit, dimension or "none") and "2026-01-10" <= m["date"][:10] <= "2026-02-09"
    ]
    assert wanted
    assert sorted(flat, key=str) == sorted(wanted, key=str)


def test_without_a_unit_all_three_are_mixed(api):
    """The items of the three units are in one list, told apart by their slugs only."""
    mixed = asked(api, **WINDOW)
    units = [asked(api, **WINDOW, unit=unit) for unit in (CREDITS, RECORDS, EXECUTIONS)]
    for place, entry in enumerate(mixed):
        apart = [item for unit in units for item in unit[place]["items"]]
        assert sorted(entry["items"], key=str) == sorted(apart, key=str)


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        ("integrationSlug", "integration_slug"),
        ("connectorUuid", "connector_uuid"),
        ("modelUuid", "model_uuid"),
        ("workflowUuid", "workflow_uuid"),
        ("agentUuid", "agent_uuid"),
    ],
)
def test_metrics_are_filtered_by_what_they_are_of(box, api, name, dimension):
    """A filter gives what grouping by the same dimension gives for that value."""
    values = Counter(m["groupBy"] for m in box.truth("usage_metrics") if m["dimension"] == dimension and m["groupBy"])
    value = values.most_common(1)[0][0]
    only = {(e["date"], i["slug"]): i["count"] for e in asked(api, **WINDOW, **{name: value}) for i in e["items"]}
    grouped = asked(api, **WINDOW, groupBy=dimension)
    assert only
    assert only == {(e["date"], i["slug"]): i["count"] for e in grouped for i in e["items"] if i["groupBy"] == value}


def test_a_slug_can_be_asked_for_alone(api):
    """slug gives the items of that slug; the days without any are there and empty."""
    found = asked(api, **WINDOW, slug="error")
    assert {item["slug"] for entry in found for item in entry["items"]} == {"error"}
    assert any(entry["items"] == [] for entry in asked(api, **WINDOW, slug="integration.outreach.action.verifyEmail"))


def test_a_window_is_cut_to_the_life_of_the_workspace(box, api):
    """Before the workspace was made and after now there are no days; a window that ends before it begins is empty."""
    dates = [entry["date"][:10] for entry in asked(api, **{"from": "2020-01-01", "to": "2030-01-01"})]
    assert dates[0] == box.world.workspace["createdAt"][:10]
    assert dates[-1] == f"{box.world.now:%Y-%m-%d}"
    assert asked(api, **{"from": "2026-02-02", "to": "2026-02-01"}) == []


def test_the_subscription_and_its_invoices_are_given(box, api):
    """One object, and the invoices, as the truth has them."""
    assert api.get("/billing/subscriptions").json() == {"subscription": box.truth("subscriptions")[0]}
    assert api.get("/billing/subscriptions/invoices").json() == {"invoices": box.truth("invoices")}
