"""Write the rules in docs/writing-a-driver.md: those that the conformance suite reports."""

import re
import textwrap
from pathlib import Path

from asynctasq.conformance.rules import SECTIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "writing-a-driver.md"
BEGIN = (
    "<!-- Rules: written by scripts/document_rules.py from asynctasq.conformance.rules. "
    "Change them there, then `make docs-pages`. -->"
)
END = "<!-- End of the rules. -->"
WIDTH = 100


def render() -> str:
    """Return the page with the rules as they are now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{rules()}\n{END}{after}"


def rules() -> str:
    """Return all sections. Each rule has an anchor, because Markdown would number a list anew."""
    return "\n".join(
        f"### {title}\n\n" + "\n".join(_rule(number, text) for number, text in numbered.items())
        for title, numbered in SECTIONS.items()
    )


def _rule(number: int, text: str) -> str:
    begin = f'<span id="rule-{number}"></span>**Rule {number}.** '
    plain = re.sub(r"\s+", " ", text)
    return (
        textwrap.fill(begin + plain, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"
    )
