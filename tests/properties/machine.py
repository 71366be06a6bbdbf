"""A workspace in which anything happens in any order, and syncs of it: after each of them tables are as in Cargo."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cargo_source.catalog.entity import SWEEP_HOURS
from cargo_source.errors import BadSettings, CargoError, IncompleteRead
from cargo_source.sandbox.moments import HOUR, iso
from tests.properties.kills import POINTS, Kill, killed_sync
from tests.properties.loads import LOADS, Load, asleep, digests, quick_retries, target_after_first_sync
from tests.small import tiny_box
from tests.target import Target

SECOND, MINUTE = 1000, 60_000
LATEST = 55 * MINUTE
"""How late something shows at most: the lookback is an hour, and a chain of events begins minutes before its end."""

PATHS = ("*", "storage/*", "segmentation/*", "orchestration/*", "ai/*", "exports/*")
PASSING = st.fixed_dictionaries(
    {
        "path": st.sampled_from(PATHS),
        "kind": st.sampled_from(["429", "5xx", "reset", "cut", "invalid_json", "html_200"]),
        "status": st.sampled_from([500, 502, 503]),
        "count": st.integers(1, 2),
        "after": st.integers(0, 80),
    }
)
"""Faults of which each alone passes, so that a sync gets over it."""
MOVING = st.fixed_dictionaries(
    {
        "path": st.sampled_from(PATHS[:-1]),
        "kind": st.sampled_from(["write_between", "write_between", "refreshing", "reorder_page", "short_page"]),
        "count": st.integers(1, 3),
        "after": st.integers(0, 60),
    }
)
"""Faults during which the workspace moves on, or says that it does: the sync after them finds what they hid."""
LATE = st.integers(0, LATEST // SECOND).map(lambda seconds: seconds * SECOND)
TIMES = st.one_of(
    st.integers(0, 2000),
    st.integers(1, 90).map(lambda minutes: minutes * MINUTE),
    st.integers(2, 30).map(lambda hours: hours * 60 * MINUTE),
)


def when(has: Callable[[Load], Any]) -> Callable[..., Any]:
    """Have a rule happen only where what is loaded shows it."""
    return precondition(lambda self: bool(has(self.load)))


class WorkspaceMachine(RuleBasedStateMachine):
    """One workspace and one target; `load` says which tables are synced."""

    load: Load = LOADS["rows"]

    @initialize(seed=st.integers(0, 2), name=st.sampled_from(sorted(LOADS)), fresh=st.booleans())
    def begin(self, seed: int, name: str, fresh: bool) -> None:
        """Make a workspace, with a target that is empty or holds it as it begins."""
        self.load, self.columns, self.stack = LOADS[name], 0, ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="cargo-machine-")))
        self.target = Target(folder) if fresh else target_after_first_sync(seed, name, folder)
        self.box = self.stack.enter_context(tiny_box(seed))
        self.stack.enter_context(quick_retries())
        self.watermark = self.swept = None if fresh else self.box.world.moment
        self.pages = self.sweeping = False
        self.quietly_back: set[str] = set()
        self.behind = fresh

    def teardown(self) -> None:
        """Sync what is left to sync, unless a check has failed, and clean up."""
        if not hasattr(self, "stack"):
            return
        with self.stack:
            if self.behind is True:
                self.synced()

    # Rows of models ----------------------------------------------------------------------------------------------

    @when(lambda load: load.models)
    @rule(data=st.data(), count=st.sampled_from([1, 2, 30]), late=LATE)
    def add(self, data: st.DataObject, count: int, late: int) -> None:
        """Add rows that tie on one moment, now or late."""
        self.box.poke.add(self.model(data), count, late=self.lateness(data, late))
        self.behind = True

    @when(lambda load: load.models)
    @rule(data=st.data(), late=LATE)
    def change(self, data: st.DataObject, late: int) -> None:
        """Change rows, now or late."""
        model = self.model(data)
        self.box.poke.change(model, self.some(data, self.box.poke.ids(model)), late=self.lateness(data, late))
        self.behind = True

    @when(lambda load: load.models)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Remove rows."""
        model = self.model(data)
        self.box.poke.remove(model, self.some(data, self.box.poke.ids(model)))
        self.behind = True

    @when(lambda load: load.models)
    @rule(data=st.data(), anew=st.booleans())
    def restore(self, data: st.DataObject, anew: bool) -> None:
        """Have removed rows come back, emitted anew or as they were."""
        model = self.model(data)
        ids = self.box.poke.removed_ids(model)
        some = self.some(data, ids)
        self.box.poke.restore(model, some, anew=anew)
        self.quietly_back |= set() if anew else {*some}
        self.behind = True

    @when(lambda load: load.models)
    @rule(data=st.data(), how=st.sampled_from(["add", "retype", "remove"]))
    def reshape(self, data: st.DataObject, how: str) -> None:
        """Add a column, or give one that was added another type, or take it away."""
        model, reshape = self.model(data), self.box.reshape
        (spec,) = [s for s in self.box.world.warehouse.specs.values() if f"{s.dataset}.{s.slug}" == model]
        added = [col for col in spec.cols if col.slug.startswith("added_")]
        if how == "add" or not added:
            self.columns += 1
            kind = data.draw(st.sampled_from(["string", "number", "boolean", "object"]))
            reshape.add_column(model, f"added_{self.columns}", kind, {"boolean": "true", "object": "{}"}.get(kind, "7"))
        elif how == "retype":
            kind = data.draw(st.sampled_from(["string", "number", "object"]))
            cells = {"string": "'text'", "number": "1.5", "object": """json_object('a', 1)"""}
            reshape.retype_column(model, added[-1].slug, kind, cells[kind])
        else:
            reshape.remove_column(model, added[0].slug)
        self.behind = True

    @when(lambda load: load.models)
    @rule()
    def turn_lane(self) -> None:
        """Take SQL away from the token, so that rows come by pages, or give it back."""
        self.pages = not self.pages
        self.without_faults()

    # Segments, runs, batches, chats --------------------------------------------------------------------------------

    @when(lambda load: "segments" in load.tables)
    @rule(data=st.data(), late=LATE)
    def evaluate(self, data: st.DataObject, late: int) -> None:
        """Evaluate a segment, now or late, or give it another name."""
        segments = [uuid for uuid, row in self.box.world.tables["segments"].items() if not row["deletedAt"]]
        segment = data.draw(st.sampled_from(segments), label="segment")
        self.box.world.tick()
        if data.draw(st.booleans(), label="rename"):
            self.box.poke.rename("segments", segment, f"Segment {self.box.world.revision}")
        else:
            self.box.poke.evaluate(segment, late=self.lateness(data, late))
        self.behind = True

    @when(lambda load: "runs" in load.tables)
    @rule(data=st.data(), late=LATE, fate=st.sampled_from(["success", "error", "running", "pending", "fallback"]))
    def start_run(self, data: st.DataObject, late: int, fate: str) -> None:
        """Start a run, now or late."""
        self.box.poke.work.start_run(fate, late=self.lateness(data, late))
        self.behind = True

    @when(lambda load: "runs" in load.tables)
    @rule(data=st.data(), status=st.sampled_from(["success", "error", "cancelled", "running", "cancelling"]))
    def move_run(self, data: st.DataObject, status: str) -> None:
        """Have a run that is under way move on or end."""
        if uuid := self.one(data, self.box.poke.work.open_runs()):
            self.box.poke.work.set_run_status(uuid, status)
            self.behind = True

    @when(lambda load: "batches" in load.tables)
    @rule(data=st.data(), status=st.sampled_from(["syncing", "querying", "skipped", "error", "cancelled"]))
    def move_batch(self, data: st.DataObject, status: str) -> None:
        """Have a batch that waits move on or end."""
        if uuid := self.one(data, self.box.poke.work.open_batches()):
            self.box.poke.work.set_batch_status(uuid, status)
            self.behind = True

    @when(lambda load: "chats" in load.tables)
    @rule(data=st.data(), status=st.sampled_from(["success", "error", "generating", "pending"]), late=LATE)
    def chat(self, data: st.DataObject, status: str, late: int) -> None:
        """Open a chat, say more in one, or have an answer end."""
        work = self.box.poke.work
        act = data.draw(st.sampled_from(["open", "say", "end"]), label="act")
        self.box.world.tick()
        if act == "open":
            work.open_chat(status, late=self.lateness(data, late))
        elif act == "say":
            work.say(data.draw(st.sampled_from(work.quiet_chats()), label="chat"), status)
        elif uuid := self.one(data, work.open_answers()):
            work.end_answer(uuid, status if status in {"success", "error"} else "cancelled")
        self.behind = True

    @rule(milliseconds=TIMES)
    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, in which everything else happens by lot."""
        self.box.advance(minutes=milliseconds / MINUTE)
        self.behind = True

    # Syncs -------------------------------------------------------------------------------------------------------

    @rule()
    def sync(self) -> None:
        """Sync."""
        self.synced()

    @rule(fault=PASSING)
    def sync_through_a_fault(self, fault: dict) -> None:
        """Sync while something goes wrong that passes."""
        self.box.faults.add(fault)
        self.synced()
        self.without_faults()

    @rule(faults=st.lists(st.one_of(PASSING, MOVING), min_size=1, max_size=4))
    def sync_through_trouble(self, faults: list[dict]) -> None:
        """Sync while more goes wrong than one sync has to bear: it may stop, but leaves no table halfway."""
        for fault in faults:
            self.box.faults.add(fault)
        before, self.behind, moment = digests(self.target), None, self.second()
        stopped = None
        try:
            self.load.sync(self.target, self.box)
            self.swept = moment if self.sweeps(moment) else self.swept
        except CargoError as error:
            stopped = error
        if stopped is not None:
            assert isinstance(stopped, IncompleteRead) or stopped.exit_code == 1, stopped
            assert digests(self.target) == before
        self.without_faults()
        self.synced()

    @rule(point=st.sampled_from(sorted(POINTS)), share=st.floats(0, 1, exclude_max=True))
    def sync_that_is_killed(self, point: str, share: float) -> None:
        """Kill a sync, let a moment pass, and sync again."""
        self.behind, moment = None, self.second()
        killed_sync(self.target, self.box, self.load, Kill(point, share))
        self.box.world.tick(SECOND)
        # The next one goes on with what it had read, at its moment.
        self.synced(begun=moment)

    @rule(back=st.integers(1, 72), hours=st.integers(1, 48))
    def load_a_window(self, back: int, hours: int) -> None:
        """Load a window of the past, which moves no cursor: the next sync finds all that it would have found."""
        start, self.behind = self.box.world.moment - back * HOUR, None
        end, refused = min(start + hours * HOUR, self.second()), None
        try:
            self.load.sync(self.target, self.box, window=(iso(start), iso(end)))
        except BadSettings as error:
            refused = error
        # A table whose columns have changed is loaded whole first.
        assert refused is None or self.columns, refused
        self.behind = True

    @rule()
    def sync_everything_anew(self) -> None:
        """Drop the tables and load them whole."""
        self.synced(refresh="drop_resources")

    # What rules share ----------------------------------------------------------------------------------------------

    def synced(self, begun: int | None = None, **options: Any) -> None:
        """Sync, and hold every table against the workspace; it may go on with a sync that was begun before."""
        self.behind, moment = None, self.second()
        report = self.load.sync(self.target, self.box, **options)
        assert {outcome.status for outcome in report.outcomes} == {"complete"}
        self.sweeping = bool(options) or self.sweeps(moment)
        if begun is not None and self.sweeping:
            self.swept, self.sweeping = begun, False
        self.swept = moment if self.sweeping else self.swept
        excused = set() if self.sweeping else asleep(self.box, self.swept)
        found = self.load.differences(self.target, self.box, excused=excused | self.untold(whole=bool(options)))
        assert found == [], "\n".join(found[:20])
        self.watermark, self.behind = moment, False

    def untold(self, *, whole: bool) -> set[str]:
        """Give the rows that went or came back and of which nobody tells without SQL, until all rows are read anew."""
        if whole or not self.pages:
            self.quietly_back.clear()
            return set()
        return self.quietly_back | {key for model in self.load.models for key in self.box.poke.removed_ids(model)}

    def second(self) -> int:
        """Give the moment as the server tells it, which is to the second."""
        return self.box.world.moment // SECOND * SECOND

    def sweeps(self, moment: int) -> bool:
        """Say whether a sync at a moment looks through what moves without a signal."""
        return self.swept is None or moment - self.swept >= SWEEP_HOURS * 60 * MINUTE

    def without_faults(self) -> None:
        """Clear faults, but for the one that keeps SQL from the token."""
        self.box.faults.clear()
        if self.pages:
            self.box.faults.add(path="storage/query*", kind="forbidden")

    def model(self, data: st.DataObject) -> str:
        """Draw a model."""
        return data.draw(st.sampled_from(self.load.models), label="model")

    def some(self, data: st.DataObject, ids: list[str]) -> list[str]:
        """Draw a few of some ids."""
        return data.draw(st.lists(st.sampled_from(ids), unique=True, max_size=4), label="ids") if ids else []

    def one(self, data: st.DataObject, ids: list[str]) -> str | None:
        """Draw one of some ids, if there are any."""
        return data.draw(st.sampled_from(ids), label="uuid") if ids else None

    def lateness(self, data: st.DataObject, late: int) -> int:
        """Give how late something is: not at all, behind now, or behind the moment of the last sync."""
        behind = data.draw(st.sampled_from(["nothing", "now", "the last sync"]), label="behind")
        if behind == "nothing":
            return 0
        since = 0 if behind == "now" or self.watermark is None else self.box.world.moment - self.watermark
        return since + late
