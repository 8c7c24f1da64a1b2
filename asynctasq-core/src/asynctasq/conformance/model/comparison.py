"""Comparing what two drivers answer, times with a tolerance."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TypeVar

from asynctasq.conformance.model.strategies import UNIT
from asynctasq.contracts.capabilities import DeadLetter, Page, Snapshot

T = TypeVar("T")
Listed = TypeVar("Listed", Snapshot, DeadLetter)

MOST_PAGES = 1000
TOLERANCE = UNIT / 4
"""Seconds by which times may differ: the two drivers are called one after the other."""


async def all_pages(page: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """Read a listing to its end; pages may be short or empty."""
    found: list[T] = []
    cursor = None
    for _ in range(MOST_PAGES):
        part = await page(cursor)
        found += part.items
        cursor = part.cursor
        if cursor is None:
            return found
    raise AssertionError(f"a listing has more than {MOST_PAGES} pages")


def by_id(items: Sequence[Listed]) -> dict[bytes, Listed]:
    """Return listed messages by id, because the order of equal times is free."""
    found = {item.message.id: item for item in items}
    assert len(found) == len(items), "a listing has the same message twice"
    return found


def agree(what: str, expected: object, actual: object) -> None:
    """Fail if the two differ, times apart that are near each other."""
    path = difference(expected, actual)
    assert path is None, (
        f"{what}: the drivers disagree{path}\n  memory: {expected!r}\n  driver: {actual!r}"
    )


def difference(expected: object, actual: object) -> str | None:
    """Where two values differ, None if they do not."""
    if isinstance(expected, float) and isinstance(actual, float | int):
        near = abs(expected - actual) <= TOLERANCE
        return None if near else f": {expected!r} is not {actual!r}"
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if expected.keys() != actual.keys():
            return f": {sorted(expected)} is not {sorted(actual)}"
        return _first_difference((f"[{k!r}]", expected[k], actual[k]) for k in expected)
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        if len(expected) != len(actual):
            return f": {len(expected)} items are not {len(actual)}"
        pairs = zip(expected, actual, strict=True)
        return _first_difference((f"[{i}]", *pair) for i, pair in enumerate(pairs))
    if is_dataclass(expected) and type(expected) is type(actual):
        names = [field.name for field in fields(expected)]
        return _first_difference((f".{n}", getattr(expected, n), getattr(actual, n)) for n in names)
    return None if expected == actual else f": {expected!r} is not {actual!r}"


def _first_difference(parts: Iterable[tuple[str, object, object]]) -> str | None:
    for place, expected, actual in parts:
        inner = difference(expected, actual)
        if inner is not None:
            return f" {place.strip()}{inner}" if inner.startswith(":") else f" {place}{inner[1:]}"
    return None
