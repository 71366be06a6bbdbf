"""How reads of the vendor's client are asked and judged: calls of a method, and what their answers must be together."""

import base64
import csv
import functools
import gzip
import io
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow.parquet as pq

PAGE = 100
SAMPLE = 20
"""How many objects are got one by one."""


@dataclass(frozen=True)
class Case:
    """Arguments of calls of one method, and what holds of their answers."""

    calls: list[list[Any]]
    holds: Callable[[list[Any]], None]


class Known:
    """What is true of a sandbox, from its store."""

    def __init__(self, box):
        self.box = box
        self.rows = functools.cache(box.truth)
        self.records = functools.cache(box.truth_rows)

    def some(self, entity):
        """A sample of the objects of an entity, spread over all of them."""
        rows = self.rows(entity)
        return rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]

    def by(self, entity, field):
        """The objects of an entity by a field, such as the uuid of their parent."""
        groups = defaultdict(list)
        for row in self.rows(entity):
            groups[row.get(field)].append(row)
        return groups

    def filled_models(self):
        """Models that hold rows."""
        return [model for model in self.rows("models") if self.records(model["uuid"])]

    def sql_name(self, model):
        datasets = {dataset["uuid"]: dataset["slug"] for dataset in self.rows("datasets")}
        return f"`{datasets[model['datasetUuid']]}`.`{model['slug']}`"


def plain(value):
    """A value as JavaScript knows it: every number is a float, and so are integers beyond 2^53."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def same(found, wanted):
    """Assert that two values are one."""
    assert plain(found) == plain(wanted)


def same_rows(found, wanted):
    """Assert that two lists hold the same rows; no order is documented."""
    found, wanted = ([json.dumps(plain(row), sort_keys=True) for row in rows] for rows in (found, wanted))
    assert len(found) == len(wanted)
    assert sorted(found) == sorted(wanted)


def whole(envelope, entity, *args):
    """A list that comes in one answer."""

    def make(known):
        def holds(answers):
            assert set(answers[0]) == {envelope}
            same_rows(answers[0][envelope], known.rows(entity))

        return [Case([list(args)], holds)]

    return make


def one(envelope, entity, *args):
    """An object that is asked for by no key, and is one of the entity's."""

    def make(known):
        def holds(answers):
            assert set(answers[0]) == {envelope}
            assert plain(answers[0][envelope]) in plain(known.rows(entity))

        return [Case([list(args)], holds)]

    return make


def by_uuid(row):
    return row["uuid"]


def each(envelope, entity, ask=by_uuid):
    """Objects got one by one; `ask` makes the argument."""

    def make(known):
        rows = known.some(entity)
        assert rows, f"no {entity} to ask for"
        return [Case([[ask(row)] for row in rows], lambda answers: same(answers, [{envelope: row} for row in rows]))]

    return make


def pages(envelope, entity, of=None, counted=False, limit="limit", offset="offset", **fixed):
    """A list in pages, of each parent if `of` names the parent's field; `counted` lists tell their length too."""

    def make(known):
        groups = known.by(entity, of) if of else {None: known.rows(entity)}
        assert groups, f"no {entity} to ask for"
        return [
            paged(envelope, rows, {**fixed, **({of: parent} if of else {})}, counted, (limit, offset))
            for parent, rows in groups.items()
        ]

    return make


def paged(envelope, rows, sent, counted=False, names=("limit", "offset"), more=frozenset()):
    """The pages of one list, up to one that is short or empty."""
    asked = [[{**sent, names[0]: PAGE, names[1]: start}] for start in range(0, len(rows) + 1, PAGE)]

    def holds(answers):
        for answer in answers:
            assert set(answer) == {envelope, *(["count"] if counted else []), *more}
            assert not counted or answer["count"] == len(rows)
        same_rows([row for answer in answers for row in answer[envelope]], rows)

    return Case(asked, holds)


def counts(entity, of=None, **fixed):
    """A count, for each parent if `of` names the parent's field."""

    def make(known):
        groups = known.by(entity, of) if of else {None: known.rows(entity)}
        sent = [[{**fixed, **({of: parent} if of else {})}] for parent in groups]
        wanted = [{"count": len(rows)} for rows in groups.values()]
        return [Case(sent, lambda answers: same(answers, wanted))]

    return make


def exported(sent, rows, more=frozenset(), link="urls"):
    """An export; its files, without a token, hold as many rows as there are."""

    def holds(answers):
        assert set(answers[0]) == {link, *more}
        links = answers[0][link] if link == "urls" else [answers[0][link]]
        assert sum(rows_behind(each) for each in links) == rows

    return Case([[sent]], holds)


def rows_behind(url):
    """Count the rows of an export file, whatever its format."""
    answer = httpx.get(url)
    assert answer.status_code == 200
    content = answer.content
    if content.startswith(b"PAR1"):
        return pq.read_table(io.BytesIO(content)).num_rows
    text = (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).decode()
    return len(json.loads(text)) if text.startswith("[") else len(list(csv.DictReader(io.StringIO(text))))


def decoded(answer):
    """The bytes of an answer that is no JSON."""
    return base64.b64decode(answer)
