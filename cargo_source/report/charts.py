"""Charts of a page, as SVG for light and for dark: drawn by Vega, so that a page needs no script and no network."""

from collections.abc import Sequence
from typing import Any

from cargo_source.errors import BadSettings
from cargo_source.report.asking import Row

WIDTH, HEIGHT = 296, 150
"""Of a chart's inside, in pixels: with its axis it is as wide as a phone."""
KINDS = ("play", "tool", "agent")
THEMES = {
    "light": {"ink": "#30343b", "faint": "#d9dce1", "in": "#2f8f6b", "out": "#c0504d"},
    "dark": {"ink": "#d5d9e0", "faint": "#3a3f48", "in": "#57c59c", "out": "#e58480"},
}
SERIES = {"light": ("#3b6fb6", "#6fb3a2", "#d9822b"), "dark": ("#7aa7e8", "#8fd0bf", "#f0a95c")}
"""Colours of KINDS."""


def credits_chart(days: Sequence[Row], theme: str) -> str:
    """Draw credits by day, stacked by who spent them."""
    return _drawn(
        theme,
        [{**row, "day": row["day"].isoformat()} for row in days],
        {
            "mark": {"type": "bar", "width": {"band": 0.8}},
            "encoding": {
                "x": _day(),
                "y": {"field": "credits", "type": "quantitative", "title": "credits"},
                "color": {
                    "field": "kind",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": [*KINDS], "range": [*SERIES[theme]]},
                },
            },
        },
    )


def flow_chart(days: Sequence[Row], theme: str) -> str:
    """Draw who entered segments upwards and who left them downwards, by day."""
    colours = [THEMES[theme]["in"], THEMES[theme]["out"]]
    rows = [
        {"day": row["day"].isoformat(), "what": what, "records": sign * row[name]}
        for row in days
        for what, name, sign in (("entered", "entered", 1), ("left", "departed", -1))
    ]
    return _drawn(
        theme,
        rows,
        {
            "mark": {"type": "bar", "width": {"band": 0.8}},
            "encoding": {
                "x": _day(),
                "y": {"field": "records", "type": "quantitative", "title": "records"},
                "color": {
                    "field": "what",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": ["entered", "left"], "range": colours},
                },
            },
        },
    )


def _day() -> dict[str, Any]:
    return {
        "field": "day",
        "type": "temporal",
        "timeUnit": "utcyearmonthdate",
        "title": None,
        "axis": {"format": "%-d %b", "tickCount": 5, "labelFlush": True},
    }


def _drawn(theme: str, rows: Sequence[Row], chart: dict[str, Any]) -> str:
    try:
        import vl_convert
    except ImportError:
        raise BadSettings("a page needs vl-convert-python: pip install 'cargo-source[report]'") from None
    ink, faint = THEMES[theme]["ink"], THEMES[theme]["faint"]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": WIDTH,
        "height": HEIGHT,
        "background": "transparent",
        "data": {"values": [*rows]},
        **chart,
        "config": {
            "view": {"stroke": None},
            "axis": {
                "labelColor": ink,
                "titleColor": ink,
                "gridColor": faint,
                "domainColor": faint,
                "tickColor": faint,
                "labelFontSize": 11,
                "titleFontSize": 11,
                "titleFontWeight": "normal",
            },
            "axisX": {"grid": False},
            "legend": {"labelColor": ink, "labelFontSize": 11, "orient": "top", "symbolType": "square"},
            "font": "system-ui, sans-serif",
        },
    }
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg
