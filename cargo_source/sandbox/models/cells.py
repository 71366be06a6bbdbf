"""A small vocabulary for writing cells as SQL, so that DuckDB makes a hundred thousand rows at once.

An expression may use `i` (the row's number), `h` (the row's 32 random bits), `e` (when the row was emitted, in
milliseconds since 1970) and `s` (the seed as text). A draw is named: columns that use the same name in one row get
the same draw, which is how an email address agrees with the person's name.
"""

from cargo_source.sandbox.identity import number_for
from cargo_source.sandbox.moments import DAY, SECOND

DRAW_BITS = 24


def draw(name: str) -> str:
    """A number of 24 random bits."""
    mark = number_for("draw", name)
    flip, factor = mark & 0xFFFFFFFF, (mark >> 32 & 0x7FFFFFFF) | 1
    return f"(((xor(h, {flip}) * {factor}) & 4294967295) >> 8)"


def share(probability: float) -> int:
    """The bound below which a draw falls with this probability."""
    return round(probability * (1 << DRAW_BITS))


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def pick(name: str, *values: str) -> str:
    """One of some strings."""
    return pick_at(f"(({draw(name)} * {len(values)}) >> {DRAW_BITS})", *values)


def pick_at(place: str, *values: str) -> str:
    """The string at a place that is itself an expression."""
    return f"([{', '.join(map(text, values))}])[1 + ({place})]"


def whole(name: str, low: int, high: int) -> str:
    """An integer, both ends included."""
    return f"({low} + (({draw(name)} * {high - low + 1}) >> {DRAW_BITS}))"


def real(name: str, low: float, high: float, digits: int = 2) -> str:
    """A rounded number."""
    return f"round({low} + {draw(name)} / {1 << DRAW_BITS}.0::DOUBLE * {high - low}, {digits})"


def flag(name: str, probability: float = 0.5) -> str:
    """A boolean."""
    return f"({draw(name)} < {share(probability)})"


def before(name: str, days: float) -> str:
    """A moment up to so many days before the row was emitted."""
    return f"make_timestamptz((e - {_gap(name, days)}) * 1000)"


def after(name: str, days: float) -> str:
    """A moment up to so many days after the row was emitted: a due date, a planned close."""
    return f"make_timestamptz((e + {_gap(name, days)}) * 1000)"


def _gap(name: str, days: float) -> str:
    """Milliseconds within so many days; drawn in seconds, for 24 bits of milliseconds overflow on long gaps."""
    return f"((({draw(name)} * {round(days * DAY / SECOND)}) >> {DRAW_BITS}) * 1000 + h % 1000)"


def iso_text(moment: str) -> str:
    """A moment as the wire writes it."""
    return f"strftime({moment}, '%Y-%m-%dT%H:%M:%S.%gZ')"


EMITTED = "make_timestamptz(e * 1000)"


def uuid_at(thing: str, place: str = "i") -> str:
    """The uuid of the thing with a number; the same words give the same uuid in every model."""
    return f"md5(s || ':{thing}:' || ({place}))::UUID::VARCHAR"


def id_at(thing: str, place: str = "i") -> str:
    """A numeric id as CRMs give them: growing, with gaps, different for each seed."""
    start = f"(md5_number_lower(s || ':{thing}') % 4000000)::BIGINT"
    return f"({10_000_000_000 + number_for(thing) % 80_000_000_000} + {start} + ({place}) * 7)"


def vector(name: str, size: int) -> str:
    """An embedding."""
    return "[" + ", ".join(real(f"{name}{place}", -1, 1, 5) for place in range(size)) + "]"


def nested(**cells: str) -> str:
    """A JSON object."""
    return "json_object(" + ", ".join(f"{text(key)}, {cell}" for key, cell in cells.items()) + ")"


def listed(*cells: str) -> str:
    """A JSON array."""
    return "json_array(" + ", ".join(cells) + ")"


def mixed(name: str, *cells: str) -> str:
    """One of some JSON values, of any type."""
    cases = " ".join(f"WHEN {place} THEN to_json({cell})" for place, cell in enumerate(cells))
    return f"CASE ({draw(name)} * {len(cells)}) >> {DRAW_BITS} {cases} END"
