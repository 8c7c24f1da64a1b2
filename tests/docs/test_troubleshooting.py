"""The messages that the troubleshooting page quotes are those of the code."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "troubleshoot.md"
QUOTE_WORDS = 3
"""Inline code of at least so many words is a message; shorter code is a name or an option."""


def quotes() -> Iterator[str]:
    """Yield the messages in the first cells of tables, and every other one with a gap."""
    text = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from (code for code in re.findall(r"`([^`]+)`", text) if "…" in code)
    for cell in re.findall(r"^\| ((?:`[^`]+`|[^|`])+) \|", text, re.MULTILINE):
        codes = re.findall(r"`([^`]+)`", cell)
        yield from (code for code in codes if len(code.split()) >= QUOTE_WORDS)


@cache
def texts() -> str:
    """Return all string constants of the distributions, with the gaps of templates as `…`."""
    found = "\n".join(
        node.value
        for path in sorted(ROOT.glob("asynctasq-*/src/**/*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return re.sub(r"%[-.\d]*[a-z]", "…", found).replace("`", "")


@pytest.mark.parametrize("quote", sorted({*quotes()}))
def test_quoted_message_is_in_the_code(quote: str) -> None:
    """Compare the fixed parts of a message; `…` in a quote stands for any text."""
    gaps = re.split(r"\s*…\s*", quote.replace("\n", " "))
    for part in filter(None, (each.strip(" ():;.") for each in gaps)):
        assert part in texts(), f"No message of the code contains {part!r}."
