"""What a push has to make of a model, said by dicts: the modes once more, in as few words as there are."""

import json
import math
from dataclasses import dataclass, field

COLUMNS = {
    "name": "text",
    "industry": "text",
    "employeesCount": "integer",
    "sequence": "integer",
    "annualRevenue": "number",
    "isCustomer": "boolean",
    "address": "json",
    "technologies": "json",
    "embedding": "json",
    "signal": "json",
}
"""Columns of companies that are written in tests, and how a source holds them. Nested values are JSON texts there."""


@dataclass
class Expected:
    """What is to happen: cells by identifier, rows to create, identifiers to remove, and rows that are refused."""

    updates: dict = field(default_factory=dict)
    creates: list = field(default_factory=list)
    removes: set = field(default_factory=set)
    refused: set = field(default_factory=set)

    def applied(self, before):
        """Give the rows that are to be there: those known by identifier, and those that are new, without one."""
        known = {key: {**row, **self.updates.get(key, {})} for key, row in before.items() if key not in self.removes}
        return known, self.creates


def expected(before, frame, key, mode, nulls="write", tracked=()):
    """Say what a push of ``frame``, a list of dicts as they are wanted in the model, is to do to ``before``."""
    found = Expected()
    by_key = {}
    for row in before.values():
        if row[key] is not None:
            by_key.setdefault(row[key], []).append(row)
    seen = [row[key] for row in frame]
    for place, row in enumerate(frame):
        bad = row[key] in (None, "") or seen.count(row[key]) > 1 or len(by_key.get(row[key], [])) > 1
        if nulls == "error" and None in row.values():
            bad = True
        if bad:
            found.refused.add(place)
            continue
        given = {name: value for name, value in row.items() if value is not None or nulls != "skip"}
        there = by_key.get(row[key])
        if there and mode != "insert":
            now = there[0]
            wanted = {name: value for name, value in given.items() if name != key and not same(value, now[name])}
            if mode == "fill_empty":
                wanted = {name: value for name, value in wanted.items() if now[name] is None}
            if wanted:
                found.updates[now["_id"]] = wanted
        elif not there and mode in {"insert", "upsert", "mirror"}:
            found.creates.append(given)
    if mode == "mirror" and None not in seen:
        gone = [row for value, rows in by_key.items() if value not in seen for row in rows]
        found.removes = {row["_id"] for row in gone if row["_id"] in tracked}
    return found


def same(one, other):
    """Say whether two cells are the same to Cargo: nested values by what they say, numbers by their value."""
    return canonical(one) == canonical(other)


def canonical(value):
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, int | float):
        return ("number", int(value) if isinstance(value, float) and value.is_integer() else value)
    if isinstance(value, dict):
        return ("object", tuple(sorted((name, canonical(each)) for name, each in value.items())))
    return ("array", tuple(canonical(each) for each in value))


def as_source(frame, columns):
    """Give the rows as a source holds them: nested values as JSON texts."""
    return {
        name: [
            json.dumps(row[name]) if COLUMNS.get(name) == "json" and row[name] is not None else row[name]
            for row in frame
        ]
        for name in columns
    }


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
