"""One settlement with a number that is not finite, in a batch with others."""

from typing import Any

from asynctasq.message import Message, new_id
from asynctasq.settlement import Complete, ErrorInfo, Retry, Settled, Settlement

ERROR = ErrorInfo("builtins.ValueError", "no", "")


async def check_a_bad_number_harms_no_others(driver: Any, number: float) -> None:
    """Only the settlement with the number is refused; its message can still be settled."""
    await driver.open()
    try:
        await driver.enqueue([Message(new_id(), "q", "t", b"x") for _ in range(20)])
        first, *others = await driver.reserve({"q": 20}, limit=20, owner="w", lease=30.0)
        settlements: list[Settlement] = [Retry(first.lease, number, ERROR)]
        settlements += [Complete(each.lease, b"r", 60.0) for each in others[:9]]
        settlements += [Retry(each.lease, 0.0, ERROR) for each in others[9:]]
        answers = await driver.settle(settlements)
        assert answers == [Settled.REFUSED, *[Settled.DONE] * 19]
        outcomes = await driver.results([each.message.id for each in others[:9]])
        assert all(each is not None for each in outcomes)
        assert await driver.settle([Complete(first.lease, b"r", 60.0)]) == [Settled.DONE]
        again = await driver.reserve({"q": 20}, limit=20, owner="w", lease=30.0)
        assert {each.message.id for each in again} == {each.message.id for each in others[9:]}
    finally:
        await driver.close()
