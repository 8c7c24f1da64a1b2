"""Schedules: damaged rows cost only themselves, and calls that run at once fire each time once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from asynctasq.contracts.capabilities.schedules import Firing, Schedule, ScheduleChange
from asynctasq.errors import DriverError
from asynctasq.message import Message, ScheduledRun
from asynctasq_mysql import MySQLDriver
from tests.drivers.opening import message, opened
from tests.servers.databases import mysql_connection, own_database

MakeDriver = Callable[..., MySQLDriver]

DUE, LATER = 1_000_000_000.0, 9_000_000_000.0
DAMAGE = [
    "definition = ''",
    "rhythm = x'ff'",
    "next_at = 9223372036854775807",
    "next_at = NULL",
    "claimable_at = 9223372036854775807",
    "claimable_at = -9223372036854775808",
    "claimable_at = NULL",
    "revision = 0",
    "revision = 9223372036854775807",
    "paused = -7",
    "orphaned = -7",
    "declared_by = x'ff'",
    "seen_at = -5",
    "fired_at = 9223372036854775807",
]


def execute(url: str, *texts: str) -> None:
    with mysql_connection(url) as connection, connection.cursor() as cursor:
        for text in texts:
            cursor.execute(text)


def schedule(name: str, next_at: float = DUE) -> Schedule:
    return Schedule(name, b"definition", next_at, "every 60")


def firing(claimed: Schedule, *messages: Message) -> Firing:
    assert claimed.next_at is not None
    run = ScheduledRun(claimed.id, claimed.next_at)
    return Firing(
        claimed.id,
        claimed.revision,
        claimed.next_at,
        LATER,
        messages or (message(schedule=run),),
    )


@pytest.mark.parametrize("change", DAMAGE)
async def test_a_damaged_schedule_costs_only_itself(
    make_driver: MakeDriver, url: str, namespace: str, change: str
) -> None:
    names = [f"a {namespace}", f"bad {namespace}", f"z {namespace}"]
    good = {names[0], names[2]}
    async with opened(make_driver()) as driver:
        await driver.put_schedules([schedule(name) for name in names])
        bad = f"id = x'{names[1].encode().hex()}'"
        execute(url, f"UPDATE asynctasq_timetable SET {change} WHERE {bad}")
        claim = await driver.claim_schedules(limit=10, hold=60.0)
        assert good <= {each.id for each in claim.schedules}
        answers = await driver.fire([firing(each) for each in claim.schedules])
        fired = dict(zip([each.id for each in claim.schedules], answers, strict=True))
        assert all(fired[name] for name in good)
        assert good <= {each.id for each in (await driver.schedules()).items}
        await driver.change_schedules(names, ScheduleChange.SEEN)
        await driver.put_schedules([schedule(names[1], LATER)])
        [again] = await driver.find_schedules([names[1]])
        assert again is not None
        assert again.definition == b"definition"
        await driver.change_schedules(names, ScheduleChange.PAUSE)
        await driver.change_schedules(names, ScheduleChange.RESUME)
        assert all(await driver.change_schedules(names, ScheduleChange.REMOVE))


async def test_a_name_that_is_not_text_costs_only_itself(
    make_driver: MakeDriver, url: str, namespace: str
) -> None:
    bad, good = f"bad {namespace}", f"good {namespace}"
    async with opened(make_driver()) as driver:
        await driver.put_schedules([schedule(bad), schedule(good)])
        damaged = f"id = x'{bad.encode().hex()}'"
        execute(url, f"UPDATE asynctasq_timetable SET id = CONCAT(x'ff', id) WHERE {damaged}")
        claim = await driver.claim_schedules(limit=10, hold=60.0)
        assert [each.id for each in claim.schedules] == [good]
        assert [each.id for each in (await driver.schedules()).items] == [good]


async def test_calls_at_once_fire_each_time_once(make_driver: MakeDriver) -> None:
    names = [f"schedule {number}" for number in range(300)]
    fired: Counter[str] = Counter()

    async def work(driver: MySQLDriver, turned: Sequence[str]) -> None:
        await driver.put_schedules([schedule(name) for name in turned])
        while True:
            claim = await driver.claim_schedules(limit=20, hold=60.0)
            firings = [firing(each) for each in claim.schedules]
            answers = await driver.fire(firings[::-1])
            fired.update(
                each.id for each, fires in zip(firings[::-1], answers, strict=True) if fires
            )
            await driver.change_schedules(turned[:50], ScheduleChange.SEEN)
            if claim.next_at is None or claim.next_at > claim.now:
                return

    async with opened(make_driver()) as one, opened(make_driver()) as two:
        await asyncio.gather(
            work(one, names), work(one, names[::-1]), work(two, names[100:]), work(two, names)
        )
        assert (await one.count("q")).ready == len(names)
    assert fired == dict.fromkeys(names, 1)


async def test_a_message_whose_id_is_known_does_not_stop_the_others(
    make_driver: MakeDriver,
) -> None:
    known, new = message(), message()
    async with opened(make_driver()) as driver:
        await driver.enqueue([known])
        await driver.put_schedules([schedule("one"), schedule("two")])
        one, two = (await driver.claim_schedules(limit=9, hold=60.0)).schedules
        assert await driver.fire([firing(one, known, new), firing(two, new)]) == [True, True]
        assert (await driver.count("q")).ready == 2


async def test_a_firing_wakes_a_driver_that_waits(make_driver: MakeDriver) -> None:
    async with opened(make_driver()) as driver:
        await driver.put_schedules([schedule("nightly")])
        [claimed] = (await driver.claim_schedules(limit=9, hold=60.0)).schedules
        assert await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0) == []
        waiting = asyncio.create_task(driver.wait(["q"], timeout=60.0))
        await driver.fire([firing(claimed)])
        await waiting
        assert len(await driver.reserve({"q": 1}, limit=1, owner="w", lease=60.0)) == 1


async def test_tables_of_the_release_before_have_no_schedules(server_url: str) -> None:
    with own_database(server_url) as database:
        driver = MySQLDriver(database)
        await driver.migrate()
        execute(database, "UPDATE asynctasq_meta SET version = 3", "DROP TABLE asynctasq_timetable")
        async with opened(driver):
            claim = await driver.claim_schedules(limit=9, hold=60.0)
            assert (list(claim.schedules), claim.next_at) == ([], None)
            assert (await driver.schedules()).items == []
            assert await driver.find_schedules(["nightly"]) == [None]
            with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
                await driver.put_schedules([schedule("nightly")])
        assert (await driver.migrate())[0] == "schema_4"
