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

BATCH = 20_000
"""Most rows of a file that are looked at at once."""
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
        with pq.ParquetFile(chunk.path) as file:
            there = [name for name in file.schema_arrow.names if name in self._types]
            odd: set[str] = set()
            for batch in file.iter_batches(BATCH, columns=there):
                odd |= {name for name in there if self._cells(name, batch[name]) is not None}
            if not odd:
                return chunk
            if keys := self._key & odd:
                raise FixTheData(
                    f"{self._table}: the key {min(keys)} of a row has the character NUL, which the destination cannot"
                    " hold"
                )
            self.columns |= odd
            path = self._spool.new_file()
            with pq.ParquetWriter(path, file.schema_arrow) as writer:
                path.chmod(0o600)
                for batch in file.iter_batches(BATCH):
                    writer.write_batch(self._without(batch, odd))
        return Chunk(path, chunk.rows)

    def _without(self, batch: pa.RecordBatch, odd: set[str]) -> pa.RecordBatch:
        cells = {name: self._cells(name, batch[name]) for name in odd}
        shown = [batch[name] if cells.get(name) is None else cells[name] for name in batch.schema.names]
        return pa.RecordBatch.from_arrays(shown, schema=batch.schema)

    def _cells(self, name: str, texts: pa.Array) -> pa.Array | None:
        """Give cells without NUL; None where none has it."""
        is_json = self._types[name] == "json"
        if not pc.any(pc.match_substring(texts, _ESCAPED if is_json else NUL)).as_py():
            return None
        if not is_json:
            return pc.replace_substring(texts, NUL, SHOWN)
        shown = pa.array([_shown(text) for text in texts.to_pylist()], texts.type)
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
