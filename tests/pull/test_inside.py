"""Executions follow the runs that they lie in: what a run shows last is all that it has."""

import pytest

from cargo_source.errors import PermissionDenied
from tests.proxy import proxied
from tests.small import small_box

ONLY = {"only": ["workflows", "runs", "executions"], "query_lane": False}
LIST = "orchestration/runs/list"
DISAGREE = """
    SELECT count(*) FROM cargo.runs AS r WHERE coalesce(json_array_length(executions), 0) <>
    (SELECT count(*) FROM cargo.executions AS e WHERE e.run_uuid = r.uuid AND e._cargo_deleted_at IS NULL)
"""


@pytest.fixture(scope="module")
def box():
    with small_box(5) as own:
        yield own


def each_run(change):
    """Change the executions of all runs in answers."""

    def after(_method, path, body):
        if path.endswith(LIST):
            for run in body["runs"]:
                change(run)
        return body

    return after


def emptied(run):
    if len(run["executions"] or []) > 2:
        run["executions"] = []


def test_a_run_that_shows_an_empty_list_has_no_executions_any_more(box, target):
    """An empty list is an answer: what was there before is marked."""
    target.sync(box, **ONLY)
    box.advance(days=1)
    with proxied(box, after=each_run(emptied)) as odd:
        target.sync(odd, **ONLY)
    assert target.query("SELECT count(*) > 0 FROM cargo.runs WHERE json_array_length(executions) = 0") == [(True,)]
    assert target.query(DISAGREE) == [(0,)]


def test_of_a_run_that_came_twice_the_later_executions_stay(box, target):
    """A first sync breaks off within a list, runs lose executions meanwhile, and the next sync goes on from there."""

    def refused(_method, path, params):
        if path.endswith(LIST) and int(params.get("offset") or 0) >= 10:
            return 403, {"errorMessage": "forbidden"}
        return None

    def short(_method, path, body):
        if path.endswith(LIST):
            body["runs"] = body["runs"][:10]
        return body

    def fewer(run):
        run["executions"] = (run["executions"] or [])[:1]

    with proxied(box, before=refused, after=short) as odd, pytest.raises(PermissionDenied):
        target.sync(odd, **ONLY)
    with proxied(box, after=each_run(fewer)) as odd:
        target.sync(odd, **ONLY)
    assert target.query("SELECT max(json_array_length(executions)) FROM cargo.runs") == [(1,)]
    assert target.query(DISAGREE) == [(0,)]


def test_a_secret_that_nobody_declared_stays_out_of_both_tables(box, target):
    """A field of an execution that is named like a secret lands neither there nor in what its run shows."""

    def told(run):
        for item in run["executions"] or []:
            item.update(apiKey="s3cret", note={"token": "s3cret", "kind": "kept"})

    with proxied(box, after=each_run(told)) as odd:
        target.sync(odd, **ONLY)
    everything = repr([target.rows("runs"), target.rows("executions")])
    assert "s3cret" not in everything
    assert everything.count('"kind":"kept"') >= 2 * len(target.rows("executions"))
