"""The chart at the top of `docs/benchmarks.md`, drawn from the figures that the page publishes.

`python -m benchmarks.harness.comparison` draws it again without measuring.
"""

import re
from pathlib import Path

from benchmarks.harness.bench import ROOT
from benchmarks.harness.plots import Bar, chart

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PICTURE = DOCUMENT.parent / "assets" / "benchmarks.svg"
OURS = "asynctasq"
BARS = {
    "drain, asynctasq: tasks a second": OURS,
    "drain, taskiq, streams without results: tasks a second": "taskiq, no results stored",
    "drain, SAQ: tasks a second": "SAQ",
    "drain, taskiq, streams with results: tasks a second": "taskiq",
    "drain, streaQ: tasks a second": "streaQ",
}
"""Labels of the bars, by the title of the figure."""
TITLE = "Tasks per second of one worker on Redis"
NOTE = "More is better. 100 tasks at once, each returns its argument."


def draw(text: str) -> str:
    """Return the chart for a page with a table of figures.

    Raises:
        ValueError: a figure or the date of its session is missing.
    """
    bars = [Bar(label, _median(text, title), label == OURS) for title, label in BARS.items()]
    first = text.index(f"| {next(iter(BARS))} |")
    session = re.findall(r"^Measured on \S+ at commit \w+", text[:first], re.MULTILINE)
    if not session:
        raise ValueError("The page does not say when its figures were measured.")
    return chart(TITLE, bars, [NOTE, f"{session[-1]}."])


def redraw(document: Path = DOCUMENT, picture: Path = PICTURE) -> None:
    """Write the chart for the figures of a page."""
    picture.write_text(draw(document.read_text()))


def _median(text: str, title: str) -> float:
    found = re.search(rf"^\| {re.escape(title)} \|[^|]*\| ([\d,.]+) /s", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"The page has no figure {title!r}.")
    return float(found[1].replace(",", ""))


if __name__ == "__main__":
    redraw()
