"""How a plan is applied: checked once more, then sent in batches, one row before all others, each remembered."""

import json
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from cargo_source.errors import CargoError, DestinationRefused, StalePlan
from cargo_source.explore import FOLD
from cargo_source.pull.records import shape_model
from cargo_source.pull.session import Session, Watch
from cargo_source.pull.shaping import Pseudonym
from cargo_source.push.canary import Canary
from cargo_source.push.compare import CREATE, KINDS, REMOVE, UPDATE, Comparison, hashes
from cargo_source.push.facts import Facts
from cargo_source.push.journal import Fate, Journal, read
from cargo_source.push.ledger import Ledger, check_workspace
from cargo_source.push.present import Present
from cargo_source.push.report import PushReport
from cargo_source.push.room import asked
from cargo_source.push.sending import Sender, Stopped
from cargo_source.push.sizes import MOST, Sizes
from cargo_source.push.store import PlanStore
from cargo_source.push.target import Target
from cargo_source.push.wire import Change, ingest, send

log = logging.getLogger("cargo_source")

READ_AT_ONCE = 20_000
"""Changes that are in memory at once."""


@dataclass
class Applying:
    """Applies one plan."""

    session: Session
    target: Target
    store: PlanStore
    facts: Facts
    ledger: Ledger
    most: Mapping[str, int] = field(default_factory=lambda: dict(MOST))
    watch: Watch = lambda _what, _rows, _total: None
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def run(self) -> PushReport:
        """Apply the plan. Raises StalePlan where what it would change is not as it was, and whatever stops it.

        An error that stops it after something was sent has what was done until then in its ``report``.
        """
        _ = self.session.now
        check_workspace(self.facts.workspace, str(self.session.state.get("workspace")))
        model = self.facts.model_uuid
        report = PushReport(self.run_id, self.facts.model, self.facts.mode, unchanged=self.facts.counts.unchanged)
        with self.ledger.held(self.session.client.settings.url, model, self.run_id):
            self.ledger.let_settle(model, self.session.sleep)
            for each in self.ledger.take_over(model):
                report.notes.append(
                    f"push {each['run_id']} had been cut off: what became of its rows is written down now"
                )
            if self.facts.counts.changes:
                self._check_target()
                self._check_fresh()
            journal = self.ledger.journal(model, self.run_id)
            started, before = time.monotonic(), self.session.client.stats.snapshot()[0].requests
            error: BaseException | None = None
            with closing(journal):
                journal.begin(self._begun())
                self._tell_refused(journal, report)
                self._tell_settled(journal, report)
                try:
                    self._send(journal, report)
                except BaseException as stopped:  # noqa: BLE001 - whatever stopped it, what was done is written down; it is raised below
                    error = stopped
                    report.status, report.error = "stopped", str(stopped)
                if error is not None:
                    self._recount(report, journal)
                report.seconds = time.monotonic() - started
                report.requests = self.session.client.stats.snapshot()[0].requests - before
                left = self.facts.counts.changes - report.applied - (report.rejected - self.facts.counts.refused)
                report.unsent = left - report.unknown
                journal.end(report.status, **_totals(report) | {"error": type(error).__name__ if error else None})
            try:
                self.ledger.take_over(model)
            except DestinationRefused as refused:
                # Its journal stays beside it, and goes with the next push.
                report.notes.append(f"not in the ledger yet, but with the next push: {refused}")
                log.warning("%s: %s", self.facts.model, report.notes[-1])
        if isinstance(error, CargoError):
            error.report = report
        if error is not None:
            raise error
        return report

    @staticmethod
    def _recount(report: PushReport, journal: Journal) -> None:
        """Count anew what became of rows: an interruption leaves answers that nobody has taken."""
        if told := read(journal.path):
            found = Counter(row["status"] for row in told.rows() if not row.get("settled"))
            for name in ("created", "updated", "removed", "rejected", "unknown"):
                setattr(report, name, found[name])

    def _begun(self) -> dict[str, object]:
        counts = self.facts.counts
        return {
            "run_id": self.run_id,
            "plan_id": self.facts.plan_id,
            "workspace": self.facts.workspace,
            "model_uuid": self.facts.model_uuid,
            "model": self.facts.model,
            "mode": self.facts.mode,
            "key_column": self.facts.columns[self.facts.key],
            "nulls": self.facts.nulls,
            "ledger_keys": self.facts.ledger_keys,
            "columns": json.dumps(self.facts.columns, ensure_ascii=False),
            "source_rows": counts.source,
            "target_rows": counts.target,
            "planned_creates": counts.creates,
            "planned_updates": counts.updates,
            "planned_removes": counts.removes,
            "unchanged": counts.unchanged,
            "started_at": datetime.now(UTC).isoformat(),
            "radius": self.facts.radius.line,
        }

    # Before anything is sent ---------------------------------------------------------------------------------------

    def _check_target(self) -> None:
        """Raise BadSettings or StalePlan where the model takes no longer what the plan would write."""
        self.target.check(allow_connector_models=self.facts.allow_connector_models)
        if self.target.takes_ingest:
            return
        takes = self.target.writable
        fields = {column.field: column for column in self.target.shape.columns}
        for each in self.store.columns()[0]:
            now = (
                fields.get(each.slug)
                if self.target.is_identity(each.slug)
                else getattr(takes.get(each.slug), "column", None)
            )
            if now is None or now.type != each.column.type:
                raise StalePlan(
                    f"{self.facts.model}: column {each.slug!r} is no longer as it was when this plan was made: make the"
                    " plan anew"
                )

    def _check_fresh(self) -> None:
        """Plan once more against the model as it is now. Raises StalePlan where other rows would be changed."""
        db = self.store.db
        for table in ("fresh", "fresh_refused"):
            db.execute(f"DROP TABLE IF EXISTS {table}")
        comparison = self._comparison()
        columns = [mapped.column for mapped in comparison.columns]
        with Present(self.session, self.target).view(db, "present", columns):
            comparison.make("fresh", "fresh_refused")
            self._check_rest(comparison)
        # A join waits on disk for what does not fit, as set operations do not; of cells it needs two hashes alone.
        names = ("kind", "id", "row")
        cells = f"SELECT {', '.join(names)}, {hashes(['key', 'data', 'before'])} FROM"
        alike = " AND ".join(f"c.{name} IS NOT DISTINCT FROM f.{name}" for name in names)
        other = " OR ".join(f"c.{name} IS DISTINCT FROM f.{name}" for name in ("h1", "h2"))
        both = f"FROM ({cells} changes) c FULL JOIN ({cells} fresh) f ON {alike} WHERE {other}"
        moved = asked(db, f"SELECT count(*) {both}").fetchall()[0][0]
        if moved:
            raise StalePlan(
                f"{self.facts.model}: the model has changed since this plan was made ({moved:,} of"
                f" {self.facts.counts.changes:,} changes would be others now): make the plan anew"
            )

    def _check_rest(self, comparison: Comparison) -> None:
        """Raise StalePlan where rows were compared elsewhere, and a record that one may stand for is another now."""
        if not self._has_table("rest"):
            return
        comparison.keep_rest("fresh_rest")
        if self.store.db.execute("FROM rest EXCEPT FROM fresh_rest").fetchall():
            raise StalePlan(
                f"{self.facts.model}: records that needed no change when this plan was made have changed since, come or"
                " gone: make the plan anew"
            )

    def _has_table(self, name: str) -> bool:
        return bool(self.store.db.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [name]).fetchall())

    def _comparison(self) -> Comparison:
        columns, key = self.store.columns()
        by_identity = self.target.is_identity(columns[key].slug)
        return Comparison(
            self.store.db,
            columns,
            key,
            self.facts.mode,  # type: ignore[arg-type] # it was checked when the plan was made
            self.facts.nulls,
            by_identity,
            "tracked" if self._has_table("tracked") else None,
        )

    def _tell_refused(self, journal: Journal, report: PushReport) -> None:
        rows = self.store.db.execute("SELECT row, key, column_name, reason FROM refused ORDER BY row")
        while some := rows.fetchmany(READ_AT_ONCE):
            journal.refuse(
                {"row": row, "key": self._remembered(key), "column": column, "reason": reason}
                for row, key, column, reason in some
            )
            for row, key, column, reason in some:
                report.reject(row, column, reason, key)
            report.rejected += len(some)

    def _tell_settled(self, journal: Journal, report: PushReport) -> None:
        """Write down what became of rows that an earlier push has sent and was not told of."""
        rows = [
            {"row": row, "id": id_, "key": key, "kind": kind, "status": STATUS[kind]}
            for row, id_, key, kind in self.store.settled()
        ]
        if rows:
            journal.settle(rows)
            report.notes.append(
                f"{len(rows):,} rows that an earlier push had sent are as it wanted them: that is written down now"
            )

    # Sending -------------------------------------------------------------------------------------------------------

    def _send(self, journal: Journal, report: PushReport) -> None:
        sender = self._sender(journal)
        done = 0
        with ThreadPoolExecutor(self.session.options.in_flight, thread_name_prefix="cargo-push") as pool:
            try:
                for kind in KINDS:
                    for fates in self._batches(kind, sender, pool):
                        done += self._count(report, fates)
                        self.watch("rows", done, self.facts.counts.changes)
            finally:
                # Whatever ends it, rows that are not on their way yet stay here.
                sender.stopping.set()

    def _batches(self, kind: str, sender: Sender, pool: ThreadPoolExecutor) -> Iterator[list[Fate]]:
        """Send the changes of a kind, several batches at once, and give what became of each."""
        salt = None if self.facts.ledger_keys == "clear" else self._pseudonym.reveal_salt()
        changes = _Reader(self.store, kind, salt)
        waiting: deque[Future[list[Fate]]] = deque()
        stopped: Stopped | None = None
        try:
            yield self._first(kind, changes, sender)
        except Stopped as error:
            yield error.fates
            raise error.cause from None
        while True:
            while stopped is None and len(waiting) < 2 * self.session.options.in_flight:
                if not (batch := changes.take(sender.sizes.rows(kind))):
                    break
                waiting.append(pool.submit(sender.send, kind, batch))
            if not waiting:
                break
            try:
                yield waiting.popleft().result()
            except Stopped as error:
                sender.stopping.set()
                stopped = stopped or error
                yield error.fates
        if stopped is not None:
            raise stopped.cause

    def _sender(self, journal: Journal) -> Sender:
        columns, key = self.store.columns()
        times = frozenset(each.slug for each in columns if each.column.type == "timestamp")
        return Sender(
            client=self.session.client,
            model=self.facts.model_uuid,
            present=Present(self.session, self.target, self._target_anew),
            journal=journal,
            sizes=Sizes(self.most),
            key=None if self.target.is_identity(columns[key].slug) else columns[key].column,
            call=ingest if self.target.takes_ingest else send,
            id_slug=self.target.id_slug,
            times=times,
            sleep=self.session.sleep,
        )

    def _target_anew(self) -> Target:
        row = self.session.client.get(f"storage/models/{self.facts.model_uuid}").take("model")
        model = replace(self.target.model, row=row)
        return Target(model, shape_model(self.session, model, FOLD))

    def _first(self, kind: str, changes: "_Reader", sender: Sender) -> list[Fate]:
        """Write one row before all others where it shows whether the model keeps what it is given."""
        dated = kind == CREATE and self.target.is_native and bool(sender.times & set(self.facts.columns.values()))
        if kind != UPDATE and not dated:
            return []
        first = changes.take(1)
        if not first:
            return []
        return Canary(self.target, sender).fly(kind, first[0])

    def _remembered(self, key: str | None) -> str | None:
        return key if key is None or self.facts.ledger_keys == "clear" else self._pseudonym(key)

    @property
    def _pseudonym(self) -> Pseudonym:
        return self.session.pseudonym

    @staticmethod
    def _count(report: PushReport, fates: Sequence[Fate]) -> int:
        report.count([fate for fate in fates if fate.status != "unsent"])
        for fate in fates:
            if fate.status == "rejected":
                report.reject(fate.row, fate.column, fate.reason or "", None)
        return len(fates)


class _Reader:
    """Reads the changes of one kind out of a plan, in their order, a few thousand at a time.

    Their keys are as they are remembered: their digests with ``salt``, or without one as they are.
    """

    def __init__(self, store: PlanStore, kind: str, salt: str | None) -> None:
        self._store, self._kind, self._salt = store, kind, salt
        self._rows = self._read()

    def take(self, rows: int) -> list[Change]:
        """Give the next rows, so many at most."""
        return [*islice(self._rows, rows)]

    def _read(self) -> Iterator[Change]:
        db, kind = self._store.db, self._kind
        key, values = "coalesce(key, '')", []
        if self._salt is not None:
            key, values = f"sha256(? || {key})", [self._salt]
        query = f"SELECT seq, row, id, {key}, data FROM changes WHERE kind = ? AND seq BETWEEN ? AND ? ORDER BY seq"
        first, last = db.execute("SELECT min(seq), max(seq) FROM changes WHERE kind = ?", [kind]).fetchall()[0]
        # By spans, each of which is found without a look at all the others.
        for start in range(first or 0, (last or -1) + 1, READ_AT_ONCE):
            for row in db.execute(query, [*values, kind, start, start + READ_AT_ONCE - 1]).fetchall():
                yield Change(*row)


STATUS = {CREATE: "created", UPDATE: "updated", REMOVE: "removed"}
"""What has become of a row that was sent for this and is as it was to be."""


def _totals(report: PushReport) -> dict[str, object]:
    names = ("created", "updated", "removed", "rejected", "unknown", "unsent", "requests", "seconds")
    return {name: value for name, value in asdict(report).items() if name in names}
