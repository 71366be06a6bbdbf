"""Names and texts as DuckDB's SQL spells them."""


def name(of: str) -> str:
    """Quote the name of a column."""
    return '"' + of.replace('"', '""') + '"'


def text(of: str) -> str:
    """Quote a text."""
    return "'" + of.replace("'", "''") + "'"
