"""Pages that core fills from pages of a driver."""

from asynctasq.contracts.capabilities import Page
from asynctasq.operations.paging import filled_page


async def test_page_keeps_its_limit_while_items_are_removed() -> None:
    """Between two reads, items that do not pass are removed: others that pass take their places."""
    items = [n % 3 for n in range(300)]

    async def read(limit: int, cursor: str | None) -> Page[int]:
        start = int(cursor or 0)
        found = items[start : start + limit]
        for _ in range(20):
            if 1 in items:
                items.remove(1)
        end = start + len(found)
        return Page(found, str(end) if end < len(items) else None)

    page = await filled_page(read, lambda item: item == 2, limit=50, cursor=None)
    assert page.items == [2] * 50
    assert page.cursor is not None
