"""The SQL of the driver, kept in files of its own under `sql/`."""

from importlib.resources import files

_FOLDER = files("asynctasq.drivers.sqlite") / "sql"
_MARK = "-- name: "


def script(name: str) -> str:
    """A whole file."""
    return (_FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def queries(name: str) -> dict[str, str]:
    """The queries of a file by name: each begins with a line `-- name: ...`."""
    found: dict[str, str] = {}
    for part in script(name).split(_MARK)[1:]:
        title, _, text = part.partition("\n")
        lines = (line for line in text.splitlines() if not line.startswith("--"))
        found[title.strip()] = "\n".join(lines).strip()
    return found
