"""What people ask to leave out, to empty or to hash does not land as it was, whatever the lane."""

import hashlib
import json

import pytest

from cargo_source import cargo
from cargo_source.catalog import ENTITIES
from cargo_source.errors import BadSettings
from cargo_source.pull.shaping import Shaping
from cargo_source.pull.typed import arrow_table
from tests.small import small_box
from tests.test_cli import run

EMAILS = {"only": ["segments"], "models": ["default.contacts"]}


def contacts(box):
    uuid = next(m["uuid"] for m in box.truth("models") if m["slug"] == "contacts" and m["kind"] == "native")
    return {row["_id"]: row for row in box.truth_rows(uuid)}


@pytest.fixture
def own_box():
    with small_box(7, companies=40) as box:
        yield box


@pytest.mark.parametrize("lane", ["export", "csv", "pages"])
def test_a_hash_is_the_same_in_every_lane_and_the_value_is_nowhere(own_box, target, lane):
    """Equal values get equal pseudonyms, nulls stay null, and no file holds the value itself."""
    if lane != "export":
        own_box.faults.add({"path": "storage/query*", "kind": "forbidden", "count": None})
    if lane == "pages":
        own_box.faults.add({"path": "segmentation/segments/download", "kind": "forbidden", "count": None})
    report = target.sync(own_box, **EMAILS, pii={"email": "hash", "default__contacts.last_name": "null"})
    assert {o.lane for o in report.outcomes if o.entity == "records"} == {lane}
    workspace = own_box.truth("workspaces")[0]["uuid"]
    truth = contacts(own_box)
    landed = {row["_id"]: row for row in target.rows("default__contacts")}
    assert landed.keys() == truth.keys()
    for key, row in truth.items():
        email = row["email"]
        hashed = email and hashlib.sha256((workspace + email).encode()).hexdigest()
        assert landed[key]["email"] == hashed
        assert landed[key]["last_name"] is None
        assert landed[key]["_cargo_extra"] is None
    values = {row["email"].encode() for row in truth.values() if row["email"]}
    assert len(values) > 20
    for path in target.folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert [value for value in values if value in data] == [], path


def test_columns_keep_and_exclude_leaves_out(own_box, target):
    """Kept are the columns that are named, keys, and what a sync itself reads again; the rest has no column."""
    target.sync(
        own_box,
        only=["agents", "messages", "runs"],
        models=["default.contacts"],
        columns={"agents": ["name"], "messages": ["usage"]},
        exclude=["error_message", "default__contacts.email"],
    )
    ours = {"_cargo_extra", "_cargo_run_id", "_cargo_deleted_at"}
    assert target.types("agents").keys() == {"uuid", "name"} | ours
    assert target.types("messages").keys() == {"uuid", "usage", "status", "chat_uuid", "finished_at"} | ours
    assert "error_message" not in target.types("runs")
    assert "email" not in target.types("default__contacts")
    assert target.query("SELECT count(*) FROM cargo.default__contacts WHERE _cargo_extra IS NOT NULL") == [(0,)]


def test_what_is_asked_later_holds_for_all_rows(own_box, target):
    """A hash that is asked for after the first sync reads every row again, also of a model that did not move."""
    target.sync(own_box, **EMAILS)
    assert "@" in target.query("SELECT max(email) FROM cargo.default__contacts")[0][0]
    target.sync(own_box, **EMAILS, pii={"email": "hash"})
    assert target.query("SELECT count(*) FROM cargo.default__contacts WHERE email LIKE '%@%'") == [(0,)]


def test_a_pattern_that_fits_nothing_is_told(own_box, target, caplog):
    """A slip in a pattern would leave personal data where nobody expects it, so a first sync says it."""
    target.sync(own_box, **EMAILS, pii={"email": "hash", "emial": "hash"})
    assert "fits emial" in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pii": {"email": "encrypt"}}, "'hash' or 'null'"),
        ({"exclude": ["runs.uuid"]}, "has to land"),
        ({"pii": {"messages.status": "null"}}, "has to land"),
        ({"columns": {"agents": ["nmae"]}}, "did you mean 'name'"),
        ({"only": ["agents"], "pii": {"*.emial": "hash"}}, "emial"),
    ],
    ids=["treatment", "key", "followed", "slip", "nothing"],
)
def test_what_cannot_be_done_is_refused_before_anything_is_read(options, words):
    """A slip, or a column that a sync cannot do without, is told when the source is made."""
    with pytest.raises(BadSettings, match=words):
        cargo(token="t", **options)


def test_the_command_line_takes_them_too(box, tmp_path):
    """--columns, --exclude and --pii do what the arguments do."""
    options = ["--columns", "agents=name", "--exclude", "tools.icon", "--pii", "tools.name=hash"]
    done = run("sync", "--json", "--only", "agents,tools", *options, cwd=tmp_path, token=box.token, url=box.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "complete"
    done = run("sync", "--pii", "email", cwd=tmp_path, token=box.token, url=box.url)
    assert done.returncode == 2
    assert "name=value" in done.stderr


def test_personal_data_is_off_by_default_and_on_when_asked(own_box, target):
    """Message parts and record titles land with include_personal only."""
    target.sync(own_box, only=["messages", "runs"])
    assert "parts" not in target.types("messages")
    target.sync(own_box, only=["messages", "runs"], include_personal=True)
    assert target.query("SELECT count(parts) > 0 FROM cargo.messages") == [(True,)]
    missing = "SELECT count(*) FROM cargo.messages WHERE parts IS NULL"
    assert target.query(missing) == [(sum(row["parts"] is None for row in own_box.truth("messages")),)]


def test_records_of_changes_are_shaped_as_their_models_are(own_box, target):
    """What is hashed or left out of contacts is so in the records of changes, and titles land only when asked for."""
    target.sync(own_box, only=["change_rows"], pii={"default__contacts.email": "hash"}, exclude=["*.last_name"])
    found = target.query("SELECT string_agg(record::VARCHAR, ' ') FROM cargo.change_rows")[0][0]
    emails = {row["email"] for row in contacts(own_box).values() if row["email"]}
    assert [email for email in emails if email in found] == []
    assert '"lastName"' not in found
    assert '"firstName"' in found
    assert "title" not in target.types("change_rows")


def test_what_a_sweep_reads_again_lands_as_it_is(own_box, target):
    """votes are found again by their chat, so that column cannot be left out by a pattern, nor hashed."""
    options = {"only": ["votes"], "exclude": ["chat_uuid"], "columns": {"votes": ["is_upvoted"]}}
    target.sync(own_box, **options)
    own_box.advance(days=1)
    target.sync(own_box, **options)
    assert "chat_uuid" in target.types("votes")
    with pytest.raises(BadSettings, match="has to land"):
        cargo(token="t", pii={"votes.chat_uuid": "hash"})


def test_a_table_that_is_not_there_cannot_be_narrowed(own_box, target):
    """A slip in the name of a model's table would let everything land."""
    with pytest.raises(BadSettings, match="did you mean 'default__contacts'"):
        target.sync(own_box, **EMAILS, columns={"default__contact": ["id"]})


def test_another_key_hashes_all_rows_anew(own_box, target, monkeypatch):
    """One column never holds pseudonyms of two salts."""
    target.sync(own_box, **EMAILS, pii={"email": "hash"})
    before = set(target.query("SELECT email FROM cargo.default__contacts WHERE email IS NOT NULL"))
    monkeypatch.setenv("CARGO_PII_KEY", "another")
    target.sync(own_box, **EMAILS, pii={"email": "hash"})
    after = set(target.query("SELECT email FROM cargo.default__contacts WHERE email IS NOT NULL"))
    assert len(before) == len(after)
    assert not before & after


def test_unknown_columns_are_hidden_where_they_are_asked_to_be():
    """_cargo_extra keeps nothing of a field whose name is excluded, or whose table keeps named columns only."""
    shaping = Shaping(columns={"a": ["id"]}, exclude=["email"])
    assert shaping.hides("a", "anything")
    assert shaping.hides("b", "email")
    assert not shaping.hides("b", "name")


def test_a_value_that_does_not_fit_is_searched_for_secrets_too():
    """A text column that receives an object keeps it without what is named like a secret."""
    rows = [{"uuid": "u", "name": {"password": "p", "label": "l"}}]
    table = arrow_table(rows, ENTITIES["agents"].columns, known=ENTITIES["agents"].fields, run_id="r", dropped=())
    assert json.loads(table.to_pylist()[0]["_cargo_extra"]) == {"name": {"label": "l"}}
