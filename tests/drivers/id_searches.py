"""A search of IDs that takes several calls, among messages of several namespaces in the same tables."""

from collections.abc import Callable, Sequence
from uuid import uuid4

from asynctasq.conformance.full_store import FullStore
from asynctasq.message import Message
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason
from tests.drivers.opening import opened

AT_ONCE = 1000


async def check_long_search(make_driver: Callable[[str], FullStore], others: int) -> None:
    """Search for IDs of one namespace. Another one has them too, and many that begin in the same way.

    Args:
        make_driver: returns an unopened driver for a namespace.
        others: messages of the other namespace, more than one call looks at.

    Raises:
        AssertionError: a search shows other IDs, or shows one twice.
    """
    first, last = uuid4().hex[:10], f"a{uuid4().hex[-9:]}"
    beginning = [_id(first, "") for _ in range(7)]
    ending = [_id("", last) for _ in range(7)]
    similar = _id("", f"b{last[1:]}")
    both = _id(first, first)
    shared = [*beginning, *ending, similar, both]
    async with opened(make_driver("other")) as driver:
        await _enqueue(driver, [*(_id(first, "") for _ in range(others)), *shared])
    async with opened(make_driver("own")) as driver:
        await _enqueue(driver, shared)
        await _end_some(driver, [_id("", last), _id(first, "")])
        for limit in (1, 3, 100):
            assert await _search(driver, first, limit) == sorted([*beginning, both])
            assert await _search(driver, last, limit) == sorted(ending)
            assert await _search(driver, last[1:], limit) == sorted([*ending, similar])


def _id(beginning: str, end: str) -> bytes:
    digits = uuid4().hex
    return bytes.fromhex(beginning + digits[len(beginning) : 32 - len(end)] + end)


async def _enqueue(driver: FullStore, ids: Sequence[bytes], queue: str = "q") -> None:
    messages = [Message(one, queue, "t", b"") for one in ids]
    for start in range(0, len(messages), AT_ONCE):
        await driver.enqueue(messages[start : start + AT_ONCE])


async def _end_some(driver: FullStore, ids: Sequence[bytes]) -> None:
    """Complete messages with these IDs. Of the others, let one fail and leave one leased."""
    await _enqueue(driver, ids, "done")
    done = await driver.reserve({"done": len(ids)}, limit=len(ids), owner="w", lease=60.0)
    dead, _ = await driver.reserve({"q": 2}, limit=2, owner="w", lease=60.0)
    error = ErrorInfo("shop.OutOfStock", "no more", "")
    await driver.settle(
        [
            *(Complete(delivery.lease) for delivery in done),
            Fail(dead.lease, Reason.FAILED, error),
        ]
    )


async def _search(driver: FullStore, part: str, limit: int) -> list[bytes]:
    ids: list[bytes] = []
    page = await driver.match_ids(part, limit=limit)
    ids += page.items
    while page.cursor is not None:
        page = await driver.match_ids(part, limit=limit, cursor=page.cursor)
        assert len(page.items) <= limit
        ids += page.items
    return sorted(ids)
