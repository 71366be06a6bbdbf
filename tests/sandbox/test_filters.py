import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.filter_oracle import picks

STRING = ["is", "isNot", "contains", "doesNotContain", "startsWith", "endsWith"]
ORDERED = ["is", "isNot", "greaterThan", "lowerThan"]
NULLS = ["isNull", "isNotNull"]
HOW = st.sampled_from(["and", "or"])


def picked(api, model, tree, **more):
    """Read all rows that a filter picks; the count has to agree with them on every page."""
    rows = []
    while True:
        sent = {"modelUuid": model, "filter": tree, "fetchingLimit": 100, "fetchingOffset": len(rows), **more}
        answer = api.post("/segmentation/segments/fetch", json=sent)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["records"]
        if not page["records"] or len(rows) == page["count"]:
            assert len(rows) == page["count"]
            return rows


class Model:
    """A model's rows and types, and strategies for conditions whose operands are often in the rows."""

    def __init__(self, box, dataset, slug):
        found = (m for m in box.truth("models") if m["slug"] == slug)
        slugs = {uuid: each["slug"] for uuid, each in box.world.tables["datasets"].items()}
        self.uuid = next(m["uuid"] for m in found if slugs[m["datasetUuid"]] == dataset)
        self.rows = box.truth_rows(self.uuid)
        self.types = {column.name: column.type for column in box.world.columns_of(self.uuid)}

    def filters(self):
        conditions = st.lists(self.conditions(), max_size=4)
        group = st.fixed_dictionaries({"conjonction": HOW, "conditions": conditions})
        return st.fixed_dictionaries({"conjonction": HOW, "groups": st.lists(group, max_size=3)})

    def conditions(self):
        return st.sampled_from(sorted(self.types)).flatmap(self.condition)

    def condition(self, slug):
        return st.one_of(self.fitting(slug), self.fitting(slug).flatmap(self.dropped))

    def fitting(self, slug):
        kind = self.types[slug]
        head = {"kind": st.just(kind), "columnSlug": st.just(slug)}
        plain = st.fixed_dictionaries({**head, "operator": st.sampled_from(NULLS)})
        values = [row[slug] for row in self.rows if row[slug] is not None]
        if kind == "string":
            pieces = self.pieces(values)
            many = st.one_of(pieces, st.lists(pieces, max_size=3))
            tests = st.fixed_dictionaries({**head, "operator": st.sampled_from(STRING), "values": many})
            empty = st.fixed_dictionaries({**head, "operator": st.sampled_from(["isEmpty", "isNotEmpty"])})
            return st.one_of(plain, tests, empty)
        if kind in {"number", "date"} and values:
            one = st.sampled_from(values)
            tests = st.fixed_dictionaries({**head, "operator": st.sampled_from(ORDERED), "value": one})
            ends = {**head, "operator": st.just("between"), "firstValue": one, "lastValue": one}
            return st.one_of(plain, tests, st.fixed_dictionaries(ends))
        if kind == "boolean":
            return st.fixed_dictionaries({**head, "operator": st.sampled_from([*NULLS, "isTrue", "isFalse"])})
        if kind in {"object", "array"}:
            inner = self.properties(slug, values)
            match = {**head, "operator": st.just("matchConditions"), "conjonction": HOW}
            nested = st.fixed_dictionaries({**match, "propertyConditions": st.lists(inner, min_size=1, max_size=3)})
            return st.one_of(plain, inner, nested)
        return plain

    @staticmethod
    def pieces(values):
        """Whole values, parts of them, and other texts."""
        known = st.sampled_from(values or [""])
        part = st.builds(
            lambda text, start, size: text[start : start + size], known, st.integers(0, 9), st.integers(0, 6)
        )
        return st.one_of(known, part, st.text(max_size=3))

    @staticmethod
    def properties(slug, values):
        objects = [each for value in values for each in (value if isinstance(value, list) else [value])]
        objects = [each for each in objects if isinstance(each, dict)]
        names = [*sorted({name for each in objects for name in each}), "no/such~key", ""]
        texts = [v if isinstance(v, str) else json.dumps(v) for each in objects for v in each.values() if v is not None]
        value = st.one_of(st.sampled_from(texts or ["x"]), st.sampled_from(["", "5", "-1.5", "zz"]))
        head = {"kind": st.just("objectProperty"), "columnSlug": st.just(slug), "propertyName": st.sampled_from(names)}
        tests = {**head, "operator": st.sampled_from([*STRING, "greaterThan", "lowerThan"]), "value": value}
        state = {**head, "operator": st.sampled_from([*NULLS, "isEmpty", "isNotEmpty"])}
        between = {**head, "operator": st.just("between"), "value": value, "otherValue": value}
        return st.one_of(*(st.fixed_dictionaries(each) for each in (tests, state, between)))

    def dropped(self, condition):
        """The same condition with a mistake that Cargo does not report."""
        wrong_kind = "string" if condition["kind"] != "string" else "number"
        mistakes = [{**condition, "columnSlug": "no_such_column"}]
        if condition["kind"] != "objectProperty":
            mistakes.append({**condition, "kind": wrong_kind})
        if "values" in condition:
            mistakes.append({**{k: v for k, v in condition.items() if k != "values"}, "value": condition["values"]})
        return st.sampled_from(mistakes)


@pytest.fixture(
    scope="module", params=[("default", "companies"), ("default", "scorecards"), ("default", "deals")], ids=str
)
def model(request, box):
    return Model(box, *request.param)


def test_filters_agree_with_a_second_opinion(api, model):
    """Any mixture of documented conditions, and of mistakes that are dropped, picks what plain Python picks."""

    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(model.filters())
    def agrees(tree):
        wanted = [row["_id"] for row in model.rows if picks(tree, row, model.types)]
        assert [row["_id"] for row in picked(api, model.uuid, tree)] == wanted

    agrees()


def only(*conditions, how="and"):
    return {"conjonction": "and", "groups": [{"conjonction": how, "conditions": list(conditions)}]}


@pytest.fixture(scope="module")
def firms(box):
    return Model(box, "default", "companies")


@pytest.mark.parametrize(
    "tree",
    [
        {"conjonction": "and", "groups": []},
        {"conjunction": "and", "groups": []},
        {"conjonction": "and"},
        {
            "conjonction": "and",
            "groups": [],
            "conditions": [{"kind": "string", "columnSlug": "name", "operator": "isNull"}],
        },
        {"conjonction": "and", "groups": "all"},
        {"conjonction": "and", "groups": [{"conjonction": "and"}, 7]},
        only({"kind": "string", "columnSlug": "nothing", "operator": "isNull"}),
        only({"kind": "number", "columnSlug": "name", "operator": "isNull"}),
        only({"kind": "string", "columnSlug": "name", "operator": "is", "value": "x"}),
        only({"kind": "string", "columnSlug": "name", "operator": "is", "values": [7]}),
        only({"kind": "string", "columnSlug": "name", "operator": "resembles", "values": "x"}),
        only({"kind": "number", "columnSlug": "employeesCount", "operator": "greaterThan", "value": "7"}),
        only({"kind": "number", "columnSlug": "employeesCount", "operator": "between", "firstValue": 7}),
        only({"kind": "date", "columnSlug": "createdAt", "operator": "greaterThan", "value": "soon"}),
        only({"kind": "boolean", "columnSlug": "isCustomer", "operator": "is", "value": True}),
        only({"kind": "vector", "columnSlug": "embedding", "operator": "matchConditions"}),
        only({"kind": "object", "columnSlug": "address", "operator": "matchConditions", "conjonction": "and"}),
        only({"kind": "mystery"}, 7, None),
    ],
)
def test_what_cannot_be_read_is_dropped_silently(api, firms, tree):
    """A misspelt key, a stray condition, an unfit kind or operand: 200, and the result is not filtered."""
    assert picked(api, firms.uuid, tree) == firms.rows


def test_a_misspelt_conjonction_falls_back_to_and(api, firms):
    """The French spelling is mandatory; another is dropped, so `or` becomes `and`."""
    conditions = [{"kind": "string", "columnSlug": "name", "operator": each} for each in NULLS]
    assert picked(api, firms.uuid, only(*conditions, how="or")) == firms.rows
    tree = {"conjonction": "and", "groups": [{"conjunction": "or", "conditions": conditions}]}
    assert picked(api, firms.uuid, tree) == []


def test_integers_beyond_doubles_are_compared_exactly(api, firms):
    """Two integers past 2^53 that are one double are still two."""
    value = max(row["sequence"] for row in firms.rows if row["sequence"] is not None)
    assert value > 2**53
    found = picked(
        api, firms.uuid, only({"kind": "number", "columnSlug": "sequence", "operator": "is", "value": value})
    )
    assert found == [row for row in firms.rows if row["sequence"] == value]


def test_additional_columns_are_found_by_bare_and_by_physical_name(api, firms):
    """custom__tier and tier mean the same column, unless an original column has the bare name."""
    for slug in ("custom__tier", "tier"):
        tree = only({"kind": "string", "columnSlug": slug, "operator": "is", "values": ["A"]})
        assert picked(api, firms.uuid, tree) == [row for row in firms.rows if row["custom__tier"] == "A"]


def test_columns_of_related_models_are_read_through_relationships(box, api, firms):
    """A condition with relatedModelUuid picks rows that have a related row which passes."""
    deals = Model(box, "default", "deals")
    won = {"kind": "string", "columnSlug": "stage", "operator": "isNotNull", "relatedModelUuid": deals.uuid}
    owners = {row["companyId"] for row in deals.rows if row["stage"] is not None}
    assert picked(api, firms.uuid, only(won)) == [row for row in firms.rows if row["id"] in owners]
    named = {
        "kind": "string",
        "columnSlug": "name",
        "operator": "startsWith",
        "values": "A",
        "relatedModelUuid": firms.uuid,
    }
    names = {row["id"]: row["name"] or "" for row in firms.rows}
    wanted = [row for row in deals.rows if names.get(row["companyId"], "").startswith("A")]
    assert picked(api, deals.uuid, only(named)) == wanted


def test_membership_of_a_segment_is_a_condition(box, api):
    """in and notIn part the rows; a limited segment holds only its first rows in its order."""
    for segment in box.truth("segments"):
        uuid = segment["modelUuid"]
        sent = {"sort": segment["sort"]} if segment["sort"] else {}
        sent |= {"limit": segment["limit"]} if segment["limit"] else {}
        inside = {row["_id"] for row in picked(api, uuid, segment["filter"], **sent)}
        everything = {row["_id"] for row in box.truth_rows(uuid)}
        for operator, wanted in (("in", inside), ("notIn", everything - inside)):
            tree = only({"kind": "segment", "segmentUuid": segment["uuid"], "operator": operator})
            assert {row["_id"] for row in picked(api, uuid, tree)} == wanted


@pytest.mark.parametrize(
    ("frequency", "passes"),
    [
        ({"operator": "not"}, lambda n: n == 0),
        ({"operator": "moreThan", "value": 1}, lambda n: n > 1),
        ({"operator": "lessThan", "value": 2}, lambda n: n < 2),
        ({"operator": "exactly", "value": 1}, lambda n: n == 1),
    ],
)
@pytest.mark.parametrize("operator", ["lessThan", "moreThan"])
def test_occurrences_count_related_rows_in_a_period(box, api, firms, frequency, passes, operator):
    """How many deals, opened within or before the last 60 days, are open: by each frequency."""
    deals = Model(box, "default", "deals")
    condition = {
        "kind": "occurrence",
        "relatedModelUuid": deals.uuid,
        "frequency": frequency,
        "period": {"operator": operator, "value": 60, "unit": "day"},
        "conjonction": "and",
        "conditions": [{"kind": "boolean", "columnSlug": "isClosed", "operator": "isFalse"}],
    }
    edge = _days_ago(box, 60)
    counts = {}
    for row in deals.rows:
        inside = row["openedAt"] is not None and (row["openedAt"] > edge) == (operator == "lessThan")
        if inside and row["isClosed"] is False:
            counts[row["companyId"]] = counts.get(row["companyId"], 0) + 1
    wanted = [row for row in firms.rows if passes(counts.get(row["id"], 0))]
    assert picked(api, firms.uuid, only(condition)) == wanted


def _days_ago(box, days):
    from datetime import timedelta

    return (box.world.now - timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("kind", ["workflowEntered", "workflowLeft", "workflowNodeExecuted"])
def test_enrollments_count_what_records_did_in_a_workflow(box, api, kind):
    """Entered, left, or executed a node within 30 days, against the runs themselves."""
    runs = box.truth("runs")
    play = max(box.truth("plays"), key=lambda play: sum(run["workflowUuid"] == play["workflowUuid"] for run in runs))
    own = [run for run in runs if run["workflowUuid"] == play["workflowUuid"]]
    node = own[0]["executions"][0]["nodeSlug"]
    edge = _days_ago(box, 30)
    moments = {
        "workflowEntered": lambda run: [run["createdAt"]],
        "workflowLeft": lambda run: [run["finishedAt"]],
        "workflowNodeExecuted": lambda run: [e["startedAt"] for e in run["executions"] if e["nodeSlug"] == node],
    }[kind]
    seen = {run["recordId"] for run in own if any(at and at > edge for at in moments(run))}
    condition = {
        "kind": "enrollment",
        "workflowUuid": play["workflowUuid"],
        "activityKind": kind,
        "frequency": {"operator": "moreThan", "value": 0},
        "period": {"operator": "lessThan", "value": 30, "unit": "day"},
    } | ({"nodeSlug": node} if kind == "workflowNodeExecuted" else {})
    rows = box.truth_rows(play["modelUuid"])
    assert seen
    found = {row["_id"] for row in picked(api, play["modelUuid"], only(condition))}
    assert found == {row["_id"] for row in rows} & seen
    never = {**condition, "frequency": {"operator": "not"}}
    assert {row["_id"] for row in picked(api, play["modelUuid"], only(never))} == {row["_id"] for row in rows} - seen


def test_a_sql_clause_is_a_condition_in_the_warehouses_dialect(api, firms):
    """`sql` takes a boolean expression over the model's columns."""
    clause = "employeesCount > 100 AND SAFE_CAST(name AS INT64) IS NULL AND `custom__tier` = 'A'"
    wanted = [row for row in firms.rows if (row["employeesCount"] or 0) > 100 and row["custom__tier"] == "A"]
    assert picked(api, firms.uuid, only({"kind": "sql", "name": "big", "clause": clause})) == wanted
    assert picked(api, firms.uuid, only({"kind": "sql", "name": "all", "clause": "isCustomer"})) == [
        row for row in firms.rows if row["isCustomer"]
    ]


SOME = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"


@pytest.mark.parametrize(
    "condition",
    [
        {"kind": "sql", "name": "x", "clause": "no_such_column = 1"},
        {"kind": "sql", "name": "x", "clause": "name ="},
        {"kind": "sql", "name": "x", "clause": "name IN (SELECT name FROM default.companies)"},
        {"kind": "sql", "name": "x", "clause": "DELETE FROM default.companies"},
        {"kind": "sql", "name": "x", "clause": "no_such_function(name)"},
        {"kind": "segment", "segmentUuid": SOME, "operator": "in"},
        {"kind": "string", "columnSlug": "name", "operator": "isNull", "relatedModelUuid": SOME},
        {"kind": "occurrence", "relatedModelUuid": SOME, "frequency": {"operator": "not"}, "conditions": []},
    ],
)
def test_a_filter_that_names_what_is_not_there_is_invalid(api, firms, condition):
    """invalidFilter for a clause that cannot run and for an unknown segment, model or relationship."""
    for path in ("fetch", "download"):
        sent = {"modelUuid": firms.uuid, "filter": only(condition)}
        answer = api.post(f"/segmentation/segments/{path}", json=sent)
        assert (answer.status_code, answer.json()["reason"]) == (400, "invalidFilter")
