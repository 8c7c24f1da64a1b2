"""Bounds of the sqlite driver: what is kept, how much one call moves, how much it takes."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from asynctasq.conformance.harness import let_tidy
from asynctasq.drivers.sqlite import SqliteDriver, upkeep
from asynctasq.drivers.sqlite.session import Row
from asynctasq.errors import ConfigurationError, DriverError
from asynctasq.message import Message, State, new_id
from asynctasq.settlement import Complete, Fail, Reason, Settled

HOUR = 3600.0


def some_messages(count: int, *, delay: float = 0.0) -> list[Message]:
    return [Message(new_id(), "emails", "app.send", b"", delay=delay) for _ in range(count)]


async def opened(
    folder: Path, *, dead_letter_limit: int = 100_000, dead_letter_ttl: float = 1e6
) -> SqliteDriver:
    driver = SqliteDriver(
        folder / "work.db",
        synchronous="off",
        dead_letter_limit=dead_letter_limit,
        dead_letter_ttl=dead_letter_ttl,
    )
    await driver.open()
    return driver


async def rows_of(driver: SqliteDriver, sql: str) -> list[Row]:
    with closing(sqlite3.connect(driver.description)) as database:
        return database.execute(sql).fetchall()


async def make_dead_letters(driver: SqliteDriver, count: int) -> list[bytes]:
    """Make dead letters; their ids, the newest last."""
    await driver.enqueue(some_messages(count))
    ids = []
    for delivery in await driver.reserve({"emails": count}, limit=count, owner="w", lease=30.0):
        await driver.settle([Fail(delivery.lease, Reason.FAILED)])
        ids.append(delivery.lease.id)
    return ids


async def upkeep_of(driver: SqliteDriver) -> None:
    await let_tidy(driver)


async def kept_dead(driver: SqliteDriver) -> list[bytes]:
    page = await driver.dead_letters(limit=1_000)
    return [letter.message.id for letter in page.items]


async def test_the_newest_dead_letters_are_kept(tmp_path: Path) -> None:
    driver = await opened(tmp_path, dead_letter_limit=5)
    ids = await make_dead_letters(driver, 12)
    await upkeep_of(driver)
    assert await kept_dead(driver) == ids[:-6:-1]
    await driver.close()


async def test_surplus_that_others_left_is_trimmed_after_opening(tmp_path: Path) -> None:
    careless = await opened(tmp_path)
    ids = await make_dead_letters(careless, 8)
    await careless.close()
    driver = await opened(tmp_path, dead_letter_limit=3)
    await make_dead_letters(driver, 1)
    await upkeep_of(driver)
    assert (await kept_dead(driver))[1:] == ids[:-3:-1]
    await driver.close()


async def test_dead_letters_are_kept_for_their_time(tmp_path: Path) -> None:
    driver = await opened(tmp_path, dead_letter_ttl=HOUR)
    old = await make_dead_letters(driver, 2)
    driver.clock_offset = HOUR / 2
    young = await make_dead_letters(driver, 1)
    await upkeep_of(driver)
    assert set(await kept_dead(driver)) == {*old, *young}
    driver.clock_offset = HOUR + 1.0
    await upkeep_of(driver)
    assert await kept_dead(driver) == young
    await driver.close()


async def test_one_reserve_moves_a_bounded_piece(tmp_path: Path) -> None:
    driver = await opened(tmp_path)
    for _ in range(2):
        await driver.enqueue(some_messages(upkeep.BOUND, delay=HOUR))
    driver.clock_offset = HOUR + 1.0
    assert (await driver.count("emails")).ready == 2 * upkeep.BOUND  # whether promoted or not
    waiting = "SELECT count(*) FROM messages WHERE state = 2"
    for left in (upkeep.BOUND, 0):
        await driver.reserve({"others": 1}, limit=1, owner="w", lease=30.0)
        assert await rows_of(driver, waiting) == [(left,)]
    await driver.close()


async def test_one_reserve_may_take_thousands_in_order(tmp_path: Path) -> None:
    driver = await opened(tmp_path)
    messages = some_messages(2_500)
    await driver.enqueue(messages)
    deliveries = await driver.reserve({"emails": 5_000}, limit=2_400, owner="w", lease=30.0)
    assert [delivery.message for delivery in deliveries] == messages[:2_400]
    await driver.close()


async def test_outcomes_leave_nothing_behind_when_forgotten(tmp_path: Path) -> None:
    driver = await opened(tmp_path)
    await driver.enqueue(some_messages(50))
    deliveries = await driver.reserve({"emails": 50}, limit=50, owner="w", lease=30.0)
    await driver.settle([Complete(delivery.lease, b"done", HOUR) for delivery in deliveries])
    driver.clock_offset = HOUR + 1.0
    await upkeep_of(driver)
    assert await rows_of(driver, "SELECT * FROM messages") == []
    assert len(await rows_of(driver, "SELECT * FROM owners")) == 1  # a placeholder of the schema
    await driver.close()


async def test_large_payloads_among_small_ones_arrive_whole(tmp_path: Path) -> None:
    driver = await opened(tmp_path)
    sizes = [0, 300_000, 1, 131_072, 131_073, 70_000]
    messages = [Message(new_id(), "emails", "app.send", uuid4().bytes[:1] * size) for size in sizes]
    await driver.enqueue(messages)
    deliveries = await driver.reserve({"emails": 10}, limit=10, owner="w", lease=30.0)
    assert [delivery.message for delivery in deliveries] == messages
    await driver.settle(
        [Complete(delivery.lease, delivery.message.body) for delivery in deliveries]
    )
    outcomes = await driver.results([message.id for message in messages])
    assert [outcome and outcome.result for outcome in outcomes] == [m.body for m in messages]
    await driver.close()


def test_old_library_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(ConfigurationError, match=r"needs SQLite 3\.35\.0"):
        asyncio.run(SqliteDriver(tmp_path / "work.db").open())


async def test_a_file_gives_back_the_room_of_outcomes_that_were_forgotten(tmp_path: Path) -> None:
    driver = await opened(tmp_path)
    path = tmp_path / "work.db"
    await driver.enqueue(some_messages(500))
    deliveries = await driver.reserve({"emails": 500}, limit=500, owner="w", lease=30.0)
    await driver.settle([Complete(each.lease, bytes(50_000), HOUR) for each in deliveries])
    await driver.enqueue(some_messages(10))
    [[full]] = await rows_of(driver, "PRAGMA page_count")
    driver.clock_offset = HOUR + 1.0
    for _ in range(12):
        await upkeep_of(driver)
        driver.clock_offset += 10.0
    [[left]] = await rows_of(driver, "PRAGMA page_count")
    assert full > 6_000
    assert left < 2_500
    await driver.close()
    assert path.stat().st_size < 2_500 * 4096
    assert len(await rows_of(driver, "SELECT n FROM messages")) == 10


async def test_each_message_is_in_the_news_once(tmp_path: Path) -> None:
    """Also if the transaction of the upkeep is rolled back for another call, and run again."""
    driver = await opened(tmp_path)
    await driver.enqueue([Message(new_id(), "emails", "app.send", b"", expires=1.0)])
    driver.clock_offset = 100.0
    _, failed = await asyncio.gather(
        driver.reserve({"emails": 1}, limit=1, owner="w", lease=30.0),
        driver.reserve({"emails": 1}, limit=1, owner="\ud800", lease=30.0),
        return_exceptions=True,
    )
    assert isinstance(failed, DriverError)
    await upkeep_of(driver)
    [news] = driver.news()
    assert (news.queue, news.task) == ("emails", "app.send")
    assert (news.state, news.reason) == (State.DEAD, Reason.EXPIRED)
    assert driver.news() == []
    await driver.close()
    assert driver.news() == []


async def test_a_lease_taken_after_the_clock_was_set_back_is_not_given_back_at_once(
    tmp_path: Path,
) -> None:
    """Its token is in the future, because the enqueue was: the token does not tell its age."""
    driver = await opened(tmp_path)
    driver.clock_offset = 100.0
    await driver.enqueue(some_messages(1))
    driver.clock_offset = 0.0
    [got] = await driver.reserve({"emails": 1}, limit=1, owner="one", lease=30.0)
    await driver.extend("one", [], lease=30.0)  # before the worker has received the delivery
    assert await driver.settle([Complete(got.lease, None)]) == [Settled.DONE]
    await driver.close()
