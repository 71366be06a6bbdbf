"""Texts as a destination can hold them: PostgreSQL has no text with the character NUL, and no JSON with one either.

dlt leaves NUL out of a text without a word, and PostgreSQL refuses JSON that escapes one, in the middle of a load. So
a sign stands in its place, and the table's outcome names the columns.
"""

import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cargo_source.catalog.columns import Type
from cargo_source.errors import FixTheData
from cargo_source.pull.spool import Chunk, Spool

NUL, SHOWN = "\0", "\N{SYMBOL FOR NULL}"
_ESCAPED = r"\u0000"
_ESCAPES = re.compile(r"\\(?:u0000|.)", re.DOTALL)
"""Each escape of a JSON text in its turn: a backslash that is escaped itself begins no other."""


class WithoutNul:
    """Writes files of one table anew where a text in them has the character NUL; ``columns`` names those that had."""

    def __init__(self, table: str, types: Mapping[str, Type], key: tuple[str, ...], spool: Spool) -> None:
        self._table, self._key, self._spool = table, {*key}, spool
        self._types = {name: kind for name, kind in types.items() if kind in {"text", "json"}}
        self.columns: set[str] = set()

    def __call__(self, chunk: Chunk) -> Chunk:
        """Give the file as it is, or one without NUL. Raises FixTheData where a key has one: keys tell rows apart."""
        there = [name for name in pq.read_schema(chunk.path).names if name in self._types]
        texts = pq.read_table(chunk.path, columns=there)
        odd = {name: cells for name in there if (cells := self._cells(name, texts[name])) is not None}
        if not odd:
            return chunk
        if keys := self._key & odd.keys():
            raise FixTheData(
                f"{self._table}: the key {min(keys)} of a row has the character NUL, which the destination cannot hold"
            )
        self.columns |= odd.keys()
        table = pq.read_table(chunk.path)
        for name, cells in odd.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(place), cells)
        path = self._spool.new_file()
        pq.write_table(table, path)
        path.chmod(0o600)
        return Chunk(path, chunk.rows)

    def _cells(self, name: str, texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
        """Give a column without NUL; None where it has none."""
        is_json = self._types[name] == "json"
        if not pc.any(pc.match_substring(texts, _ESCAPED if is_json else NUL)).as_py():
            return None
        if not is_json:
            return pc.replace_substring(texts, NUL, SHOWN)
        shown = pa.chunked_array([pa.array([_shown(text) for text in texts.to_pylist()], texts.type)])
        # What looks like one may be a backslash that is escaped, and four zeros after a u.
        return None if shown.equals(texts) else shown

    def note(self) -> str:
        """Say in words what was written otherwise; nothing where nothing was."""
        if not self.columns:
            return ""
        named = ", ".join(sorted(self.columns))
        return f"{named}: the character NUL stands as {SHOWN} there, since the destination cannot hold it"


def _shown(text: str | None) -> str | None:
    """Give a JSON text with the sign in place of each escaped NUL."""
    if text is None or _ESCAPED not in text:
        return text
    return _ESCAPES.sub(lambda found: SHOWN if found[0] == _ESCAPED else found[0], text)
