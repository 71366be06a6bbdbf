"""Pushes out of PostgreSQL, and the ledger in it: nothing is changed on the way, and nothing twice."""

import json
import os
from contextlib import closing

import dlt
import psycopg2
import pytest

from cargo_source.errors import DestinationRefused
from cargo_source.push.ledger_places import ledger_in
from tests.forked import run_command
from tests.push.oracle import Refused, pushed
from tests.push.playing import model_of, opened, stored
from tests.small import small_box
from tests.warehouses.postgres import PASSWORD

pytestmark = pytest.mark.postgres

DIGITS = Refused("has more digits than the column's numbers keep")
CELLS = {
    "12345678901234567890.123456789::numeric": ("decimal", "number", "12345678901234567890.123456789"),
    "1.50::numeric(10, 2)": ("number", "number", "1.5"),
    "12345678901234567890123456789012.5::numeric": ("decimal", "number", DIGITS),
    "'NaN'::numeric": ("number", "number", None),
    "9223372036854775807::bigint": ("integer", "number", "9223372036854775807"),
    "0.1::real": ("number", "number", "0.1"),
    "timestamptz '2020-01-01 00:00:00.001+02'": ("timestamp", "date", '"2019-12-31T22:00:00.001Z"'),
    "timestamptz '2020-01-01 00:00:00.000001+02'": ("timestamp", "date", Refused("has more than milliseconds")),
    "timestamptz 'infinity'": ("timestamp", "date", Refused("holds an infinite number")),
    "date '-infinity'": ("timestamp", "date", Refused("holds an infinite number")),
    "date '2020-01-01'": ("timestamp", "date", '"2020-01-01T00:00:00.000Z"'),
    """'{"a": [1, 2.50, null], "n": 12345678901234567890.5}'::jsonb""": (
        "json",
        "object",
        '{"a": [1, 2.50, null], "n": 12345678901234567890.5}',
    ),
    "'\"text\"'::jsonb": ("json", "any", '"text"'),
    "'null'::jsonb": ("json", "any", None),
    "ARRAY[1, 2, NULL]": ("json", "array", "[1,2,null]"),
    "ARRAY[ARRAY['a'], ARRAY['b']]": ("json", "array", '[["a"],["b"]]'),
    "ARRAY['{\"a\": 1}'::jsonb]": ("json", "array", '[{"a":1}]'),
    "ARRAY[0.1234567890123456789::numeric]": ("json", "array", Refused("holds a decimal with more digits")),
    "'00000000-0000-0000-0000-000000000001'::uuid": ("text", "string", '"00000000-0000-0000-0000-000000000001"'),
    "''::text": ("text", "string", '""'),
    "'\\x61'::bytea": ("text", "string", Refused("holds bytes")),
    "interval '1 day'": ("text", "string", Refused("which JSON has no form for")),
    "int4range(1, 3)": ("text", "string", Refused("which JSON has no form for")),
}


@pytest.fixture
def url(server):
    return server.new_database()


@pytest.fixture(scope="module")
def box():
    with small_box(73) as own:
        yield own


@pytest.fixture
def leads(box, url):
    """Two companies with another headcount, as a table of PostgreSQL's."""
    rows = sorted(stored(box, model_of(box, "default", "companies")).values(), key=lambda row: row["_id"])[:2]
    with closing(psycopg2.connect(url)) as db:
        db.cursor().execute("CREATE TABLE leads (domain text, people integer)")
        db.cursor().executemany(
            "INSERT INTO leads VALUES (%s, %s)", [(row["domain"], row["employeesCount"] + 1) for row in rows]
        )
        db.commit()
    return [row["domain"] for row in rows]


@pytest.mark.parametrize("cell", CELLS)
def test_types_of_postgres_come_as_they_are_or_are_refused(url, cell):
    """Numbers, times, JSON, arrays: each is exact beside a null, or its row says why it is not sent."""
    target, cargo, due = CELLS[cell]
    found, null = pushed(
        f"SELECT c FROM (VALUES (1, {cell}), (2, NULL)) t (i, c) ORDER BY i", target, cargo, database=url
    )
    assert null is None
    if isinstance(due, Refused):
        assert due.reason in found.reason
    else:
        assert found == due


def test_values_of_one_column_do_not_shape_one_another(url):
    """JSON objects keep their own fields, and what comes late may be of another size than what came first."""
    query = "SELECT c FROM (VALUES (1, '{\"a\": 1}'::jsonb), (2, '{\"b\": 2}'), (3, '[]')) t (i, c) ORDER BY i"
    assert pushed(query, "json", "any", database=url) == ['{"a": 1}', '{"b": 2}', "[]"]
    late = "SELECT CASE WHEN i > 61440 THEN 'x' END AS c FROM generate_series(1, 61441) i"
    assert pushed(late, "text", "string", database=url)[-2:] == [None, '"x"']


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEKT 1", "syntax error"),
        ("SELECT z FROM nope", 'relation "nope" does not exist'),
        ("SELECT 'secret'::integer AS c", "InvalidTextRepresentation"),
        ("DELETE FROM leads", "syntax error"),
        ("SELECT 1 AS c; DELETE FROM leads", "ReadOnlySqlTransaction"),
    ],
)
def test_queries_that_fail_are_told_in_a_line_and_change_nothing(url, leads, query, words):
    """PostgreSQL's own words where they name tables; never a cell."""
    found = pushed(query, "integer", "number", database=url)
    assert "the query failed" in found.reason
    assert words in found.reason
    assert "secret" not in found.reason
    assert pushed("SELECT count(*) AS c FROM leads", "integer", "number", database=url) == ["2"]


def test_a_database_that_does_not_answer_is_told_without_the_password(server, url):
    """A wrong password, a database that is not there, no server: a line each."""
    wrong = url.replace(PASSWORD, "wrong-secret")
    for place in (wrong, server.url("nope"), "postgresql://loader:wrong-secret@127.0.0.1:1/d"):
        found = pushed("SELECT 1 AS c", "integer", "number", database=place)
        assert "it cannot be reached" in found.reason
        assert not any(word in found.reason for word in ("secret", PASSWORD))
        with pytest.raises(DestinationRefused) as refused:
            ledger_in(place).rejects(None)
        assert "\n" not in str(refused.value)
        assert not any(word in str(refused.value) for word in ("secret", PASSWORD))


def test_a_push_and_its_ledger_in_a_pipelines_database(box, url, leads, tmp_path):
    """What is written is written once, the ledger is a table beside the source, and refused rows are listed from it."""
    made = dlt.destinations.postgres(url)
    pipeline = dlt.pipeline("ledgers", destination=made, dataset_name="cargo", pipelines_dir=str(tmp_path))
    query = 'SELECT domain, people AS "employeesCount" FROM public.leads UNION ALL SELECT NULL, 1'
    with opened(box) as ws:
        asked = {"key": "domain", "mode": "update", "database": pipeline, "ledger": pipeline}
        done = ws.push(query, "default.companies", **asked).apply()
        assert (done.updated, done.rejected) == (2, 1)
        again = ws.push(query, "default.companies", **asked)
        assert (again.counts.updates, again.counts.unchanged) == (0, 2)
    assert len(ledger_in(pipeline).rejects(None)) == 1
    with closing(psycopg2.connect(url)) as db, db.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cargo._cargo_push_rows")
        assert cursor.fetchone() == (3,)


def test_the_command_line_pushes_from_a_url_and_keeps_its_ledger_there(box, url, leads, tmp_path):
    """A query, a ledger and its rejects by URL; the second time nothing is sent; no output holds the password."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CARGO_")}
    environment |= {"HOME": str(tmp_path), "CARGO_API_URL": box.url, "CARGO_API_TOKEN": box.token}
    query = 'SELECT domain, people + 7 AS "employeesCount" FROM leads UNION ALL SELECT NULL, 1'
    asked = ["push", query, "--database", url, "--ledger", url, "--model", "default.companies", "--key", "domain"]
    done = run_command([*asked, "--mode", "update", "--apply", "--yes", "--allow-rejected"], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert "2 updated" in done.stdout
    again = run_command([*asked, "--mode", "update", "--json"], tmp_path, environment)
    assert json.loads(again.stdout)["plan"]["counts"]["unchanged"] == 2
    listed = run_command(["rejects", "--ledger", url, "--json"], tmp_path, environment)
    assert len(json.loads(listed.stdout)["rejects"]) == 1
    assert not any(PASSWORD in told for each in (done, again, listed) for told in (each.stdout, each.stderr))
