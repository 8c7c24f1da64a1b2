"""The figures as a table: for the screen, and for `docs/benchmarks.md`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.comparison import DOCUMENT, redraw
from benchmarks.harness.figures import Figure

BEGIN = "<!-- figures: written by `benchmarks/run.py --update-docs` -->"
END = "<!-- end of figures -->"
HEADINGS = ("figure", "target", "measured", "verdict")


def rows(figures: Sequence[Figure]) -> list[tuple[str, str, str, str]]:
    return [
        (
            figure.title,
            figure.bar,
            f"{figure.measured}; {figure.note}" if figure.note else figure.measured,
            figure.verdict,
        )
        for figure in figures
    ]


def as_text(figures: Sequence[Figure]) -> str:
    """Return the figures as a table for a terminal, with columns as wide as their widest cell."""
    table = [HEADINGS, *rows(figures)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def as_markdown(session: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """Return the session as a part of a document."""
    machine, scale, load = session["machine"], session["scale"], session["load"]
    packages = ", ".join(f"{name} {text}" for name, text in machine["packages"].items() if text)
    peers = "".join(f", {name} {peer['version']}" for name, peer in session["peers"].items())
    intro = (
        f"Measured on {session['date']} at commit {machine['commit']}, scale `{scale['name']}`: "
        f"{scale['runs']} runs of {scale['tasks']:,} tasks."
    )
    described = (
        f"- Machine: {machine['processors']} processors ({machine['processor']}), "
        f"{machine['memory_gib']} GiB, {machine['system']}; {machine['file_system']}, "
        f"one synced write {machine['sync_ms']:.2g} ms."
    )
    versions = (
        f"- Versions: Python {machine['python']}, SQLite {machine['sqlite']}, {packages}{peers}."
    )
    loads = (
        f"- Load average before the runs: {load['least']:.2g} to {load['most']:.2g}. "
        f"{load['noisy']} of {load['runs']} runs were noisy."
    )
    lines = [
        intro,
        "",
        described,
        versions,
        loads,
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|---|---|---|---|",
        *("| " + " | ".join(row) + " |" for row in rows(figures)),
    ]
    return "\n".join(lines)


def publish(
    session: Mapping[str, Any],
    figures: Sequence[Figure],
    *,
    begin: str = BEGIN,
    end: str = END,
) -> None:
    """Write a session into the document, and draw the chart of the document again."""
    update(DOCUMENT, as_markdown(session, figures), begin=begin, end=end)
    redraw()


def update(document: Path, text: str, *, begin: str = BEGIN, end: str = END) -> None:
    """Replace the text between the two marks."""
    before, first, rest = document.read_text().partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{document} lacks {begin!r} or {end!r}.")
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
