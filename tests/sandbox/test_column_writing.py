"""Columns that a client adds to a model, changes and removes: where they show, and what is refused."""

import pytest

from cargo_source.sandbox import Sandbox
from tests.sandbox.asking import NOBODY, client, created, done, made, named, names, refused

COLUMNS = "/storage/columns"
CUSTOM = {"slug": "rank", "type": "number", "label": "Rank", "kind": "custom", "description": "Of the board"}
EXPRESSION = {"expression": "{{ name }}", "instructTo": "none", "kind": "templateExpression", "fromRecipe": False}
COMPUTED = {"slug": "hello", "type": "string", "label": "Hello", "kind": "computed", "expression": EXPRESSION}


@pytest.fixture(scope="module")
def box():
    """One sandbox of this module's tests; each test makes models of its own."""
    with Sandbox(seed=5, companies=20) as box:
        yield box


@pytest.fixture(scope="module")
def api(box):
    with client(box) as http:
        yield http


def added(api, model):
    return done(api, "GET", f"/storage/models/{model}")["model"]["additionalColumns"]


def put(api, model, column, method="POST"):
    return done(api, method, COLUMNS, {"modelUuid": model, "column": column})


def test_an_added_column_shows_everywhere_under_its_kind(box, api):
    """In the model as it was sent, in the names, in the DDL and in rows, where it is null; its bare slug is known."""
    model = made(api, box, "everywhere")["uuid"]
    (row,) = created(api, model, {"name": "a"})
    for column in (CUSTOM, COMPUTED):
        put(api, model, column)
    assert added(api, model) == [CUSTOM, COMPUTED]
    assert names(api, model)[-2:] == ["custom__rank", "computed__hello"]
    assert done(api, "GET", "/storage/columns/list", modelUuid=model)["columns"] == names(api, model)
    assert done(api, "GET", "/storage/columns/existsBySlug", modelUuid=model, slug="rank") == {"exists": True}
    (found,) = done(api, "POST", "/storage/records/list", {"modelUuid": model})["records"]
    assert found == row | {"custom__rank": None, "computed__hello": None}
    query = {"query": "SELECT custom__rank AS rank FROM default.everywhere"}
    assert done(api, "POST", "/storage/query", query)["rows"] == [{"rank": None}]


def test_an_added_column_is_not_written_to(box, api):
    """Only what the model's config declares takes values, by whatever name the column goes."""
    model = made(api, box, "read_only")["uuid"]
    put(api, model, CUSTOM)
    for name in ("rank", "custom__rank"):
        text = refused(api, "POST", "/storage/records/create", {"modelUuid": model, "data": {name: 1}})
        assert text == f"Unknown column: {name}"


def test_a_posted_key_is_another_column_than_an_added_one(box, api):
    """Rows that come to a hook fill a column of their own, though one of that slug was added."""
    model = named(box, "http.product_signups")
    put(api, model, CUSTOM)
    assert api.post(f"/models/{model}/records/ingest", json={"rank": "first"}).status_code == 200
    found = [row for row in box.truth_rows(model) if row["rank"]]
    assert [(row["rank"], row["custom__rank"]) for row in found] == [("first", None)]


def test_rows_that_do_not_show_yet_get_the_column_too(box, api):
    """A column that comes while writes are under way lets them show first."""
    model = made(api, box, "under_way")["uuid"]
    box.world.writing.delay = 60
    try:
        created(api, model, {"name": "a"})
        put(api, model, CUSTOM)
    finally:
        box.world.writing.delay = 0
    (found,) = done(api, "POST", "/storage/records/list", {"modelUuid": model})["records"]
    assert found["custom__rank"] is None


def test_a_column_changes_its_definition(box, api):
    """What is sent takes the place of what was; another type recasts the cells; declared columns change their label."""
    model = made(api, box, "redefined")["uuid"]
    put(api, model, CUSTOM)
    renamed = {"slug": "rank", "type": "string", "label": "Place", "kind": "custom"}
    put(api, model, renamed, "PUT")
    assert added(api, model) == [renamed]
    assert "`custom__rank` STRING" in done(api, "GET", f"/storage/models/{model}/ddl")["ddl"]
    own = {"slug": "name", "type": "string", "label": "Full name", "kind": "original", "originalSlug": "name"}
    put(api, model, own, "PUT")
    assert own in done(api, "GET", f"/storage/models/{model}")["model"]["columns"]
    retyped = {"modelUuid": model, "column": own | {"type": "date"}}
    assert "extractor" in refused(api, "PUT", COLUMNS, retyped)
    for other in ({"slug": "nobody"}, {"kind": "computed", "expression": EXPRESSION}):
        assert refused(api, "PUT", COLUMNS, {"modelUuid": model, "column": renamed | other}) == "columnNotFound"


def test_a_removed_column_is_gone(box, api):
    """It is in no list, no DDL and no row any more; what the extractor declares is not removed so."""
    model = made(api, box, "narrowed")["uuid"]
    created(api, model, {"name": "a"})
    put(api, model, CUSTOM)
    done(api, "DELETE", COLUMNS, {"modelUuid": model, "columnSlug": "rank"})
    assert added(api, model) == []
    assert "custom__rank" not in names(api, model)
    (found,) = done(api, "POST", "/storage/records/list", {"modelUuid": model})["records"]
    assert "custom__rank" not in found
    assert refused(api, "DELETE", COLUMNS, {"modelUuid": model, "columnSlug": "rank"}) == "columnNotFound"
    assert "declared" in refused(api, "DELETE", COLUMNS, {"modelUuid": model, "columnSlug": "name"})


def test_a_column_that_segments_name_may_go(box, api):
    """Their evaluations go on without it, and so does the workspace."""
    companies = named(box, "default.companies")
    segment = next(row for row in box.world.tables["segments"].values() if row["modelUuid"] == companies)
    segment |= {"trackingColumnSlugs": ["custom__tier"], "columnSlugs": ["name", "custom__tier"]}
    box.poke.evaluate(segment["uuid"])
    done(api, "DELETE", COLUMNS, {"modelUuid": companies, "columnSlug": "tier"})
    box.world.tick()
    rows = [row for kind, row in box.poke.evaluate(segment["uuid"]) if kind != "removed"]
    assert {"name" in row for row in rows} == {True}
    assert not any("custom__tier" in row for row in rows)
    assert box.advance(days=1)


def metric(edge, column, **more):
    aggregation = {"function": "COUNT", "columnSlug": column}
    shown = {"slug": "counted", "type": "number", "label": "Counted", "kind": "metric", "relationshipUuid": edge}
    return {**shown, "aggregation": aggregation, "filter": None, **more}


def lookup(to, **more):
    join = {"toModelUuid": to, "fromColumnSlug": "name", "toColumnSlug": "name"}
    shown = {"slug": "found", "type": "string", "label": "Found", "kind": "lookup", "extractColumnSlug": "domain"}
    return {**shown, "join": join | more}


def test_columns_that_rest_on_other_models(box, api):
    """A metric needs a relationship of the model, a lookup two columns that join; neither may rest on itself."""
    companies = named(box, "default.companies")
    edge = next(row for row in box.truth("relationships") if companies in {row["fromModelUuid"], row["toModelUuid"]})
    (other,) = {edge["fromModelUuid"], edge["toModelUuid"]} - {companies}
    put(api, companies, metric(edge["uuid"], box.world.spec_of(other).id))
    model = made(api, box, "looking")["uuid"]
    put(api, model, lookup(companies))
    assert added(api, model) == [lookup(companies)]
    wrong = [
        (companies, metric(NOBODY, "id", slug="a")),
        (companies, metric(edge["uuid"], "nobody", slug="b")),
        (model, metric(edge["uuid"], "id", slug="c")),
        (model, lookup(NOBODY) | {"slug": "d"}),
        (model, lookup(model) | {"slug": "e"}),
        (model, lookup(companies, fromColumnSlug="nobody") | {"slug": "f"}),
        (model, lookup(companies, toColumnSlug="nobody") | {"slug": "g"}),
    ]
    for uuid, column in wrong:
        assert refused(api, "POST", COLUMNS, {"modelUuid": uuid, "column": column}) == "invalidRelationship"


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (CUSTOM | {"slug": "name"}, "duplicateSlug"),
        (CUSTOM | {"slug": "NAME"}, "duplicateSlug"),
        (CUSTOM | {"slug": "there"}, "duplicateSlug"),
        (CUSTOM | {"slug": "_id"}, "Invalid slug"),
        (CUSTOM | {"slug": "a b"}, "Invalid slug"),
        (COMPUTED | {"expression": EXPRESSION | {"instructTo": "ai"}}, "aiExpressionNotAllowed"),
        (CUSTOM | {"kind": "original"}, "invalid_enum_value"),
        (CUSTOM | {"expression": EXPRESSION}, "unrecognized_keys"),
        (CUSTOM | {"type": "text"}, "invalid_enum_value"),
        ({"slug": "a", "kind": "custom"}, "Required"),
    ],
)
def test_a_column_that_cannot_be_is_refused_with_the_reason(box, api, column, reason):
    """Slugs that are taken or that no table takes, expressions for a language model, and shapes of no kind."""
    models = box.world.tables["models"]
    model = next((uuid for uuid in models if models[uuid]["slug"] == "refusing"), None)
    if model is None:
        model = made(api, box, "refusing")["uuid"]
        put(api, model, CUSTOM | {"slug": "there"})
    before = names(api, model)
    assert reason in refused(api, "POST", COLUMNS, {"modelUuid": model, "column": column})
    assert names(api, model) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_model_that_is_not_there_has_no_columns(box, api, method):
    """Unknown models and removed ones are not found."""
    gone = made(api, box, f"gone_{method.lower()}")["uuid"]
    done(api, "DELETE", f"/storage/models/{gone}")
    for uuid in (NOBODY, gone):
        said = {"columnSlug": "name"} if method == "DELETE" else {"column": CUSTOM}
        assert refused(api, method, COLUMNS, {"modelUuid": uuid} | said) == "modelNotFound"
