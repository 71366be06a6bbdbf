"""The page for people who write no SQL: its figures are right, it asks for nothing, and it says what it lacks."""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from html import unescape
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from cargo_source import Workspace, cargo, sync, write_report
from cargo_source.errors import BadSettings
from cargo_source.pull.destination import duckdb_pipeline
from cargo_source.report import page
from cargo_source.report.figures import DAYS, Figures
from tests.small import small_box

IMAGES = Path(__file__).parent.parent / "docs" / "img"


@pytest.fixture(scope="module")
def box():
    """A workspace that was pushed to, once more, after two days."""
    with small_box(41, companies=80) as made:
        yield made


@pytest.fixture(scope="module")
def folder(box, tmp_path_factory):
    """A folder with what was loaded from it, and with the ledger of a push."""
    where = tmp_path_factory.mktemp("report")
    pipeline = pipeline_in(where)
    sync(pipeline, cargo(token=box.token, url=box.url))
    box.advance(days=2)
    sync(pipeline, cargo(token=box.token, url=box.url))
    rows = pd.DataFrame({"domain": ["a.example", "b.example", "b.example"], "industry": ["x", "y", "z"]})
    with Workspace(box.token, box.url) as ws:
        ws.push(rows, "default.companies", key="domain", ledger=where / "pushes.duckdb").apply()
    return where


def pipeline_in(where):
    return duckdb_pipeline(where / "warehouse.duckdb", "cargo", where / "state")


def written(folder, tmp_path, **more):
    """The figures of a page, and the page."""
    found = write_report(
        tmp_path / "report.html", database=folder / "warehouse.duckdb", ledger=folder / "pushes.duckdb", **more
    )
    return found, (tmp_path / "report.html").read_text()


def last_days(moments):
    """From when on a chart shows something."""
    return date.fromisoformat(max(moments)[:10]) - timedelta(days=DAYS - 1)


def seen(html):
    """The words that a person sees."""
    text = re.sub(r"<(style|svg)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_figures_are_those_of_the_workspace(box, folder, tmp_path):
    """Credits, agents, plays, segments and failures, counted here out of the workspace itself."""
    found, html = written(folder, tmp_path)
    runs, messages = box.truth("runs"), [each for each in box.truth("messages") if each["usage"]]
    ended = [each for run in runs for each in run["executions"] if each["finishedAt"]]
    first = last_days([each["finishedAt"] for each in (*ended, *messages)])
    recent = [each for each in ended if date.fromisoformat(each["finishedAt"][:10]) >= first]
    answers = [each for each in messages if date.fromisoformat(each["finishedAt"][:10]) >= first]
    total = sum(each["creditsUsedCount"] for each in recent if each["nodeKind"] in {"native", "connector"})
    total += sum(each["usage"]["creditsUsedCount"] for each in answers) + len(recent) / 100
    assert found.credits["total"] == pytest.approx(total)
    assert found.credits["of_executions"] == pytest.approx(len(recent) / 100)
    assert f"{found.credits['total']:,.2f} credits" in seen(html)

    asked = [each for each in box.truth("messages") if each["type"] == "assistant" and each["agentUuid"]]
    first = last_days([each["createdAt"] for each in box.truth("messages") if each["type"] == "assistant"])
    spent, succeeded = defaultdict(float), Counter()
    for each in asked:
        if date.fromisoformat(each["createdAt"][:10]) >= first:
            spent[each["agentUuid"]] += each["usage"]["creditsUsedCount"] if each["usage"] else 0
            succeeded[each["agentUuid"]] += each["status"] == "success"
    names = {agent["uuid"]: agent["name"] for agent in box.truth("agents")}
    dearest = max(spent, key=lambda uuid: (spent[uuid], -ord(names[uuid][0])))
    assert found.agents[0]["credits"] == max(spent.values())
    assert {"agent": names[dearest], "credits": spent[dearest], "successes": succeeded[dearest]}.items() <= next(
        row for row in found.agents if row["agent"] == names[dearest]
    ).items()

    failed = Counter(run["workflowUuid"] for run in runs if run["status"] == "error")
    called = {each["workflowUuid"]: each["name"] for each in (*box.truth("plays"), *box.truth("tools"))}
    assert [row["runs"] for row in found.failures] == [count for _, count in failed.most_common()][
        : len(found.failures)
    ]
    assert found.failures[0]["name"] in {
        called[uuid] for uuid, count in failed.items() if count == max(failed.values())
    }

    saved = {each["uuid"]: each["name"] for each in box.truth("segments") if not each["fromPlay"]}
    changes = [each for each in box.truth("changes") if each["segmentUuid"] in saved]
    first = last_days([each["createdAt"] for each in changes])
    entered = sum(each["addedRecordsCount"] for each in changes if date.fromisoformat(each["createdAt"][:10]) >= first)
    assert sum(row["entered"] for row in found.segments["days"]) == entered > 0

    assert found.health["tables"] == found.health["complete"]
    assert "All 70 tables are complete" in seen(html)
    assert (found.push["created"], found.push["rejected"]) == (1, 2)
    assert "shares its key with another row of the source" in seen(html)


def test_a_page_asks_for_nothing_and_holds_no_secret(box, folder, tmp_path):
    """No script, no address but Vega's names of formats, no token, no row of a model."""
    _, html = written(folder, tmp_path)
    assert set(re.findall(r"https?://[^\s\"'<>)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.search(r"<script|<link|<iframe|<img|@import|url\((?!#)", html)
    assert box.token not in html
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as db:
        for (domain,) in db.execute("SELECT domain FROM cargo.default__companies WHERE domain IS NOT NULL").fetchall():
            assert domain not in html


def test_names_are_text_whatever_is_in_them():
    """An agent called like a script is one on the page, too."""
    found = Figures(datetime(2026, 3, 1, tzinfo=UTC), workspace="<script>alert(1)</script>")
    found.agents = [
        {"agent": "<b>bold</b> & 'co'", "answers": 1, "successes": 1, "credits": 1.0, "credits_per_success": 1.0}
    ]
    found.credits = {
        "days": [{"day": date(2026, 3, 1), "kind": "</svg><script>", "credits": 1.0}],
        "by_kind": {"</svg><script>": 1.0},
        "total": 1.0,
        "of_executions": 0.0,
    }
    html = page(found)
    assert "<script" not in html
    assert "<b>bold" not in html
    assert "<b>bold</b> & 'co'" in seen(html.replace("<b>", "").replace("</b>", ""))


def test_what_was_never_loaded_is_said(box, tmp_path):
    """A page of a narrow sync says which tables its other parts need."""
    sync(pipeline_in(tmp_path), cargo(only=["segments", "changes"], token=box.token, url=box.url))
    found, html = written(tmp_path, tmp_path)
    assert found.lacking["agents"] == ["agent_runs", "agents", "votes"]
    assert "agent_runs, agents, votes were never loaded" in seen(html)
    assert "All 2 tables are complete" in seen(html)
    assert "Nothing was pushed from here" in seen(html)


def test_what_is_not_complete_stands_first(box, folder, tmp_path):
    """A table that failed is named in red, with since when it was complete."""
    pipeline = pipeline_in(folder)
    box.faults.add(path="orchestration/plays/list", kind="forbidden")
    with pytest.raises(Exception, match="plays/list"):
        sync(pipeline, cargo(only=["plays"], token=box.token, url=box.url))
    box.faults.clear()
    found, html = written(folder, tmp_path)
    sync(pipeline, cargo(only=["plays"], token=box.token, url=box.url))
    assert [row["table"] for row in found.health["problems"]] == ["plays"]
    assert "1 of 70 tables are not as they should be" in seen(html)


def test_a_pipeline_gives_the_same_page(folder, tmp_path):
    """Through dlt, as for any other destination, the figures are those of the file."""
    found, _ = written(folder, tmp_path)
    again = write_report(tmp_path / "again.html", pipeline=pipeline_in(folder))
    first, second = (each.as_json() | {"made_at": "", "push": {}} for each in (found, again))
    assert second == first


def test_others_may_read_meanwhile(folder, tmp_path):
    """The database is opened to be read."""
    reader = "import duckdb, sys; db = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); input()"
    command = [sys.executable, "-c", reader, str(folder / "warehouse.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        written(folder, tmp_path)
        other.communicate("\n")


def test_the_command_writes_it(folder, tmp_path):
    """With JSON of the same figures; without a database it says what to do."""

    def said(*arguments):
        command = [sys.executable, "-m", "cargo_source", "report", str(tmp_path / "page.html"), *arguments]
        return subprocess.run(command, cwd=tmp_path, env={**os.environ}, capture_output=True, text=True)

    missing = said()
    assert missing.returncode == 2
    assert "sync first" in missing.stderr
    told = said("--database", str(folder / "warehouse.duckdb"), "--ledger", str(folder / "pushes.duckdb"), "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["push"]["created"] == 1
    assert "Last push" in (tmp_path / "page.html").read_text()


def test_a_place_that_cannot_be_written_or_read_is_refused(folder, tmp_path):
    """In a line, before or after, and no half of a page stays."""
    with pytest.raises(BadSettings, match="cannot be written"):
        write_report(tmp_path / "none" / "report.html", database=folder / "warehouse.duckdb")
    (tmp_path / "text.duckdb").write_text("no database")
    with pytest.raises(BadSettings, match="cannot be opened"):
        write_report(tmp_path / "report.html", database=tmp_path / "text.duckdb")
    with pytest.raises(BadSettings, match="one of database and pipeline"):
        write_report(tmp_path / "report.html")
    assert not list(tmp_path.glob("report.html*"))


@pytest.mark.chromium
def test_people_can_read_it_on_a_desk_a_phone_and_in_the_dark(folder, tmp_path):
    """In a real browser: nothing is cut off, nothing is asked for, dark is dark; UPDATE_IMAGES=1 keeps the pictures."""
    from playwright.sync_api import sync_playwright

    written(folder, tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, width, scheme in (("desk", 1240, "light"), ("phone", 390, "light"), ("dark", 1240, "dark")):
            view = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)
            asked = []
            view.on("request", lambda request, asked=asked: asked.append(request.url))
            view.goto((tmp_path / "report.html").as_uri())
            assert asked == [(tmp_path / "report.html").as_uri()]
            assert view.evaluate("document.documentElement.scrollWidth") <= width
            cut = view.evaluate(
                "[...document.querySelectorAll('.scroll, section')].filter(e => e.scrollWidth > e.clientWidth + 1)"
                ".map(e => e.innerText)"
            )
            assert cut == []
            shown = view.evaluate("[...document.querySelectorAll('svg')].filter(e => e.checkVisibility()).length")
            assert shown == 2
            light = view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            assert light == (scheme == "light")
            picture = tmp_path / f"report-{name}.png"
            view.screenshot(path=picture)
            if os.environ.get("UPDATE_IMAGES"):
                (IMAGES / picture.name).write_bytes(picture.read_bytes())
        browser.close()
    assert {f"report-{name}.png" for name in ("desk", "phone", "dark")} <= {path.name for path in IMAGES.iterdir()}
