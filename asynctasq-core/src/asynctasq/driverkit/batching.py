"""Pieces of a long list, bounded in number and in bytes."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batches(
    items: Sequence[T], most: int, *, size: Callable[[T], int] | None = None, most_bytes: int = 0
) -> Iterator[Sequence[T]]:
    """Return pieces of a list in order, none of them empty.

    Args:
        items: the list; a list that is short enough is returned unchanged.
        most: largest number of items in one piece.
        size: returns the bytes of an item; None if bytes do not count.
        most_bytes: largest number of bytes in one piece, unless a single item has more.
    """
    if size is None:
        for start in range(0, len(items), most):
            yield items if len(items) <= most else items[start : start + most]
        return
    start = total = 0
    for place, item in enumerate(items):
        extent = size(item)
        if place > start and (place - start == most or total + extent > most_bytes):
            yield items[start:place]
            start, total = place, 0
        total += extent
    if start < len(items):
        yield items if start == 0 else items[start:]
