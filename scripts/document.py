"""Write the pages of docs/ that are made from the code; with --check, say which are stale.

python -m scripts.document
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts import (
    document_commands,
    document_drivers,
    document_hooks,
    document_rules,
    document_settings,
    document_task_options,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"

PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": document_settings.render,
    "reference/cli.md": document_commands.render,
    "reference/drivers.md": document_drivers.render,
    "reference/hooks.md": document_hooks.render,
    "reference/task-options.md": document_task_options.render,
    "writing-a-driver.md": document_rules.render,
}


def stale_pages() -> list[str]:
    """Return the names of the pages that differ from the code."""
    return [
        name
        for name, render in PAGES.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding="utf-8") != render()
    ]


def main(arguments: list[str]) -> int:
    stale = stale_pages()
    if arguments == ["--check"]:
        for name in stale:
            print(f"docs/{name} is stale: run `make docs-pages`")
        return len(stale)
    for name in stale:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
