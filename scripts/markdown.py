"""Pieces of the pages that are made from the code."""

import importlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib import metadata
from pathlib import Path
from types import ModuleType

import griffe

ROOT = Path(__file__).resolve().parent.parent


def made_by(script: ModuleType | str) -> str:
    """Return the first line of a generated page."""
    name = script if isinstance(script, str) else script.__name__
    return f"<!-- Written by {name.replace('.', '/')}.py: change the code or that script, then `make docs-pages`. -->\n"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """One line. Where `code` has a `|`, it is HTML: in Markdown it would show the backslash, too."""
    text = re.sub(r"`([^`]*\|[^`]*)`", lambda code: f"<code>{escape(code[1])}</code>", text)
    return " ".join(text.replace("|", "&#124;").split())


def prose(text: str) -> str:
    """Escape markup in a text, except in its `backticks`."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if index % 2 else re.sub(r"([*_<\[])", r"\\\1", part)
        for index, part in enumerate(parts)
    )


def own_distributions() -> set[str]:
    """Return the names of the distributions of this repository."""
    found = re.findall(
        r'^name = "([^"]+)"',
        "".join(path.read_text() for path in ROOT.glob("asynctasq-*/pyproject.toml")),
        re.MULTILINE,
    )
    assert "asynctasq" in found
    return set(found)


def own_plugins(kind: str) -> list[str]:
    """Names of the plugins of one kind that this repository's distributions bring, core's first."""
    entries = metadata.entry_points(group=f"asynctasq.{kind}s")
    own = own_distributions()
    found = [(entry.dist.name, entry.name) for entry in entries if entry.dist]
    return [name for origin, name in sorted(set(found)) if origin in own]


@cache
def source(module: str) -> griffe.Module:
    """Load a module from its source, with the docstrings below fields."""
    file = Path(str(importlib.import_module(module).__file__))
    return griffe.visit(module, file, file.read_text())


def docstring(member: griffe.Object | griffe.Alias) -> str:
    """Return the docstring of a name, on one line.

    Raises:
        ValueError: there is none.
    """
    if member.docstring is None:
        raise ValueError(f"{member.path} has no docstring: documents show it")
    return " ".join(str(member.docstring.value).split())
