"""Spooled rows of a model, cut at the bounds of a window: for a lane that cannot ask the server for it."""

from cargo_source.pull.shapes import Shape
from cargo_source.pull.spool import Chunk, Spooled
from cargo_source.pull.times import Span


def cut(spooled: Spooled, shape: Shape, span: Span) -> Spooled:
    """Leave out the rows that say that they were written outside of ``span``; those that do not say stay."""
    if not spooled.rows:
        return spooled
    column = next(column.name for column in shape.columns if column.field == "_emitted_at")
    emitted = f'TRY_CAST("{column}" AS TIMESTAMPTZ)'
    path = spooled.spool.new_file()
    with spooled.spool.database() as db:
        # The names in this statement are our own, and so are the files.
        rows = f"SELECT * FROM read_parquet(?) WHERE ({emitted} >= ? AND {emitted} < ?) OR {emitted} IS NULL"  # noqa: S608 - as said
        files = [str(chunk.path) for chunk in spooled.chunks]
        (kept,) = db.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)", [files, span.start, span.end]).fetchall()
    path.chmod(0o600)
    for chunk in spooled.chunks:
        chunk.path.unlink()
    return Spooled(spooled.schema, [Chunk(path, kept[0])] if kept[0] else [], spooled.spool)
