"""Pages of a filtered listing, which are filled from the driver's pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from asynctasq.contracts.capabilities import Page

T = TypeVar("T")

Read = Callable[[int, str | None], Awaitable[Page[T]]]
"""Reads a page of at most so many items, from a cursor on."""

LEAST_READ = 500
MOST_READ = 8000
"""Least and most items that are read with one call while a check rejects many of them."""


async def filled_page(
    read: Read[T], check: Callable[[T], bool] | None, *, limit: int, cursor: str | None
) -> Page[T]:
    """Return a page of up to `limit` items that pass the check, however many are read for it.

    Its cursor is the position after its last item, so the next page begins there. A page is empty only
    if no more items pass.
    """
    if check is None:
        while True:
            page = await read(limit, cursor)
            if page.items or page.cursor is None:
                return page
            cursor = page.cursor
    found: list[T] = []
    size = max(limit, LEAST_READ)
    while True:
        page = await read(size, cursor)
        passing = [place for place, item in enumerate(page.items) if check(item)]
        # The only cursors are those of whole pages: read one that ends at the limit. If items were removed
        # meanwhile, it may have too many again.
        while (surplus := len(found) + len(passing) - limit) > 0:
            page = await read(passing[-surplus - 1] + 1, cursor)
            passing = [place for place, item in enumerate(page.items) if check(item)]
        found += [page.items[place] for place in passing]
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            return Page(found, cursor)
        size = min(2 * size, MOST_READ)


async def all_items(read: Read[T], size: int = LEAST_READ) -> AsyncIterator[T]:
    """Yield every item of a listing."""
    cursor: str | None = None
    while True:
        page = await read(size, cursor)
        for item in page.items:
            yield item
        if page.cursor is None:
            return
        cursor = page.cursor


def check_limit(limit: int) -> None:
    """Make sure that the limit of a page is positive.

    Raises:
        ValueError: it is not.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}.")
