"""A damaged record costs only itself, and large values cost no more than their bytes."""

from collections.abc import Callable

import pytest

from asynctasq.errors import DriverError
from asynctasq.message import Message, State, new_id
from asynctasq.settlement import Complete, ErrorInfo, Reason, Retry, Settled
from asynctasq_mysql import MySQLDriver
from tests.drivers.opening import message, opened
from tests.servers.databases import mysql_connection

MakeDriver = Callable[..., MySQLDriver]

LARGEST = (1 << 63) - 1


def damage(url: str, change: str, message_id: bytes) -> None:
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE asynctasq_messages SET {change} WHERE id = x'{message_id.hex()}'")


@pytest.mark.parametrize(
    "change",
    [
        "profile = NULL",
        "profile = x'c1'",
        "attempt = -1",
        "lost = -5",
        "enqueued_at = -1",
        f"token = {LARGEST}",
    ],
)
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
        assert [each.id for each in driver.news()] == [broken.id]
        assert await driver.delete_dead([broken.id]) == [True]


@pytest.mark.parametrize(
    "change", [f"expires = {LARGEST}", f"sort_at = {LARGEST}", "attempt = 2147483647"]
)
async def test_a_large_number_delays_no_message_that_falls_due(
    make_driver: MakeDriver, url: str, change: str
) -> None:
    broken, sound = (message(delay=60.0, expires=60.0) for _ in range(2))
    async with opened(make_driver()) as driver:
        await driver.enqueue([broken, sound])
        damage(url, change, broken.id)
        driver.clock_offset += 61.0
        deliveries = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        assert {each.message.id for each in deliveries} == {broken.id, sound.id}
        error = ErrorInfo("E", "message", "")
        settled = await driver.settle([Retry(each.lease, 60.0, error) for each in deliveries])
        assert settled == [Settled.DONE] * 2


@pytest.mark.parametrize("change", ["lost = 2147483647", f"result_ttl = {LARGEST}, cancelling = 1"])
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


@pytest.mark.parametrize("state", [-3, 0, 77])
async def test_a_message_in_no_state_becomes_a_dead_letter(
    make_driver: MakeDriver, url: str, state: int
) -> None:
    broken = message()
    async with opened(make_driver()) as driver:
        await driver.enqueue([broken])
        damage(url, f"state = {state}", broken.id)
        await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        page = await driver.dead_letters()
        assert [each.message.id for each in page.items] == [broken.id]
        assert await driver.requeue([broken.id]) == [True]


async def test_a_lease_of_no_owner_is_given_back(make_driver: MakeDriver, url: str) -> None:
    stray = message(max_lost=5)
    async with opened(make_driver()) as driver:
        await driver.enqueue([stray])
        await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        damage(url, "owner = 123456789", stray.id)
        driver.clock_offset += 40.0
        deliveries = await driver.reserve({"q": 9}, limit=9, owner="v", lease=60.0)
        assert [each.message.id for each in deliveries] == [stray.id]
        assert deliveries[0].lost == 1


async def test_a_chunk_that_is_larger_than_a_packet_is_stored_whole(
    make_driver: MakeDriver,
) -> None:
    chunk = [Message(new_id(), "q", "t", bytes([n]) * 2_000_000) for n in range(12)]
    async with opened(make_driver()) as driver:
        answers = await driver.enqueue(chunk)
        assert all(answer.created for answer in answers)
        found: dict[bytes, bytes] = {}
        while deliveries := await driver.reserve({"q": 99}, limit=99, owner="w", lease=60.0):
            assert sum(len(each.message.body) for each in deliveries) <= 8 << 20
            found |= {each.message.id: each.message.body for each in deliveries}
            results = [Complete(each.lease, each.message.body, 60.0) for each in deliveries]
            assert await driver.settle(results) == [Settled.DONE] * len(deliveries)
        assert found == {each.id: each.body for each in chunk}
        outcomes = await driver.results([each.id for each in chunk])
        assert [outcome.result for outcome in outcomes if outcome] == [each.body for each in chunk]


async def test_a_message_that_no_packet_holds_is_refused_and_nothing_of_its_chunk_is_stored(
    make_driver: MakeDriver,
) -> None:
    async with opened(make_driver()) as driver:
        assert driver.max_message_bytes is not None
        large = Message(new_id(), "q", "t", bytes(driver.max_message_bytes + 1))
        with pytest.raises(DriverError, match="must have at most"):
            await driver.enqueue([message(), large])
        assert (await driver.count("q")).ready == 0
        await driver.enqueue([message()])
        [delivery] = await driver.reserve({"q": 9}, limit=9, owner="w", lease=60.0)
        settled = await driver.settle([Complete(delivery.lease, large.body)])
        assert settled == [Settled.REFUSED]
        [snapshot] = await driver.find([delivery.message.id])
        assert snapshot is not None
        assert snapshot.state is State.RUNNING
