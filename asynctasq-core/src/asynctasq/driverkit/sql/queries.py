"""Statements by name, kept in `.sql` files that are read from top to bottom.

A file is a list of statements, each below a line `-- name: ...`. Lines that begin with `--` are comments.
"""

from importlib.resources.abc import Traversable

_MARK = "-- name: "


def read_script(folder: Traversable, name: str) -> str:
    """Return the text of the file `name.sql`."""
    return (folder / f"{name}.sql").read_text(encoding="utf-8")


def read_queries(folder: Traversable, name: str) -> dict[str, str]:
    """Return the statements of the file `name.sql` by their names."""
    found: dict[str, str] = {}
    for part in read_script(folder, name).split(_MARK)[1:]:
        title, _, text = part.partition("\n")
        lines = (line for line in text.splitlines() if not line.startswith("--"))
        found[title.strip()] = "\n".join(lines).strip()
    return found
