"""The stores that are measured. Another driver is one more entry here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Store:
    """A store. What measurements ask about it decides which of them apply."""

    name: str
    new_url: Callable[[Path], str]
    """A function that returns the URL of a new, empty store, given a folder for its files."""
    shared: bool
    """True if several processes can use one store."""


def _new_file(folder: Path) -> str:
    number = sum(1 for _ in folder.glob("*.db"))
    path = folder / f"queue-{number}.db"
    path.touch()
    return f"sqlite:///{path}"


STORES = {
    "memory": Store("memory", new_url=lambda _: "memory", shared=False),
    "sqlite": Store("sqlite", new_url=_new_file, shared=True),
}
