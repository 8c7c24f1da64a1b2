"""Pages of a filtered listing, made of a driver's pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from asynctasq.contracts.capabilities import Page

T = TypeVar("T")

Read = Callable[[int, str | None], Awaitable[Page[T]]]
"""Reads a page of so many items, from a cursor on."""

LEAST_READ = 500
MOST_READ = 8000
"""Items that are read at once while looking for few among many."""


async def filled_page(
    read: Read[T], check: Callable[[T], bool] | None, *, limit: int, cursor: str | None
) -> Page[T]:
    """A page of `limit` items that pass the check, however many have to be read for it.

    Its cursor stands behind its last item, so that the next page begins there.
    """
    if check is None:
        return await read(limit, cursor)
    found: list[T] = []
    size = max(limit, LEAST_READ)
    while True:
        page = await read(size, cursor)
        places = [place for place, item in enumerate(page.items) if check(item)]
        surplus = len(found) + len(places) - limit
        if surplus > 0:  # a cursor stands at the end of a page only: read one that ends here
            page = await read(places[-surplus - 1] + 1, cursor)
        found += filter(check, page.items)
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            return Page(found, cursor)
        size = min(2 * size, MOST_READ)


async def all_items(read: Read[T], size: int = LEAST_READ) -> AsyncIterator[T]:
    """Every item of a listing."""
    cursor: str | None = None
    while True:
        page = await read(size, cursor)
        for item in page.items:
            yield item
        if page.cursor is None:
            return
        cursor = page.cursor


def check_limit(limit: int) -> None:
    """Make sure that a page has room.

    Raises:
        ValueError: it has none.
    """
    if limit < 1:
        raise ValueError(f"limit={limit}: a page holds at least one.")
