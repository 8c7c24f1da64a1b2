"""Figures as pictures: bars of medians, an SVG for each unit that several figures share.

A picture of bars is a dozen lines of SVG. The libraries that draw it bring numpy along, or import hooks.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from benchmarks.harness.figures import Figure, shown

PICTURES = {
    "/s": ("speed", "tasks a second: more is better"),
    "µs": ("processor-time", "microseconds: less is better"),
    "ms": ("latency", "milliseconds: less is better"),
}
"""The file name and the title of the picture of each unit that is drawn."""
WIDTH, ROW, LABEL_HEIGHT, TITLE_HEIGHT, LONGEST_BAR = 720, 38, 16, 36, 600
"""In pixels. Labels stand above their bars, so that long ones have room."""
INK, BAR = "#607d8b", "#26a69a"
"""Colours that can be read on white and on black."""


def draw(figures: Sequence[Figure], folder: Path, prefix: str) -> list[Path]:
    """Write the pictures; returns where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for unit, (name, title) in PICTURES.items():
        drawn = [figure for figure in figures if figure.unit == unit]
        if len(drawn) > 1:
            path = folder / f"{prefix}-{name}.svg"
            path.write_text(_bars(title, drawn))
            written.append(path)
    return written


def _bars(title: str, figures: Sequence[Figure]) -> str:
    height = TITLE_HEIGHT + ROW * len(figures)
    picture = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "font-family": "sans-serif",
            "font-size": "13",
            "fill": INK,
        },
    )
    _text(picture, 0, LABEL_HEIGHT, title).set("font-weight", "bold")
    longest = max(figure.median for figure in figures) or 1.0
    ordered = sorted(figures, key=lambda figure: figure.median, reverse=True)
    for row, figure in enumerate(ordered):
        top = TITLE_HEIGHT + row * ROW
        length = max(1.0, LONGEST_BAR * figure.median / longest)
        _text(picture, 0, top + LABEL_HEIGHT - 4, figure.title)
        bar = {"x": "0", "y": f"{top + LABEL_HEIGHT}", "width": f"{length:.1f}", "height": "14"}
        SubElement(picture, "rect", {**bar, "rx": "2", "fill": BAR})
        value = f"{shown(figure.median)} {figure.unit}"
        _text(picture, length + 6, top + LABEL_HEIGHT + 12, value)
    indent(picture)
    return tostring(picture, encoding="unicode") + "\n"


def _text(picture: Element, x: float, y: float, words: str) -> Element:
    text = SubElement(picture, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}"})
    text.text = words
    return text
