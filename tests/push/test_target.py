"""Which column of a source goes where, and what is said where none does: a line with what to do."""

import pyarrow as pa
import pytest

from cargo_source.errors import BadSettings
from tests.push.playing import opened


@pytest.fixture(scope="module")
def ws(box):
    """A workspace that these tests only plan for."""
    with opened(box) as ws:
        yield ws


def planned(ws, folder, names, model="default.companies", key="domain", **wish):
    source = pa.table({name: pa.array([None], pa.string()) for name in names})
    return ws.push(source, model, key=key, ledger=folder / "ledger.duckdb", **wish)


@pytest.mark.parametrize(
    ("columns", "slug"),
    [
        (["domain", "jobTitle"], None),
        (["domain", "description"], "description"),
        (["domain", "Description"], "description"),
        (["domain", "DESCRIPTION"], "description"),
        ({"domain": "domain", "x": "Description"}, "description"),
    ],
)
def test_columns_go_by_slug_label_case_or_mapping(ws, tmp_path, columns, slug):
    """A name is a slug, a label, either in another case, or what a mapping says."""
    if slug is None:
        with pytest.raises(BadSettings, match="there is no column 'jobTitle'"):
            planned(ws, tmp_path, list(columns), columns=columns)
        return
    plan = planned(ws, tmp_path, list(columns), columns=columns)
    assert list(plan.facts.columns.values()) == ["domain", slug]


def test_what_a_load_has_added_is_left_out_and_said(ws, tmp_path):
    """The columns of dlt and of a pull are no part of the rows."""
    plan = planned(ws, tmp_path, ["domain", "_dlt_id", "_cargo_run_id", "_emitted_at", "_title"])
    assert list(plan.facts.columns) == ["domain"]
    assert "_dlt_id, _cargo_run_id, _emitted_at, _title" in plan.facts.notes[0]


@pytest.mark.parametrize(
    ("names", "wish", "words"),
    [
        (["domain", "nmae"], {}, "there is no column 'nmae' (did you mean 'name'?); name those to push"),
        (["domain", "tier"], {}, "column 'tier' was added to the model (custom)"),
        (["domain", "custom__tier"], {}, "column 'custom__tier' was added to the model (custom)"),
        (["domain", "fitScore"], {}, "column 'fitScore' is computed: Cargo makes its values; leave it out"),
        (["domain", "computed__fitScore"], {}, "is computed: Cargo makes its values; leave it out"),
        (["domain", "contactsCount"], {}, "column 'contactsCount' is metric"),
        (["domain", "owner"], {}, "column 'owner' is lookup"),
        (["domain", "id"], {}, "column 'id' is Cargo's own and cannot be written; leave it out"),
        (["domain", "_id"], {"columns": ["domain", "_id"]}, "column '_id' is Cargo's own"),
        (["domain", "_emitted_at"], {"columns": ["domain", "_emitted_at"]}, "column '_emitted_at' is Cargo's own"),
        (["domain"], {"columns": ["domain", "nam"]}, "the source has no column 'nam'"),
        (["domain"], {"columns": "domain"}, "a list of names is wanted, such as columns=['domain']"),
        (["domain", "Domain"], {}, "'domain' and 'Domain' both go to 'domain'; name one"),
        (["name"], {}, "key: no column that is pushed is called 'domain'"),
        (["domian"], {"columns": {"domian": "name"}}, "(did you mean 'domian'?)"),
        ([], {}, "key: no column that is pushed is called 'domain'"),
        (["address"], {"key": "address"}, "key: 'address' is of type object; take a text or a number"),
        (
            ["Company name"],
            {"model": "default.scorecards", "key": "Company name"},
            "2 columns are called 'Company name'",
        ),
    ],
    ids=str,
)
def test_a_column_that_goes_nowhere_is_told_in_a_line_that_says_what_to_do(ws, tmp_path, names, wish, words):
    """Unknown, added, computed, Cargo's own, twice, ambiguous: before anything is read."""
    with pytest.raises(BadSettings) as caught:
        planned(ws, tmp_path, names, **wish)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_may_be_either_of_two_columns_is_refused(ws, tmp_path):
    """One is called so, the other goes there: which of them tells rows apart nobody can know."""
    with pytest.raises(BadSettings, match="may be any of the source's 'domain', 'site'"):
        planned(ws, tmp_path, ["domain", "site"], columns={"domain": "name", "site": "domain"})


def test_a_push_has_a_key(ws, tmp_path):
    """An empty name is none."""
    with pytest.raises(BadSettings, match="name the column that rows are told apart by"):
        planned(ws, tmp_path, ["domain"], key="")
