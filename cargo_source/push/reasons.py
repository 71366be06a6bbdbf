"""Why the API refused a row, in as many of its own words as cannot be a value."""

import re
from collections.abc import Iterable

from cargo_source.errors import CargoError

_WORD = re.compile(r"[A-Za-z_][\w%-]*|\S+")
_WORDS = """
    a above already an and any array at be before below boolean by cannot cargo character characters column columns
    constraint conflict date does duplicate either empty exceeded exceeds exist exists expected failed field fields for
    format found greater has have id in integer invalid is it its key large length less limit list long longer match
    maximum may minimum missing more must no not null number object of one only or out property range received record
    records rejected required row set short should size string taken text than that the this to too type unexpected
    unique unknown unsupported value values was were with
"""
_KNOWN = frozenset(_WORDS.split())
"""Words that validation speaks in. What is none of them may be a cell, and is left out."""
MOST = 200
"""Letters of a reason."""


def reason_of(error: CargoError, columns: Iterable[str]) -> tuple[str, str | None]:
    """Give the reason for one row that was refused, and the column that it is about, where one of ``columns`` is named.

    Of what the server said only words that are known, and names of columns, are told: it may quote the row.
    """
    told = error.reason or str(error.args[0] if error.args else type(error).__name__)
    names = [*columns]
    words = _WORD.findall(error.said.reveal() if error.said else "")
    said = " ".join(_shown(word, names) for word in words)
    said = re.sub(r"…(?:\s*…)+", "…", said)[:MOST]
    named = next((name for word in words for name in names if word.strip(".,:;\"'`()[]") == name), None)
    if said.strip("… "):
        return f"{error.reason or 'refused'}: {said}", named
    return told, named


def _shown(word: str, names: list[str]) -> str:
    bare = word.strip(".,:;\"'`()[]")
    return word if bare in names or bare.casefold() in _KNOWN else "…"
