"""Texts with the character NUL, which PostgreSQL cannot hold: nothing is lost without a word, nor loaded by half."""

import json

import pytest

from cargo_source.errors import FixTheData
from tests.proxy import proxied
from tests.small import tiny_box
from tests.warehouses.places import InPostgres

NAMES = ("a\0b", r"no \u0000 at all", "\0")
"""What the first agents are called; the second only speaks of an escape."""
INSIDE = [{"slug": "a\0b", "speaks of": r"\u0000", "after a backslash": "\\\0", "of it after one": r"\\u0000", "\0": 1}]
SOME = {"only": ["agents", "agent_releases", "datasets"], "models": ["default.companies"]}


@pytest.fixture
def box():
    """A workspace of which every company has a NUL in its notes."""
    with tiny_box(1) as own:
        spec = own.world.warehouse.specs["default.companies"]
        own.reshape.add_column("default.companies", "remarks")
        for table in own.reshape._tables(spec):
            own.reshape._run(f"UPDATE {table} SET \"remarks\" = 'x' || chr(0) || 'y'")
        yield own


def with_nul(_method, path, told):
    """Agents and a release of one, with NUL in their texts and in their JSON."""
    if path == "ai/agents/list":
        for name, agent in zip(NAMES, sorted(told["agents"], key=lambda agent: agent["uuid"]), strict=False):
            agent["name"] = name
    if path == "ai/releases/list":
        for release in told["releases"][:1]:
            release["capabilities"] = INSIDE
    return told


def test_a_text_with_nul_lands_and_is_told_of(place, box):
    """As it is where it can be; in PostgreSQL with a sign in its place, and the outcome names the columns."""
    with proxied(box, after=with_nul) as odd:
        first, again = place.sync(odd, **SOME), place.sync(odd, **SOME)
    sign = "\N{SYMBOL FOR NULL}" if isinstance(place, InPostgres) else "\0"
    agents = {row["uuid"]: row["name"] for row in place.rows("agents")}
    uuids = sorted(row["uuid"] for row in box.truth("agents"))
    assert [agents[uuid] for uuid in uuids[: len(NAMES)]] == [name.replace("\0", sign) for name in NAMES]
    found = [json.loads(row["capabilities"]) for row in place.rows("agent_releases")]
    wanted = [{key.replace("\0", sign): shown(value, sign) for key, value in INSIDE[0].items()}]
    assert wanted in found
    assert {row["remarks"] for row in place.rows("default__companies")} == {f"x{sign}y"}
    notes = {each.table: each.note for each in first.outcomes if "NUL" in each.note}
    columns = {"agents": "name", "agent_releases": "capabilities", "default__companies": "remarks"}
    if not isinstance(place, InPostgres):
        columns = {}
    assert notes.keys() == columns.keys()
    assert all(notes[table].startswith(f"{column}: the character NUL") for table, column in columns.items())
    # A row whose text stands there otherwise has not moved.
    assert again.rows == 0


def shown(value, sign):
    return value.replace("\0", sign) if isinstance(value, str) else value


@pytest.mark.postgres
def test_a_key_with_nul_stops_the_sync_before_anything_is_loaded(server, box, tmp_path):
    """Keys tell rows apart, so none is changed: the table and the column are named."""

    def odd_key(_method, path, told):
        if path == "ai/agents/list":
            told["agents"][0]["uuid"] = "a\0b"
        return told

    place = InPostgres(tmp_path, server.new_database())
    with proxied(box, after=odd_key) as odd, pytest.raises(FixTheData, match="agents: the key uuid of a row"):
        place.sync(odd, only=["datasets", "agents"])
    assert place.query("SELECT 1 FROM information_schema.tables WHERE table_name IN ('datasets', 'agents')") == []
