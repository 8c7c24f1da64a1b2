"""A damaged record costs only itself."""

from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from asynctasq.settlement import ErrorInfo, Reason, Retry, Settled
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import message, opened

MakeDriver = Callable[..., PostgresDriver]

LARGEST = (1 << 63) - 1


def damage(url: str, change: str, message_id: bytes) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            f"UPDATE asynctasq.messages SET {change} WHERE id = %s".encode(),
            [UUID(bytes=message_id)],
        )


@pytest.mark.parametrize("change", [f"token = {LARGEST}", "profile = ''"])
async def test_a_damaged_row_becomes_a_dead_letter_and_the_others_are_delivered(
    make_driver: MakeDriver, url: str, change: str
) -> None:
    broken, sound = message(), message()
    async with opened(make_driver()) as driver:
        await driver.enqueue([broken, sound])
        damage(url, change, broken.id)
        [delivery] = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        assert delivery.message == sound
        page = await driver.dead_letters()
        assert [each.message.id for each in page.items] == [broken.id]
        assert page.items[0].reason is Reason.UNDECODABLE


@pytest.mark.parametrize("change", ["leases = 2147483647", "attempt = 2147483647"])
async def test_a_large_number_delays_no_other_message(
    make_driver: MakeDriver, url: str, change: str
) -> None:
    broken, sound = message(), message()
    async with opened(make_driver()) as driver:
        await driver.enqueue([broken, sound])
        damage(url, change, broken.id)
        deliveries = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        assert {each.message.id for each in deliveries} == {broken.id, sound.id}
        error = ErrorInfo("E", "message", "")
        settled = await driver.settle([Retry(each.lease, 60.0, error) for each in deliveries])
        assert settled == [Settled.DONE] * 2


@pytest.mark.parametrize(
    "change", ["lost = 2147483647", f"result_ttl = {LARGEST}, cancelling = true"]
)
async def test_a_large_number_delays_no_lease_that_has_ended(
    make_driver: MakeDriver, url: str, change: str
) -> None:
    broken, sound = message(), message()
    async with opened(make_driver()) as driver:
        await driver.enqueue([broken, sound])
        await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        damage(url, change, broken.id)
        await driver.end_owner("w")
        [delivery] = await driver.reserve({"q": 9}, limit=9, owner="v", lease=60.0)
        assert delivery.message.id == sound.id
