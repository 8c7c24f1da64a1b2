"""Bar charts as SVG. The libraries that draw them bring numpy along, or import hooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

WIDTH, ROW, BAR_HEIGHT = 720, 40, 24
LABELS_END, BARS_BEGIN, LONGEST_BAR = 212, 224, 420
TITLE_HEIGHT, NOTE_HEIGHT = 52, 22
"""Sizes in pixels."""
INK, OURS, PEER = "#708090", "#0d9488", "#a3aebb"
"""Colors that can be read on white and on black."""


@dataclass(frozen=True)
class Bar:
    """One bar with a label that needs no other bar to be understood."""

    label: str
    value: float
    ours: bool = False


def chart(title: str, bars: Sequence[Bar], notes: Sequence[str]) -> str:
    """Return a chart of horizontal bars, the longest first, with notes below it."""
    height = TITLE_HEIGHT + ROW * len(bars) + NOTE_HEIGHT * len(notes) + 8
    picture = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "width": f"{WIDTH}",
            "height": f"{height}",
            "font-family": "system-ui, sans-serif",
            "font-size": "16",
            "fill": INK,
            "role": "img",
        },
    )
    ordered = sorted(bars, key=lambda bar: bar.value, reverse=True)
    spoken = "; ".join(f"{bar.label}: {bar.value:,.0f}" for bar in ordered)
    SubElement(picture, "title").text = f"{title}. {spoken}."
    _text(picture, 0, 24, title).attrib.update({"font-size": "20", "font-weight": "700"})
    longest = max(bar.value for bar in bars)
    for row, bar in enumerate(ordered):
        top = TITLE_HEIGHT + ROW * row
        length = max(3.0, LONGEST_BAR * bar.value / longest)
        middle = top + BAR_HEIGHT / 2 + 6
        emphasis = {"fill": OURS, "font-weight": "700"} if bar.ours else {}
        label = _text(picture, LABELS_END, middle, bar.label)
        label.attrib.update({"text-anchor": "end", **emphasis})
        box = {"x": f"{BARS_BEGIN}", "y": f"{top}", "width": f"{length:.1f}"}
        color = OURS if bar.ours else PEER
        SubElement(picture, "rect", {**box, "height": f"{BAR_HEIGHT}", "rx": "4", "fill": color})
        value = _text(picture, BARS_BEGIN + length + 10, middle, f"{bar.value:,.0f}")
        value.attrib.update(emphasis)
    for row, note in enumerate(notes):
        below = TITLE_HEIGHT + ROW * len(bars) + NOTE_HEIGHT * row + 14
        _text(picture, 0, below, note).set("font-size", "14")
    indent(picture)
    return tostring(picture, encoding="unicode") + "\n"


def _text(picture: Element, x: float, y: float, words: str) -> Element:
    text = SubElement(picture, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}"})
    text.text = words
    return text
