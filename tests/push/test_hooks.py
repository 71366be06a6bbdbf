"""Models that take rows by a hook: new rows alone, recognised by a digest of their key, once whatever happens."""

import pyarrow as pa
import pytest

from cargo_source.errors import BadSettings, FixTheData
from tests.proxy import proxied
from tests.push.playing import UNLIMITED, model_of, opened, stored, written
from tests.small import small_box

CALLED = "http.website_forms"


@pytest.fixture
def own():
    """A workspace that a test writes to."""
    with small_box(17) as box:
        yield box


def forms(rows, **columns):
    return pa.table({"formKey": [f"key {n}" for n in range(rows)], "form": ["demo"] * rows, **columns})


def planned(ws, table, ledger, **wish):
    return ws.push(table, CALLED, **{"key": "formKey", "mode": "insert", "ledger": ledger, "limits": UNLIMITED, **wish})


def test_rows_are_taken_once_with_a_digest_of_their_key(own, ledger):
    """New columns come with them, 100 rows go in a call, and the second push sends nothing."""
    model = model_of(own, "http", "website_forms")
    before = stored(own, model)
    with proxied(own) as door, opened(door) as ws:
        report = planned(ws, forms(230, points=list(range(230))), ledger).apply()
        sizes = [
            len(rows) for method, path, rows in door.asked if path.endswith("/records/ingest") and method == "POST"
        ]
    assert (report.created, report.rejected) == (230, 0)
    assert (max(sizes), sum(sizes)) == (100, 230)
    new = [row for key, row in stored(own, model).items() if key not in before]
    assert {row["formKey"] for row in new} == {f"key {n}" for n in range(230)}
    assert all(len(row["cargo_push_key"]) == 64 for row in new)
    since = len(own.world.writing.journal)
    with opened(own) as ws:
        plan = planned(ws, forms(231), ledger)
        assert (plan.counts.creates, plan.counts.unchanged) == (1, 230)
        plan.apply()
    assert [kind for kind, _, _ in written(own, since)] == ["ingest"]


def test_columns_that_came_with_a_push_are_known_to_the_next_one(own, ledger):
    """In the same workspace, which asks only once what there is."""
    with opened(own) as ws:
        assert planned(ws, forms(3), ledger).apply().created == 3
        plan = planned(ws, forms(4), ledger)
    assert (plan.counts.creates, plan.counts.unchanged) == (1, 3)


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "cut"])
def test_an_answer_that_is_lost_makes_no_row_twice(own, ledger, kind):
    """What was sent is looked for by its digest, also where the model has the column only since then."""
    own.world.writing.delay = 0.05
    own.faults.add(path="models/*/records/ingest", kind=kind, count=1)
    with opened(own) as ws:
        report = planned(ws, forms(40), ledger).apply()
    assert (report.created, report.unknown) == (40, 0)
    own.world.writing.settle(at_once=True)
    digests = [row.get("cargo_push_key") for row in stored(own, model_of(own, "http", "website_forms")).values()]
    mine = [each for each in digests if each]
    assert len(mine) == len(set(mine)) == 40


def test_more_than_new_rows_is_refused(own, ledger):
    """A hook updates nothing and removes nothing; nested values are not taken, nor keys that come twice."""
    with opened(own) as ws:
        for mode in ("upsert", "update", "mirror", "fill_empty"):
            with pytest.raises(BadSettings, match="only new ones"):
                planned(ws, forms(1), ledger, mode=mode)
        with pytest.raises(FixTheData, match="'tags'"):
            planned(ws, forms(1, tags=[["a"]]), ledger)
        with pytest.raises(BadSettings, match="no column 'cargo_push_key'"):
            planned(ws, forms(1, cargo_push_key=["mine"]), ledger)
        twice = pa.table({"formKey": ["a", "a", None, "b"]})
        assert (planned(ws, twice, ledger).counts.creates, planned(ws, twice, ledger).counts.refused) == (1, 3)
