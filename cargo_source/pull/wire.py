"""JSON as text, for values of any size."""

import json
from typing import Any

import orjson


def to_json(value: Any, *, ordered: bool = False) -> str:
    """Write ``value`` as compact JSON; ``ordered`` sorts keys, so that equal values give equal text."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if ordered else None).decode()
    except TypeError:
        # orjson stops at 64 bits; the standard library writes integers of any size.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=ordered)
