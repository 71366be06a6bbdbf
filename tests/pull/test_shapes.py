from dlt.common.normalizers.naming.snake_case import NamingConvention
from hypothesis import given
from hypothesis import strategies as st

from cargo_source.catalog import ENTITIES
from cargo_source.pull.shapes import column_names, physical_columns, shape_of, table_names

fold = NamingConvention().normalize_path
slugs = st.text(st.sampled_from("abAB_- 1é"), min_size=1, max_size=6)


def model(slug, uuid="11111111-1111-4111-8111-111111111111", dataset="d", **fields):
    return {
        "uuid": uuid,
        "slug": slug,
        "datasetUuid": dataset,
        "columns": [],
        "additionalColumns": [],
        **fields,
    }


@given(st.lists(slugs, unique=True, max_size=8))
def test_columns_that_fold_to_one_name_keep_apart(fields):
    """However people spell their slugs, each column has a name of its own, and it is one that dlt leaves alone."""
    names = column_names(fields, fold)
    assert len(set(names.values())) == len(fields)
    assert all(fold(name) == name for name in names.values())


@given(st.lists(slugs, unique=True, min_size=2, max_size=8), st.randoms())
def test_names_do_not_depend_on_order(fields, random):
    """The same columns in another order have the same names."""
    shuffled = fields.copy()
    random.shuffle(shuffled)
    assert column_names(fields, fold) == column_names(shuffled, fold)


def test_models_whose_names_collide_get_a_suffix_of_their_uuid():
    """webVisits and web_visits are two tables, and both can be told."""
    models = [
        model("webVisits", "aaaaaaaa-1111-4111-8111-111111111111"),
        model("web_visits", "bbbbbbbb-1111-4111-8111-111111111111"),
    ]
    assert set(table_names(models, {"d": "crm"}, ENTITIES, fold).values()) == {
        "crm__web_visits_aaaaaaaa",
        "crm__web_visits_bbbbbbbb",
    }


def test_columns_are_typed_by_the_warehouse_where_the_model_is_vague():
    """A number that the warehouse keeps as an integer stays one; added columns are found under their physical name."""
    ddl = {
        "language": "bigQuery",
        "ddl": "CREATE TABLE `p.d.t` (_id STRING, _emitted_at TIMESTAMP, size INT64, score FLOAT64, price NUMERIC,"
        " custom__tier STRING, x_metric__deals FLOAT64, tags JSON, born DATE, odd GEOGRAPHY)",
    }
    row = model(
        "m",
        columns=[
            {"slug": "size", "type": "number", "kind": "original"},
            {"slug": "score", "type": "number", "kind": "original"},
            {"slug": "price", "type": "number", "kind": "original"},
            {"slug": "tags", "type": "array", "kind": "original"},
            {"slug": "born", "type": "date", "kind": "original"},
        ],
        additionalColumns=[
            {"slug": "tier", "type": "string", "kind": "custom"},
            {"slug": "deals", "type": "number", "kind": "metric"},
        ],
    )
    shape = shape_of(row, "crm", "crm__m", ddl, fold)
    assert {column.field: column.type for column in shape.columns} == {
        "_id": "text",
        "_emitted_at": "timestamp",
        "size": "integer",
        "score": "number",
        "price": "decimal",
        "tags": "json",
        "born": "timestamp",
        "custom__tier": "text",
        "x_metric__deals": "number",
        "odd": "json",
    }
    assert shape.reference == "crm.m"


def test_without_ddl_the_definition_makes_the_table():
    """A model that was never filled has a typed table too."""
    row = model("m", additionalColumns=[{"slug": "tier", "type": "string", "kind": "custom"}])
    shape = shape_of(row, "crm", "crm__m", None, fold)
    assert [column.field for column in shape.columns] == ["_id", "_title", "_emitted_at", "custom__tier"]


def test_a_slug_that_needs_quotes_is_quoted_in_the_warehouses_own_way():
    """Names that are plain go unquoted, since the platform rewrites them; others cannot."""
    for language, mark in (("bigQuery", "`"), ("snowflake", '"')):
        shape = shape_of(model("my-model"), "crm", "t", {"language": language, "ddl": ""}, fold)
        assert shape.reference == f"crm.{mark}my-model{mark}"


def test_ddl_that_cannot_be_read_is_no_ddl():
    """An unknown dialect costs the types that only it knows, not the sync."""
    assert physical_columns("CREATE SOMETHING ( that is no sql", None) == {}
    assert physical_columns(None, None) == {}
