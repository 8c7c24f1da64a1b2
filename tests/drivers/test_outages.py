"""The rule for outages as a table, and what SQLite stores of it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from asynctasq.conformance.harness import let_tidy
from asynctasq.contracts.driver import Driver
from asynctasq.driverkit.outages import UpkeepMark, next_mark, set_back_by
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.message import Delivery, Message, new_id
from asynctasq.settlement import LeaseState

NOW, LEASE = 1000.0, 80.0
SECOND = 4.0
"""The table counts in quarters of a second, so that half of its lease is less than the longest gap."""


@pytest.mark.parametrize(
    ("mark", "expected", "about"),
    [
        (UpkeepMark(999.0), UpkeepMark(999.0), "a fresh mark needs no write"),
        (UpkeepMark(990.0), UpkeepMark(1000.0), "after an eighth of a lease it is refreshed"),
        (UpkeepMark(960.0), UpkeepMark(1000.0), "half a lease is no outage"),
        (UpkeepMark(959.0), UpkeepMark(1000.0, 1040.0), "more than half of a lease is an outage"),
        (UpkeepMark(959.0, 1500.0), UpkeepMark(1000.0, 1500.0), "a longer pause is not shortened"),
        (UpkeepMark(950.0, 980.0), UpkeepMark(1000.0, 980.0), "the first call after a pause"),
        (UpkeepMark(999.0, 999.5), UpkeepMark(1000.0, 999.5), "it ends the exception at once"),
        (UpkeepMark(999.0, 980.0), UpkeepMark(999.0, 980.0), "calls after it are as before"),
        (UpkeepMark(1040.0), UpkeepMark(1000.0), "a mark in the future is replaced"),
        (UpkeepMark(1041.0), UpkeepMark(1000.0, 1040.0), "far in the future, it is an outage"),
        (UpkeepMark(1100.0, 1900.0), UpkeepMark(1000.0, 1040.0), "and its pause is shortened"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_next_mark(mark: UpkeepMark, expected: UpkeepMark, about: str) -> None:
    found = next_mark(mark, now=NOW, lease=LEASE, second=SECOND)
    assert found == expected, about
    assert (found is mark) is (expected == mark), about


@pytest.mark.parametrize(
    ("mark", "deadlines", "paused_until", "about"),
    [
        (UpkeepMark(900.0), [800.0, 890.0], 1040.0, "leases that had ended before it need no time"),
        (UpkeepMark(900.0), [1080.0, 1300.0], 1080.0, "4/9 of the rest of a longer lease"),
        (UpkeepMark(900.0), [1300.0], 1040.0, "a lease that lasts for long needs no time"),
        (UpkeepMark(900.0, 980.0), [890.0], 980.0, "a pause that nobody interrupted has an end"),
        (UpkeepMark(900.0, 980.0), [950.0], 1040.0, "an outage within a pause begins another"),
        (UpkeepMark(900.0, 980.0), [1050.0], 980.0, "not for leases that last beyond it"),
        (UpkeepMark(-20_000.0, -30_000.0), [900.0, 1100.0], 1040.0, "no lease was as long as that"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_deadlines_that_an_outage_passed(
    mark: UpkeepMark, deadlines: list[float], paused_until: float, about: str
) -> None:
    found = next_mark(mark, now=NOW, lease=LEASE, deadlines=lambda: deadlines, second=SECOND)
    assert found == UpkeepMark(NOW, paused_until), about


def test_workers_with_long_leases_notice_outages_as_soon_as_others() -> None:
    assert next_mark(UpkeepMark(NOW - 16.0), now=NOW, lease=3600.0) == UpkeepMark(NOW, NOW + 15.0)


def test_a_clock_that_is_set_back_is_told_by_how_much() -> None:
    assert set_back_by(UpkeepMark(NOW + 5.0), NOW) == 5.0
    assert set_back_by(UpkeepMark(NOW), NOW + 1.0) == 0.0
    assert set_back_by(None, NOW) == 0.0


def test_a_missing_mark_is_an_outage_only_if_there_are_leases() -> None:
    assert not next_mark(None, now=NOW, lease=LEASE).is_paused(NOW)
    assert next_mark(None, now=NOW, lease=LEASE, any_leases=True) == UpkeepMark(NOW, 1040.0)


def test_the_pause_ends_with_its_last_moment() -> None:
    assert UpkeepMark(NOW, 1040.0).is_paused(1039.9)
    assert not UpkeepMark(NOW, 1040.0).is_paused(1040.0)


@pytest.mark.parametrize("gap", [30.0, 41.0, 79.0, 81.0, 300.0])
def test_a_lone_caller_is_paused_for_no_two_calls_in_a_row_that_are_far_apart(gap: float) -> None:
    """However regular its calls are, at least every third of them may reclaim."""
    now, mark, paused = NOW, UpkeepMark(0.0), []
    for _ in range(12):
        mark = next_mark(mark, now=now, lease=LEASE)
        paused.append(mark.is_paused(now))
        now += gap
    assert all(not all(paused[start : start + 3]) for start in range(2, 9))


@pytest.fixture(params=["memory", "sqlite"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """Open a driver of each embedded store."""
    made: Driver = MemoryDriver()
    if request.param == "sqlite":
        made = SqliteDriver(tmp_path / "work.db")
    await made.open()
    yield made
    await made.close()


def a_message() -> Message:
    return Message(new_id(), "emails", "app.send", b"body")


YEARS = 10 * 365 * 86_400.0


async def deliveries_of(driver: Driver, *, owner: str, lease: float = 30.0) -> list[Delivery]:
    return await driver.reserve({"emails": 1}, limit=1, owner=owner, lease=lease)


async def test_leases_of_a_clock_that_was_ahead_end_when_it_is_set_back(driver: Driver) -> None:
    driver.clock_offset = YEARS
    await driver.enqueue([a_message()])
    assert await deliveries_of(driver, owner="gone")
    driver.clock_offset = 0.0
    for seconds in (0.0, 10.0, 20.0):
        driver.clock_offset = seconds
        assert await deliveries_of(driver, owner="w") == []
    driver.clock_offset = 32.0
    [delivery] = await deliveries_of(driver, owner="w")
    assert delivery.lost == 1


async def test_a_lease_whose_answer_was_lost_before_the_clock_was_set_back_is_given_back(
    driver: Driver,
) -> None:
    driver.clock_offset = YEARS
    await driver.enqueue([a_message()])
    assert await deliveries_of(driver, owner="w")
    driver.clock_offset = 0.0
    await driver.extend("w", [], lease=30.0)
    assert await deliveries_of(driver, owner="w") == [], "it may be on its way still"
    driver.clock_offset = 16.0
    await driver.extend("w", [], lease=30.0)
    [delivery] = await deliveries_of(driver, owner="w")
    assert delivery.lost == 0


async def test_a_second_outage_within_the_pause_takes_no_lease_that_was_renewed_in_between(
    driver: Driver,
) -> None:
    await driver.enqueue([a_message()])
    [delivery] = await deliveries_of(driver, owner="lives")
    driver.clock_offset = 31.0
    assert await deliveries_of(driver, owner="w") == []
    assert await driver.extend("lives", [delivery.lease], lease=30.0) == [LeaseState.HELD]
    driver.clock_offset = 70.0
    assert await deliveries_of(driver, owner="w") == []
    assert await driver.extend("lives", [delivery.lease], lease=30.0) == [LeaseState.HELD]


async def test_a_worker_with_a_long_lease_can_renew_it_after_a_jump_of_the_clock(
    driver: Driver,
) -> None:
    await driver.enqueue([a_message()])
    [delivery] = await deliveries_of(driver, owner="long", lease=600.0)
    await deliveries_of(driver, owner="short", lease=2.0)
    for seconds in range(2000, 2201, 50):  # it renews every 200 s
        driver.clock_offset = float(seconds)
        assert await deliveries_of(driver, owner="short", lease=2.0) == []
    assert await driver.extend("long", [delivery.lease], lease=600.0) == [LeaseState.HELD]


async def test_a_clock_that_is_set_back_stops_no_reclaiming(driver: Driver) -> None:
    driver.clock_offset = 86_400.0
    await let_tidy(driver)
    driver.clock_offset = 0.0
    await driver.enqueue([a_message()])
    await driver.reserve({"emails": 1}, limit=1, owner="gone", lease=30.0)
    driver.clock_offset = 60.0
    await let_tidy(driver)
    [delivery] = await driver.reserve({"emails": 1}, limit=1, owner="w", lease=30.0)
    assert delivery.lost == 1


def sql(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(statement).fetchall()


async def test_a_file_without_a_mark_gets_one_and_loses_no_lease(tmp_path: Path) -> None:
    """As a file of the release before, which may go on using it: the version of its tables stays."""
    path = tmp_path / "work.db"
    driver = SqliteDriver(path)
    await driver.open()
    await driver.enqueue([a_message()])
    await driver.reserve({"emails": 1}, limit=1, owner="old", lease=30.0)
    await driver.close()
    version = sql(path, "PRAGMA user_version")
    sql(path, "DROP TABLE upkeep")
    await driver.open()
    driver.clock_offset = 60.0
    assert await driver.reserve({"emails": 1}, limit=1, owner="new", lease=30.0) == []
    driver.clock_offset = 80.0
    [delivery] = await driver.reserve({"emails": 1}, limit=1, owner="new", lease=30.0)
    assert delivery.lost == 1
    await driver.close()
    assert sql(path, "PRAGMA user_version") == version


async def test_idle_calls_do_not_write_the_mark_each_time(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    driver = SqliteDriver(path)
    await driver.open()
    await driver.reserve({"emails": 1}, limit=1, owner="w", lease=3600.0)
    [before] = sql(path, "SELECT * FROM upkeep")
    for _ in range(10):
        await driver.reserve({"emails": 1}, limit=1, owner="w", lease=3600.0)
        await driver.extend("w", [], lease=3600.0)
    assert sql(path, "SELECT * FROM upkeep") == [before]
    await driver.close()


async def test_namespaces_have_marks_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "work.db"
    mine, other = SqliteDriver(path), SqliteDriver(path, namespace="other")
    await mine.open()
    await other.open()
    for driver in (mine, other):
        await driver.enqueue([a_message()])
        await driver.reserve({"emails": 1}, limit=1, owner="gone", lease=30.0)
    other.clock_offset = 60.0
    assert await other.reserve({"emails": 1}, limit=1, owner="w", lease=30.0) == []
    assert sql(path, "SELECT count(*) FROM upkeep WHERE paused_until > 0") == [(1,)]
    await mine.close()
    await other.close()
