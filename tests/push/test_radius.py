"""The blast radius of a push: what is foretold is what then happens, and what cannot be known is said to be unknown."""

import random
from datetime import timedelta

import pytest

from tests.push.pushed import Pusher, Writes
from tests.small import small_box

NATIVE = ["companies", "contacts", "deals", "targets", "scorecards", "campaigns"]
FINISHED = {"success", "error", "cancelled", "skipped"}
COUNTS = ("entering", "leaving", "changed")


def wrong(radius, moved, started):
    """What was foretold, and came otherwise."""
    found = [
        (segment.name, count, getattr(segment, count), moved[segment.uuid][count])
        for segment in radius.segments
        for count in COUNTS
        if getattr(segment, count) not in {None, moved[segment.uuid][count]}
    ]
    found += [
        (play.name, play.runs, started[play.uuid])
        for play in radius.plays
        if play.runs not in {None, started[play.uuid]}
    ]
    found += [(play.name, play.at_most) for play in radius.plays if (play.at_most or 10**9) < started[play.uuid]]
    return found + [uuid for uuid in started if uuid not in {play.uuid for play in radius.plays}]


def known(radius):
    """How many numbers of segments are known, and how many are not."""
    counts = [getattr(segment, count) for segment in radius.segments for count in COUNTS]
    return sum(count is not None for count in counts), counts.count(None)


def pushed(pusher, writes):
    """Foretell writes, write, and give what was foretold and what was wrong of it."""
    pusher.settle()
    radius = pusher.foretell(writes)
    pusher.apply(writes)
    moved, started = pusher.outcome()
    assert wrong(radius, moved, started) == []
    return radius, moved, started


@pytest.mark.parametrize("seed", range(1, 9))
def test_what_is_foretold_is_what_happens(seed):
    """Rows that move in segments, and runs that start, are exact for each native model wherever they are told."""
    runs, told, untold = 0, 0, 0
    with small_box(seed) as box:
        box.world.writing.keeps_dates = bool(seed % 2)
        for name in NATIVE:
            lot = random.Random(f"{seed} {name}")
            with Pusher(box, f"default.{name}") as pusher:
                writes = pusher.draw(lot, lot.choice([0, 3]), lot.choice([3, 8]), lot.choice([0, 2]))
                radius, _, started = pushed(pusher, writes)
                sure = {play.uuid: play.runs for play in radius.plays if play.runs is not None}
                assert sum(sure.values()) == sum(count for play, count in started.items() if play in sure)
                runs += sum(sure.values())
                here, not_here = known(radius)
                told, untold = told + here, untold + not_here
    assert runs > 0
    assert untold < told / 4


@pytest.fixture(scope="module")
def box():
    """One sandbox of this module's tests; each watches rows by segments of its own."""
    with small_box(11, companies=40) as shared:
        yield shared


@pytest.fixture
def companies(box):
    before = (
        {key: dict(row) for key, row in box.world.tables["segments"].items()},
        {key: dict(row) for key, row in box.world.tables["plays"].items()},
    )
    with Pusher(box, "default.companies") as pusher:
        yield pusher
    box.faults.clear()
    box.world.tables["segments"], box.world.tables["plays"] = before


def when(kind, column, operator, **operand):
    return {"kind": kind, "columnSlug": column, "operator": operator, **operand}


def city(operator, **operand):
    return {"kind": "objectProperty", "columnSlug": "address", "propertyName": "city", "operator": operator, **operand}


CONDITIONS = [
    *(when("string", "stage", operator, values=["customer", "lead"]) for operator in ("is", "isNot")),
    *(when("string", "industry", operator, values="a") for operator in ("contains", "doesNotContain")),
    *(when("string", "industry", operator, values=["S", "e", "y", "M"]) for operator in ("startsWith", "endsWith")),
    *(when("string", "industry", operator) for operator in ("isNull", "isNotNull")),
    *(when("string", "description", operator) for operator in ("isEmpty", "isNotEmpty")),
    *(when("number", "employeesCount", operator, value=2500) for operator in ("isNot", "greaterThan", "lowerThan")),
    when("number", "annualRevenue", "between", firstValue=1e7, lastValue=5.5e7),
    *(when("number", "growthRate", operator) for operator in ("isNull", "isNotNull")),
    when("number", "sequence", "greaterThan", value=9007199254740993),
    *(when("boolean", "isCustomer", operator) for operator in ("isTrue", "isFalse", "isNull", "isNotNull")),
    *(when("object", "address", operator) for operator in ("isNull", "isNotNull")),
    *(when("vector", "embedding", operator) for operator in ("isNull", "isNotNull")),
    *(when("any", "signal", operator) for operator in ("isNull", "isNotNull")),
    when("array", "technologies", "isNull"),
    *(city(operator, value="Köln") for operator in ("is", "isNot", "contains", "doesNotContain", "startsWith")),
    *(city(operator, value="C") for operator in ("greaterThan", "lowerThan")),
    city("between", value="A", otherValue="M"),
    *(city(operator) for operator in ("isNull", "isNotNull", "isNotEmpty")),
    {**city("greaterThan", value="50000"), "propertyName": "zip"},
    when("object", "address", "matchConditions", conjonction="or", propertyConditions=[
        city("is", value="Paris"), {**city("lowerThan", value="3e4"), "propertyName": "zip"},
    ]),
    when("string", "_title", "contains", values="a"),
    when("string", "tier", "is", values="A"),
    when("string", "custom__tier", "isNot", values=["A", "B"]),
    when("date", "_emitted_at", "greaterThan", value="2026-02-01T00:00:00Z"),
    when("date", "_emitted_at", "lowerThan", value="2026-02-01T00:00:00Z"),
]  # fmt: skip


def test_each_condition_is_read_as_the_workspace_reads_it(companies):
    """For every kind and operator it is known who enters, leaves and changes, and it comes so."""
    uuids = [companies.watch([each], trackingColumnSlugs=["name", "custom__tier"]) for each in CONDITIONS]
    seen = dict.fromkeys(uuids, 0)
    for seed in range(3):
        radius, moved, _ = pushed(companies, companies.draw(random.Random(f"each {seed}"), 4, 14, 3))
        told = {segment.uuid: segment for segment in radius.segments}
        for uuid, condition in zip(uuids, CONDITIONS, strict=True):
            assert told[uuid].reason is None, condition
            seen[uuid] += sum(moved[uuid].values())
    assert [condition for uuid, condition in zip(uuids, CONDITIONS, strict=True) if not seen[uuid]] == []


def test_dates_are_compared_as_moments(box):
    """Whatever zone they are written in; one without a time is midnight, without a zone it is UTC."""
    asked = [
        *(
            when("date", "CloseDate", operator, value="2026-04-01")
            for operator in ("isNot", "greaterThan", "lowerThan")
        ),
        when("date", "CloseDate", "is", value="2026-04-01T02:00:00+02:00"),
        when("date", "CloseDate", "between", firstValue="2026-03-20", lastValue="2026-04-10T00:00:00.000Z"),
        *(when("date", "CloseDate", operator) for operator in ("isNull", "isNotNull")),
    ]
    cells = [
        "2026-04-01T00:00:00.000Z",
        "2026-04-10T00:00:00.000Z",
        "2026-04-10T00:00:00.001Z",
        None,
        "2026-03-01T00:00:00.000Z",
    ]
    with Pusher(box, "salesforce.opportunities") as pusher:
        uuids = [pusher.watch([each], trackingColumnSlugs=["CloseDate"]) for each in asked]
        writes = Writes([], {key: {"CloseDate": cell} for key, cell in zip(pusher.rows(), cells, strict=False)})
        radius, moved, _ = pushed(pusher, writes)
        told = {segment.uuid: segment for segment in radius.segments}
        assert [told[uuid].reason for uuid in uuids] == [None] * len(uuids)
        assert all(sum(moved[uuid].values()) for uuid in uuids)
        for uuid in uuids:
            del box.world.tables["segments"][uuid]


@pytest.mark.parametrize("keeps", [True, False])
def test_dates_that_a_native_model_may_lose_are_unknown(box, companies, keeps):
    """Only where it matters: a null is a null, and a row that is in or out either way is known."""
    box.world.writing.keeps_dates = keeps
    late = companies.watch(
        [when("date", "foundedAt", "greaterThan", value="2020-01-01")], trackingColumnSlugs=["foundedAt"]
    )
    sort = [{"columnSlug": "foundedAt", "kind": "desc"}, {"columnSlug": "sequence", "kind": "asc"}]
    filled = [when("date", "foundedAt", "isNotNull"), when("number", "sequence", "isNotNull")]
    first = companies.watch(filled, sort=sort, limit=3)
    old = [key for key, row in companies.rows().items() if (row["foundedAt"] or "3") < "2020"]
    told = {}
    for place, cell in enumerate((None, "2019-12-31T00:00:00.000Z", "2025-01-01T00:00:00.000Z")):
        radius, *_ = pushed(companies, Writes([], {old[place]: {"foundedAt": cell}}))
        told[cell] = {segment.uuid: segment for segment in radius.segments}
    assert [told[cell][late].entering for cell in told] == [0, 0, None]
    assert "keeps the date" in told[cell][late].reason
    assert told[cell][first].entering is None
    assert told[None][first].entering == 0
    radius, *_ = pushed(companies, Writes([{"foundedAt": "2025-01-01T00:00:00.000Z"}, {"name": "x"}]))
    assert {segment.uuid: segment for segment in radius.segments}[late].entering is None


def test_items_of_arrays_match_where_one_of_them_does(box):
    """A condition on a property of an array asks for any item; one on an empty array, or a null, is false."""
    sku = {"kind": "objectProperty", "columnSlug": "lineItems", "propertyName": "sku"}
    tests = [{"operator": "endsWith", "value": "7"}, {"operator": "isNot", "value": "SKU-1"}, {"operator": "isNull"}]
    with Pusher(box, "default.deals") as deals:
        uuids = [deals.watch([sku | each]) for each in tests]
        items = [None, [], [{"sku": "SKU-7"}], [{"sku": "SKU-1"}, {"sku": "SKU-17"}], [{"qty": 1}], [{"sku": "SKU-1"}]]
        rows = sorted(deals.rows())
        writes = Writes(
            [{"lineItems": each} for each in items], {rows[n]: {"lineItems": each} for n, each in enumerate(items)}
        )
        radius, moved, _ = pushed(deals, writes)
        for uuid in uuids:
            (segment,) = (each for each in radius.segments if each.uuid == uuid)
            assert segment.reason is None
            assert moved[uuid]["entering"] > 0
            del box.world.tables["segments"][uuid]


@pytest.mark.parametrize("conjonction", ["and", "or"])
def test_conditions_join_and_segments_name_each_other(companies, conjonction):
    """Joined conditions, and segments that ask for others, with limits too, are known and come so."""
    parts = [when("boolean", "isCustomer", "isTrue"), when("number", "employeesCount", "greaterThan", value=2000)]
    first = companies.watch(parts, conjonction=conjonction)
    top = companies.watch(
        [when("number", "annualRevenue", "isNotNull"), when("number", "sequence", "isNotNull")],
        sort=[{"columnSlug": "annualRevenue", "kind": "desc"}, {"columnSlug": "sequence", "kind": "asc"}],
        limit=15,
    )
    second = companies.watch(
        [{"kind": "segment", "operator": "notIn", "segmentUuid": first}, parts[0]], conjonction=conjonction
    )
    third = companies.watch(
        [{"kind": "segment", "operator": "in", "segmentUuid": top}, parts[1]], conjonction=conjonction
    )
    for seed in range(3):
        radius, *_ = pushed(companies, companies.draw(random.Random(f"join {seed}"), 3, 12, 2))
        told = {segment.uuid: segment.reason for segment in radius.segments}
        assert {told[uuid] for uuid in (first, top, second, third)} == {None}


SORTS = [
    [("_id", "asc")],
    [("_id", "desc")],
    [("sequence", "asc")],
    [("employeesCount", "desc"), ("sequence", "asc")],
    [("stage", "asc"), ("sequence", "desc")],
    [("stage", "asc")],
    [("_emitted_at", "desc"), ("sequence", "asc")],
    [("fitScore", "desc")],
    [],
]


def test_a_limit_cuts_where_the_order_says(companies):
    """Who moves up when others leave is exact where the order is known, and unknown where rows are level."""
    filled = [when("number", "sequence", "isNotNull"), when("number", "employeesCount", "isNotNull")]
    uuids = {
        companies.watch(
            [*filled, when("string", "stage", "isNotNull")],
            sort=[{"columnSlug": name, "kind": kind} for name, kind in sort],
            limit=limit,
        ): sort
        for sort in SORTS
        for limit in (3, 9, 17)
    }
    exact, moves = dict.fromkeys(map(str, SORTS), 0), 0
    for creates, updates, removes in ((0, 6, 0), (0, 0, 4), (0, 8, 2), (3, 5, 1), (0, 1, 0)):
        lot = random.Random(f"limit {creates} {updates} {removes}")
        radius, moved, _ = pushed(companies, companies.draw(lot, creates, updates, removes))
        for segment in radius.segments:
            if segment.uuid in uuids and segment.reason is None:
                exact[str(uuids[segment.uuid])] += 1
                moves += sum(moved[segment.uuid].values())
    assert moves > 50
    assert all(exact[str(sort)] >= 9 for sort in SORTS[:2])
    assert all(exact[str(sort)] >= 12 for sort in (SORTS[2], SORTS[4]))
    # Only where no row that matches is written.
    assert exact["[]"] <= exact[str(SORTS[7])] <= 6


@pytest.mark.parametrize("column", ["_id", "sequence", "fitScore"])
def test_a_row_whose_place_is_not_known_makes_a_limit_unknown(companies, column):
    """The server makes the id of a new row, a null stands first in one warehouse and last in another."""
    uuid = companies.watch([], sort=[{"columnSlug": column, "kind": "asc"}], limit=5)
    told = {each.uuid: each for each in companies.foretell(Writes([{"name": "new"}])).segments}
    assert (told[uuid].entering, told[uuid].leaving, told[uuid].changed) == (None, None, 0)
    assert "only 5 rows" in told[uuid].reason


def test_a_row_that_is_level_with_others_may_lose_its_place_when_it_is_written(companies):
    """Nobody says which of them a limit takes; as long as they are left alone, it takes the same."""
    ones = {key: row for key, row in companies.rows().items() if row["stage"] == "customer"}
    (key, *_) = ones
    condition = when("string", "stage", "is", values="customer")
    uuid = companies.watch([condition], sort=[{"columnSlug": "stage", "kind": "asc"}], limit=len(ones) - 1)
    (other, *_) = companies.rows().keys() - ones.keys()
    told = {
        written: next(
            each.entering
            for each in companies.foretell(Writes([], {written: {"name": "y"}})).segments
            if each.uuid == uuid
        )
        for written in (key, other)
    }
    assert told == {key: None, other: 0}


def test_a_limit_that_is_not_reached_cuts_nothing(companies):
    """However it orders, a segment that takes all that match is exact."""
    uuid = companies.watch([when("string", "stage", "is", values="customer")], limit=60)
    (key, *_) = (key for key, row in companies.rows().items() if row["stage"] == "customer")
    radius, moved, _ = pushed(companies, Writes([{"stage": "customer"}], {key: {"stage": "lead"}}))
    (segment,) = (each for each in radius.segments if each.uuid == uuid)
    assert segment.reason is None
    assert (moved[uuid]["entering"], moved[uuid]["leaving"]) == (1, 1)


RELATED = {"relatedModelUuid": "", "columnSlug": "jobTitle", "kind": "string", "operator": "isNotNull"}
UNKNOWN = {
    "another model": RELATED,
    "the warehouse's own SQL": {"kind": "sql", "name": "big", "clause": "employeesCount > 5"},
    "another model ": {"kind": "occurrence", "relatedModelUuid": "", "conjonction": "and", "conditions": [],
                       "frequency": {"operator": "moreThan", "value": 0}},
    "'computed__fitScore'": when("number", "fitScore", "greaterThan", value=50),
    "'metric__contactsCount'": when("number", "contactsCount", "greaterThan", value=4),
    "'lookup__owner'": when("string", "owner", "isNotNull"),
    "there is no column": when("string", "nobody", "isNotNull"),
    "of type string": when("number", "stage", "isNotNull"),
    "needs 'values'": when("string", "stage", "is", value="customer"),
    "'_emitted_at'": when("date", "_emitted_at", "greaterThan", value="2036-01-01T00:00:00Z"),
    "is not clear": when("date", "foundedAt", "greaterThan", value="someday"),
    "is not clear ": when("string", "name", "contains", values=["a", "b\0c"]),
    "'foundedAt' keeps": when("date", "foundedAt", "isNull"),
    "'id' of new rows": when("string", "id", "startsWith", values="a"),
    "'_id' of new rows": when("string", "_id", "isNot", values="a"),
    "not evaluated": {"kind": "segment", "operator": "in", "segmentUuid": "00000000-0000-4000-8000-000000000000"},
}  # fmt: skip


@pytest.mark.parametrize(("word", "condition"), UNKNOWN.items(), ids=UNKNOWN)
def test_what_cannot_be_evaluated_is_unknown(companies, word, condition):
    """Its segment has no numbers but the reason, which holds no value; nothing is known of a row that is written."""
    contacts = next(model.uuid for model in companies.models if model.slug == "contacts" and model.dataset == "default")
    condition = condition | ({"relatedModelUuid": contacts} if "relatedModelUuid" in condition else {})
    uuid = companies.watch([condition], trackingColumnSlugs=["name"])
    (key, *_) = companies.rows()
    radius = companies.foretell(
        Writes([{"name": "new", "foundedAt": "2026-01-01T00:00:00.000Z"}], {key: {"name": "other"}})
    )
    (segment,) = (each for each in radius.segments if each.uuid == uuid)
    assert segment.entering is None
    assert word.strip() in segment.reason
    assert "customer" not in segment.reason


@pytest.mark.parametrize("kind", ["sql", "enrollment"])
def test_an_unknown_part_does_not_hide_what_the_others_decide(companies, kind):
    """A row that another condition keeps out, or lets in, is as known as ever."""
    part = {
        "sql": {"kind": "sql", "name": "big", "clause": "employeesCount > 5"},
        "enrollment": {"kind": "enrollment", "workflowUuid": companies.box.truth("plays")[0]["workflowUuid"],
                       "activityKind": "workflowEntered", "frequency": {"operator": "not"}},
    }[kind]  # fmt: skip
    sure = when("string", "stage", "is", values="customer")
    keeps = companies.watch([part, sure])
    lets = companies.watch([part, sure], conjonction="or")
    rows = companies.rows()
    leads = [key for key, row in rows.items() if row["stage"] == "lead"][:2]
    customers = [key for key, row in rows.items() if row["stage"] == "customer"][:2]
    writes = Writes([{"stage": "lead"}], {key: {"industry": "Mining"} for key in leads})
    told = {segment.uuid: segment for segment in pushed(companies, writes)[0].segments}
    assert (told[keeps].entering, told[keeps].leaving) == (0, 0)
    assert told[lets].entering is None
    writes = Writes([{"stage": "customer"}], {key: {"name": "x"} for key in customers})
    told = {segment.uuid: segment for segment in pushed(companies, writes)[0].segments}
    assert told[keeps].entering is None
    assert told[lets].entering == 1


def test_who_ran_has_run_whatever_is_written(companies):
    """A condition on runs is unknown, but a row does not move by it when it is only written."""
    asked = {"kind": "enrollment", "workflowUuid": companies.box.truth("plays")[0]["workflowUuid"],
             "activityKind": "workflowEntered", "frequency": {"operator": "not"}}  # fmt: skip
    uuid = companies.watch([asked], trackingColumnSlugs=["industry"])
    (key, *_) = companies.rows()
    told = {each.uuid: each for each in companies.foretell(Writes([], {key: {"name": "x"}})).segments}
    assert (told[uuid].entering, told[uuid].leaving, told[uuid].changed) == (0, 0, 0)
    told = {each.uuid: each for each in companies.foretell(Writes([], {key: {"industry": "x"}})).segments}
    assert (told[uuid].entering, told[uuid].leaving, told[uuid].changed) == (0, 0, None)


def test_segments_that_ask_for_each_other_in_a_circle_are_unknown(companies):
    """Neither is evaluated for ever."""
    first = companies.watch([])
    second = companies.watch([{"kind": "segment", "operator": "in", "segmentUuid": first}])
    tree = companies.box.world.tables["segments"][second]["filter"]["groups"][0]["conditions"][0]
    circle = {"conjonction": "and", "groups": [{"conjonction": "and", "conditions": [tree | {"segmentUuid": second}]}]}
    companies.box.world.tables["segments"][first]["filter"] = circle
    told = {each.uuid: each for each in companies.foretell(Writes([{"name": "x"}])).segments}
    assert "itself" in told[first].reason
    assert "itself" in told[second].reason


def test_tracked_columns_that_the_platform_computes_make_changes_unknown(companies):
    """What becomes of them is not known for a row that is written; who enters and leaves is."""
    uuid = companies.watch([], trackingColumnSlugs=["fitScore", "name"])
    rows = list(companies.rows())
    told = {
        each.uuid: each for each in companies.foretell(Writes([{}], {rows[0]: {"stage": "lead"}}, rows[1:3])).segments
    }
    assert (told[uuid].entering, told[uuid].leaving, told[uuid].changed) == (1, 2, None)
    assert "fitScore" in told[uuid].reason


def test_segments_that_are_not_evaluated_set_off_nothing(companies):
    """One that never was, and one that is deleted, are left out with the plays behind them."""
    names = {}
    for word, gone in (("never", {"syncedAt": None}), ("deleted", {"deletedAt": "2026-01-01T00:00:00.000Z"})):
        names[word] = companies.watch([], **gone)
    for play, uuid in zip(companies.box.world.tables["plays"].values(), names.values(), strict=False):
        play["segmentUuid"] = uuid
    radius, _, started = pushed(companies, Writes([{"stage": "customer"}]))
    assert not {segment.uuid for segment in radius.segments} & set(names.values())
    assert radius.plays == ()
    assert radius.line == "starts nothing"
    assert not started


@pytest.fixture
def plays(companies):
    """The two plays on companies, on a segment that takes every row of customers."""
    uuid = companies.watch([when("string", "stage", "is", values="customer")], trackingColumnSlugs=["name"])
    found = [each for each in companies.box.world.tables["plays"].values() if each["modelUuid"] == companies.model.uuid]
    for play in found:
        play |= {"segmentUuid": uuid, "changeKinds": ["added", "removed", "updated"], "runCreationRule": "always"}
    return found


@pytest.mark.parametrize("off", [{"isEnabled": False}, {"deletedAt": "2026-01-01T00:00:00.000Z"}])
def test_plays_that_are_off_are_left_out(companies, plays, off):
    """Nothing is told of a play that is disabled or deleted."""
    plays[0] |= off
    radius, _, started = pushed(companies, Writes([{"stage": "customer"}]))
    assert [play.uuid for play in radius.plays] == [plays[1]["uuid"]]
    assert set(started) == {plays[1]["uuid"]}


def test_a_play_without_a_deployed_release_starts_nothing(box, companies, plays):
    """It cannot run, and so is left out."""
    workflow = box.world.tables["workflows"][plays[0]["workflowUuid"]]
    release, workflow["deployedRelease"] = workflow["deployedRelease"], None
    radius = companies.foretell(Writes([{"stage": "customer"}]))
    workflow["deployedRelease"] = release
    assert [play.uuid for play in radius.plays] == [plays[1]["uuid"]]


@pytest.mark.parametrize("kinds", [["added"], ["removed"], ["updated"], ["added", "unchanged"], ["unchanged"]])
@pytest.mark.parametrize("rule", ["always", "once", "noConcurrency"])
def test_plays_run_by_their_kinds_and_rules(companies, plays, kinds, rule, monkeypatch):
    """Records that ran, or still run, are told from those that may run again."""
    for play in plays:
        play |= {"changeKinds": kinds, "runCreationRule": rule}
    rows = companies.rows()
    by_stage = {stage: [key for key, row in rows.items() if row["stage"] == stage] for stage in ("customer", "lead")}
    updates = {key: {"name": f"{key} {rule} {kinds}"} for key in by_stage["customer"][2:8]}
    updates |= {key: {"stage": "lead"} for key in by_stage["customer"][:2]}
    updates |= {key: {"stage": "customer"} for key in by_stage["lead"][:4]}
    running = by_stage["customer"][2:4]
    runs = {run["recordId"]: run for run in companies.box.world.tables["runs"].values()}
    for key in set(running) & set(runs):
        monkeypatch.setitem(runs[key], "status", "running")
    companies.box.world.revision += 1
    radius, _, started = pushed(companies, Writes([{"stage": "customer"}] * 2, updates))
    assert {play.uuid: play.runs for play in radius.plays} == {play["uuid"]: started[play["uuid"]] for play in plays}


def test_where_runs_cannot_be_asked_for_their_number_is_unknown(box, companies, plays):
    """Only records that were there before can have run: for new rows alone the number is known all the same."""
    for play in plays:
        play["runCreationRule"] = "once"
    (key, *_) = (key for key, row in companies.rows().items() if row["stage"] == "lead")
    box.faults.add(path="orchestration/query", kind="forbidden")
    radius = companies.foretell(Writes([{"stage": "customer"}], {key: {"stage": "customer"}}))
    assert [(play.runs, play.at_most, play.credits_per_run) for play in radius.plays] == [(None, 2, None)] * 2
    assert all("SQL" in play.reason and "SQL" in play.no_credits for play in radius.plays)
    assert "(at most 2)" in radius.line
    radius = companies.foretell(Writes([{"stage": "customer"}]))
    assert [play.runs for play in radius.plays] == [1, 1]
    assert "credits unknown" in radius.line


def test_records_are_asked_for_one_by_one_where_too_many_ran(companies, plays, monkeypatch):
    """One answer holds so many records and no more."""
    from cargo_source.push import radius as module
    from cargo_source.push import run_history

    monkeypatch.setattr(run_history, "CAP", 3)
    monkeypatch.setattr(module, "IDS_ASKED", 2)
    for play in plays:
        play["runCreationRule"] = "once"
    leads = [key for key, row in companies.rows().items() if row["stage"] == "lead"]
    radius, *_ = pushed(companies, Writes([], {key: {"stage": "customer"} for key in leads}))
    assert [play.reason for play in radius.plays] == [None, None]
    assert sum(play.runs for play in radius.plays) < 2 * len(leads)


def test_credits_are_those_of_recent_finished_runs(box, companies, plays):
    """Their average over a month, as the runs tell it; a play that did not run in it has none."""
    since = (companies.session.now - timedelta(days=30)).isoformat()
    radius = companies.foretell(Writes([{"stage": "customer"}]))
    told = {play.uuid: play for play in radius.plays}
    for play in plays:
        forecast = told[play["uuid"]]
        runs = [run for run in box.truth("runs") if run["workflowUuid"] == play["workflowUuid"]]
        recent = [run for run in runs if run["createdAt"] >= since and run["status"] in FINISHED]
        spent = [sum(each["creditsUsedCount"] for each in run["executions"]) for run in recent]
        assert forecast.credits_per_run == pytest.approx(sum(spent) / len(spent))
        assert forecast.credits == forecast.credits_per_run
    for run in box.world.tables["runs"].values():
        if run["workflowUuid"] == plays[0]["workflowUuid"]:
            run["createdAt"] = "2025-12-01T00:00:00.000Z"
    box.world.revision += 1
    told = {play.uuid: play for play in companies.foretell(Writes([{"stage": "customer"}])).plays}
    first, second = told[plays[0]["uuid"]], told[plays[1]["uuid"]]
    assert (first.credits_per_run, first.credits) == (None, None)
    assert "30 days" in first.no_credits
    assert second.credits_per_run > 0


def test_segments_of_other_models_that_ask_for_this_one_are_unknown(box, companies):
    """By a related model, an occurrence, a segment of this model, or a column that is looked up in it."""
    own = companies.watch([])
    asked = {
        "asks for rows": when("string", "name", "isNotNull", relatedModelUuid=companies.model.uuid),
        "asks for rows ": {"kind": "occurrence", "relatedModelUuid": companies.model.uuid, "conditions": [],
                           "conjonction": "and", "frequency": {"operator": "not"}},
        "another segment": {"kind": "segment", "operator": "in", "segmentUuid": own},
        "'companyTier' is made from": when("string", "companyTier", "is", values="A"),
    }  # fmt: skip
    with Pusher(box, "default.contacts") as contacts:
        uuids = {contacts.watch([condition]): word for word, condition in asked.items()}
        other = contacts.watch([when("string", "email", "isNotNull")])
    play = next(iter(box.world.tables["plays"].values()))
    play["segmentUuid"] = next(iter(uuids))
    radius = companies.foretell(Writes([{"name": "x"}]))
    told = {segment.uuid: segment for segment in radius.segments}
    assert other not in told
    for uuid, word in uuids.items():
        assert (told[uuid].entering, told[uuid].leaving, told[uuid].changed) == (None, None, None)
        assert word.strip() in told[uuid].reason
        assert told[uuid].model == "default.contacts"
    assert [(each.runs, each.name) for each in radius.plays if each.uuid == play["uuid"]] == [(None, play["name"])]


def test_columns_that_count_rows_of_this_model_are_told_from_others(box):
    """A metric over deals moves segments of companies when deals are written, and one over contacts does not."""
    with Pusher(box, "default.companies") as companies:
        over = {
            slug: companies.watch([when("number", slug, "isNotNull")]) for slug in ("pipelineAmount", "contactsCount")
        }
        over["sorted"] = companies.watch([], sort=[{"columnSlug": "metric__pipelineAmount", "kind": "desc"}], limit=3)
        over["tracked"] = companies.watch([], trackingColumnSlugs=["metric__pipelineAmount"])
        over["neither"] = companies.watch([], trackingColumnSlugs=["metric__contactsCount"])
    with Pusher(box, "default.deals") as deals:
        told = {segment.uuid for segment in deals.foretell(Writes([{"name": "x"}])).segments}
        box.faults.add(path="storage/relationships/list", kind="forbidden")
        unsure = {segment.uuid for segment in deals.foretell(Writes([{"name": "x"}])).segments}
        box.faults.clear()
    assert {word for word, uuid in over.items() if uuid in told} == {"pipelineAmount", "sorted", "tracked"}
    assert {word for word, uuid in over.items() if uuid in unsure} == {*over}
    for uuid in over.values():
        del box.world.tables["segments"][uuid]


def test_what_else_is_not_known_of_plays_makes_their_runs_unknown(box, companies, plays):
    """A rule that nobody has heard of, and workflows that may not be listed: there are runs at most."""
    plays[0]["runCreationRule"] = "twice"
    found = {play.uuid: play for play in companies.foretell(Writes([{"stage": "customer"}])).plays}
    assert (found[plays[0]["uuid"]].runs, found[plays[0]["uuid"]].at_most) == (None, 1)
    assert "rule" in found[plays[0]["uuid"]].reason
    box.faults.add(path="orchestration/workflows/list", kind="forbidden")
    found = companies.foretell(Writes([{"stage": "customer"}])).plays
    assert {(play.runs, play.at_most, play.reason) for play in found} == {
        (None, 1, "whether its workflow is deployed cannot be seen")
    }


@pytest.mark.parametrize("group", ["segmentation", "orchestration"])
def test_what_the_token_may_not_list_is_said_to_be_unknown(box, group):
    """No segments, or no plays, are no proof that nothing starts."""
    with Pusher(box, "default.companies", box.token_without(group)) as pusher:
        radius = pusher.foretell(Writes([{"stage": "customer"}]))
    assert radius.line.startswith("what it would start is unknown (the token may not list")
    assert radius.runs is radius.credits is None
    assert bool(radius.segments) == (group == "orchestration")


def test_only_fields_that_are_asked_for_have_to_be_read(companies):
    """Filters and orders name them; the record's id is always there."""
    for segment in companies.box.world.tables["segments"].values():
        segment["deletedAt"] = segment["createdAt"]
    companies.watch(
        [when("string", "_title", "isNotNull"), when("string", "tier", "isNotNull")], trackingColumnSlugs=["stage"]
    )
    companies.watch([], sort=[{"columnSlug": "_id", "kind": "asc"}, {"columnSlug": "sequence", "kind": "asc"}], limit=3)
    assert companies.watchers().fields == {"name", "custom__tier", "sequence"}
