"""The notebooks: each runs as it stands, shows what is committed, and says what is so.

UPDATE_NOTEBOOKS=1 writes their outputs anew, UPDATE_IMAGES=1 the pictures of their charts in docs/img.
"""

import base64
import json
import os
import re
import struct
import zlib
from html import unescape
from pathlib import Path

import duckdb
import pytest

from cargo_source.sandbox import Sandbox

# A notebook lets weeks pass in a whole workspace.
pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
IMAGES = ROOT / "docs" / "img"
LARGEST = 300_000
"""Bytes of a notebook: it has to open quickly where it is only looked at."""
LONGEST = 32
"""Lines of a cell, its SQL among them."""
VARIES = {
    r"\d+\.\d s\b": "N s",
    r"[\d,]+ requests": "N requests",
    r"127\.0\.0\.1:\d+": "127.0.0.1:PORT",
}
"""What differs from run to run: seconds, requests that are made ahead, ports."""


def read(name):
    return json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())


def outputs(book):
    """The outputs of a notebook, each with the name of its cell."""
    return [(cell["id"], each) for cell in book["cells"] for each in cell.get("outputs", ())]


def said(output):
    """An output's text, but for what differs from run to run; of a picture, that it is one."""
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        return "a picture"
    text = "".join("".join(data[kind]) for kind in sorted(data))
    for pattern, instead in VARIES.items():
        text = re.sub(pattern, instead, text)
    return text


def lines(book, cell):
    """What a cell has printed or shown as text."""
    return "\n".join(said(each) for name, each in outputs(book) if name == cell)


def table(book, cell):
    """The rows of the tables that a cell shows, as texts."""
    rows = re.findall(r"<tr.*?>(.*?)</tr>", lines(book, cell), re.DOTALL)
    cells = [re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[unescape(each) for each in row] for row in cells if row]


def numbers(text):
    return [float(each.replace(",", "")) for each in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


# Running -------------------------------------------------------------------------------------------------------------


def smaller(picture):
    """Compress a PNG as far as it goes, without changing a pixel: what draws it is in a hurry."""
    at, parts = 8, []
    while at < len(picture):
        (size,) = struct.unpack(">I", picture[at : at + 4])
        parts.append((picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]))
        at += 12 + size
    pixels = zlib.compress(zlib.decompress(b"".join(data for kind, data in parts if kind == b"IDAT")), 9)
    head = next(data for kind, data in parts if kind == b"IHDR")
    chunks = [(b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")]
    told = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return picture[:8] + b"".join(told)


def execute(name, folder, monkeypatch):
    """Run a notebook in a kernel and a folder of its own, and give it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    for variable in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "DLT_DATA_DIR"):
        monkeypatch.setenv(variable, str(folder / variable.lower()))
        (folder / variable.lower()).mkdir()
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=600, kernel_name="python3", record_timing=False, resources=where).execute()
    book.metadata = {"kernelspec": book.metadata.kernelspec, "language_info": {"name": "python"}}
    for _, output in outputs(book):
        if "image/png" in output.get("data", {}):
            picture = smaller(base64.b64decode(output.data["image/png"]))
            output.data["image/png"] = base64.b64encode(picture).decode()
    return json.loads(nbformat.writes(book))


# What is so ----------------------------------------------------------------------------------------------------------


class Witness:
    """SQL over what a sandbox itself holds, without the connector."""

    def __init__(self, box, folder):
        self._box, self._folder = box, folder
        self._db = duckdb.connect()
        self._db.execute("SET TimeZone = 'UTC'")

    def holds(self, table, rows=None, **columns):
        """Put some columns of an entity into a table."""
        file = self._folder / f"{table}.json"
        file.write_text("\n".join(json.dumps(row) for row in (self._box.truth(table) if rows is None else rows)))
        self._db.read_json(str(file), columns=columns, format="newline_delimited").create(table)
        return self

    def rows_of(self, slug, **columns):
        """Put rows of a native model into a table by its slug."""
        (model,) = [each for each in self._box.truth("models") if each["slug"] == slug and each["kind"] == "native"]
        return self.holds(slug, self._box.truth_rows(model["uuid"]), **columns)

    def __call__(self, query):
        return self._db.execute(query).fetchall()


def exploring(book, witness):
    """Models, and the revenue of the hundred largest."""
    witness.holds("models", uuid="VARCHAR").rows_of("companies", name="VARCHAR", annualRevenue="DOUBLE")
    ((models,),) = witness("SELECT count(*) FROM models")
    assert len(table(book, "models")) == models + 1 > 20
    ((companies, revenue),) = witness(
        "SELECT count(*), sum(annualRevenue) / 1e9 FROM (FROM companies WHERE annualRevenue IS NOT NULL"
        " ORDER BY annualRevenue DESC, name LIMIT 100)"
    )
    assert lines(book, "top").startswith(f"{companies} companies with {revenue:.2f} billion")


def spending(book, witness):
    """The agent and the play that spend the most, and how many runs failed."""
    witness.holds("messages", type="VARCHAR", agentUuid="VARCHAR", status="VARCHAR", usage="JSON")
    witness.holds("agents", uuid="VARCHAR", name="VARCHAR")
    witness.holds("plays", uuid="VARCHAR", name="VARCHAR", workflowUuid="VARCHAR")
    witness.holds(
        "runs",
        uuid="VARCHAR",
        workflowUuid="VARCHAR",
        status="VARCHAR",
        executions="STRUCT(nodeKind VARCHAR, creditsUsedCount DOUBLE, finishedAt VARCHAR)[]",
    )
    spent = "sum(CAST(usage->>'creditsUsedCount' AS DOUBLE))"
    agent, used, answers, successes = witness(
        f"SELECT name, {spent}, count(*), count(*) FILTER (status = 'success') FROM messages"
        " JOIN agents ON agents.uuid = agentUuid WHERE type = 'assistant' GROUP BY name ORDER BY 2 DESC"
    )[0]
    ((in_all,),) = witness(f"SELECT {spent} FROM messages WHERE type = 'assistant'")
    assert lines(book, "agents").startswith(f"{agent} spent the most: {used:,.2f} of {in_all:,.2f} credits")
    assert table(book, "agents")[1][1:6] == [
        agent, str(answers), str(successes), str(round(used, 2)), str(round(used / successes, 2))
    ]  # fmt: skip
    play, runs, failed, used = witness(
        "SELECT name, count(DISTINCT runs.uuid), count(DISTINCT runs.uuid) FILTER (status = 'error'),"
        " sum(0.01 + CASE WHEN x.nodeKind IN ('native', 'connector') THEN x.creditsUsedCount ELSE 0 END)"
        "   FILTER (x.finishedAt IS NOT NULL)"
        " FROM runs JOIN plays USING (workflowUuid), unnest(executions) AS e(x) GROUP BY name ORDER BY 4 DESC"
    )[0]
    assert lines(book, "plays").startswith(f"{play}: {runs} runs, {failed} failed")
    assert numbers(lines(book, "plays").splitlines()[0])[-1] == pytest.approx(used, abs=0.051)
    ((failures,),) = witness("SELECT count(*) FROM runs WHERE status = 'error'")
    assert lines(book, "failures").startswith(f"{failures} runs failed")


def moving(book, witness):
    """Who entered and left, in all and in the segment that is looked at; and who is still inside after four weeks."""
    counts = {f"{kind}RecordsCount": "BIGINT" for kind in ("added", "removed", "updated", "unchanged")}
    witness.holds("changes", uuid="VARCHAR", segmentUuid="VARCHAR", createdAt="TIMESTAMPTZ", **counts)
    witness.holds("plays", name="VARCHAR", segmentUuid="VARCHAR")
    witness.holds("change_rows", changeUuid="VARCHAR", _id="VARCHAR", _kind="VARCHAR")
    ((entered, left, segments),) = witness(
        "SELECT sum(addedRecordsCount), sum(removedRecordsCount), count(DISTINCT segmentUuid) FROM changes"
    )
    assert lines(book, "flows").startswith(f"{entered:,} entered, {left:,} left, in {segments} segments")
    source = "".join(next(cell["source"] for cell in book["cells"] if cell["id"] == "weeks"))
    name = re.search(r'SEGMENT = "(.*)"', source)[1]
    mine = f"(SELECT segmentUuid FROM plays WHERE name = '{name}')"
    ((entered, left, inside),) = witness(
        "SELECT sum(addedRecordsCount), sum(removedRecordsCount),"
        " arg_max(addedRecordsCount + updatedRecordsCount + unchangedRecordsCount, createdAt)"
        f" FROM changes WHERE segmentUuid IN {mine}"
    )
    assert lines(book, "weeks").startswith(f"{entered} entered, {left} left, {inside} are inside")
    assert entered - left == inside == numbers(lines(book, "steps").splitlines()[0])[-1]
    ((came, still),) = witness(
        "WITH moves AS (SELECT _id, _kind, changes.createdAt AS moment, lead(changes.createdAt) OVER (PARTITION BY _id"
        " ORDER BY changes.createdAt) AS next FROM change_rows JOIN changes ON changes.uuid = changeUuid"
        f" WHERE segmentUuid IN {mine} AND _kind IN ('added', 'removed'))"
        " SELECT count(*), count(*) FILTER (next IS NULL OR next > moment + to_days(28)) FROM moves"
        " WHERE _kind = 'added' AND date_trunc('week', moment) + to_days(35) <= (SELECT max(createdAt) FROM changes)"
    )
    assert lines(book, "retention").strip() == (
        f"after four weeks {still / came:.0%} are still inside ({still} of {came})"
    )


def pushing(book, witness):
    """What the brake counts, what the plan foretells, what is applied and what comes back agree with each other."""
    witness.rows_of("companies", stage="VARCHAR")
    ((companies, leads, others),) = witness(
        "SELECT count(*), count(*) FILTER (stage = 'lead'), count(*) FILTER (stage IS DISTINCT FROM 'qualified')"
        " FROM companies"
    )
    assert lines(book, "features").startswith(f"{companies} companies, {leads} of them leads")
    assert f"{others} of {companies} rows" in lines(book, "careless")
    best = int(numbers(lines(book, "plan"))[0])
    assert 5 < best < leads
    assert f"updates {best} of {companies} companies" in lines(book, "plan")
    assert f"{best} updated" in lines(book, "apply")
    assert lines(book, "came_back").startswith(f"{best} of {best} came back, {best} of them qualified")
    foretold = {row[0]: row[1:] for row in table(book, "set_off") if row[0].strip() not in {"", "name"}}
    exact = [(told, started) for told, _, started in foretold.values() if told.isdigit()]
    assert exact
    assert all(told == started for told, started in exact)


TRUTHS = {
    "01_explore": exploring,
    "02_agents_and_credits": spending,
    "03_segments_over_time": moving,
    "04_score_and_push_back": pushing,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_says_what_is_so(name, tmp_path, monkeypatch):
    """It ends without an error, shows what is committed, and its numbers are those of the workspace itself."""
    ran = execute(name, tmp_path, monkeypatch)
    if os.environ.get("UPDATE_NOTEBOOKS"):
        (ROOT / "notebooks" / f"{name}.ipynb").write_text(json.dumps(ran, indent=1, ensure_ascii=False) + "\n")
    committed = read(name)
    shown = [(cell, said(output)) for cell, output in outputs(ran)]
    assert [(cell, said(output)) for cell, output in outputs(committed)] == shown
    source = "".join("".join(cell["source"]) for cell in committed["cells"])
    days = re.search(r"box\.advance\(days=(\d+)\)", source)
    with Sandbox() as box:
        if days:
            box.advance(days=int(days[1]))
        TRUTHS[name](ran, Witness(box, tmp_path))


# What is committed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_can_be_read_where_nothing_runs(name):
    """All cells ran in their order, no output is an error or names a folder of somebody, and charts are pictures."""
    book, text = read(name), (ROOT / "notebooks" / f"{name}.ipynb").read_text()
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert {output["output_type"] for _, output in outputs(book)} <= {"stream", "execute_result", "display_data"}
    assert {output.get("name") for _, output in outputs(book)} <= {None, "stdout"}
    assert not re.search(r"/(tmp|root|home|work|Users|var)/", text)
    assert len(text.encode()) < LARGEST
    charts = [cell["id"] for cell in code if ".mark_" in "".join(cell["source"])]
    assert len(charts) >= 2
    pictures = {cell for cell, output in outputs(book) if "image/png" in output.get("data", {})}
    assert set(charts) == pictures


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_a_story_of_short_cells(name):
    """It begins with a title, ends by tidying, tells before it does, and no cell is long or defines classes."""
    cells = read(name)["cells"]
    assert "".join(cells[0]["source"]).startswith("# ")
    assert cells[-1]["id"] == "tidy"
    told = sum(cell["cell_type"] == "markdown" for cell in cells)
    assert told >= len(cells) / 3
    assert [cell["id"] for cell in cells if len(cell["source"]) > LONGEST] == []
    assert not [
        cell["id"] for cell in cells if re.search(r"^class |^for |^while ", "".join(cell["source"]), re.MULTILINE)
    ]


def test_pictures_of_the_charts_are_kept_for_pages():
    """docs/img has each chart of the notebooks, small, and no other of theirs."""
    pictures = {
        f"{path.stem}-{cell}.png": base64.b64decode("".join(output["data"]["image/png"]))
        for path in NOTEBOOKS
        for cell, output in outputs(read(path.stem))
        if "image/png" in output.get("data", {})
    }
    found = IMAGES.glob("0*.png")
    if os.environ.get("UPDATE_IMAGES"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        for path in found:
            path.unlink()
        for name, picture in pictures.items():
            (IMAGES / name).write_bytes(picture)
        found = IMAGES.glob("0*.png")
    assert {path.name: path.read_bytes() for path in found} == pictures
    assert len(pictures) >= 12
    assert max(map(len, pictures.values())) < 80_000


def test_every_notebook_is_held_against_the_truth():
    """A notebook whose numbers nobody checks is none of ours."""
    assert list(TRUTHS) == NAMES
