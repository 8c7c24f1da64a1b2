"""Schedules in PostgreSQL: what claimers share, what a firing enqueues, and what a damaged row costs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from asynctasq.contracts.capabilities.schedules import Firing, Schedule, ScheduleChange
from asynctasq.errors import DriverError
from asynctasq.message import ScheduledRun
from asynctasq_postgres import PostgresDriver
from tests.drivers.opening import message, opened
from tests.servers.databases import own_database

MakeDriver = Callable[..., PostgresDriver]
DUE = 1e9
LATER = 9e9
HUGE = (1 << 63) - 1
DAMAGES: dict[str, tuple[Any, ...]] = {
    "id": (b"\xff\x00", b""),
    "definition": (b"",),
    "rhythm": (b"\xff",),
    "next_at": (None, HUGE, -HUGE - 1),
    "claimable_at": (None, HUGE, -HUGE - 1),
    "revision": (0, -5, HUGE),
    "paused": (True,),
    "orphaned": (True,),
    "declared_by": (b"\xff",),
    "seen_at": (-HUGE - 1, HUGE),
    "fired_at": (-HUGE - 1, HUGE),
}


def schedule(name: str, next_at: float = DUE) -> Schedule:
    return Schedule(name, b"definition", next_at, "every 60")


def firing(claimed: Schedule) -> Firing:
    assert claimed.next_at is not None
    run = message(schedule=ScheduledRun(claimed.id, claimed.next_at))
    return Firing(claimed.id, claimed.revision, claimed.next_at, LATER, (run,))


@pytest.fixture
async def driver(make_driver: MakeDriver) -> AsyncIterator[PostgresDriver]:
    async with opened(make_driver()) as found:
        yield found


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Any]:
    made = await asyncpg.connect(url)
    yield made
    await made.close()


@pytest.mark.parametrize("column", DAMAGES)
async def test_a_damaged_schedule_costs_only_itself(
    column: str, driver: PostgresDriver, connection: Any
) -> None:
    for value in DAMAGES[column]:
        names = ["a", "bad", "z"]
        await driver.put_schedules([schedule(name) for name in names])
        await connection.execute(
            f"UPDATE asynctasq.schedules AS s SET {column} = $1 FROM asynctasq.namespaces AS n"
            " WHERE s.id = 'bad' AND n.key = s.namespace AND n.name = $2",
            value,
            driver.settings.namespace,
        )
        claim = await driver.claim_schedules(limit=10, hold=60.0)
        claimed = {each.id for each in claim.schedules}
        assert {"a", "z"} <= claimed
        assert claim.next_at is None or claim.next_at > claim.now
        answers = await driver.fire([firing(each) for each in claim.schedules])
        fired = dict(zip([each.id for each in claim.schedules], answers, strict=True))
        assert fired["a"]
        assert fired["z"]
        listed = [each.id for each in (await driver.schedules()).items]
        assert {"a", "z"} <= set(listed)
        [first, _, last] = await driver.find_schedules(names)
        assert [each and each.id for each in (first, last)] == ["a", "z"]
        await driver.change_schedules(names, ScheduleChange.SEEN)
        await driver.put_schedules([schedule("bad", LATER)])
        [again] = await driver.find_schedules(["bad"])
        assert again is not None
        assert again.definition == b"definition"
        await driver.change_schedules(names, ScheduleChange.PAUSE)
        await driver.change_schedules(names, ScheduleChange.RESUME)
        await driver.change_schedules([*listed, "bad"], ScheduleChange.REMOVE)
        await connection.execute("DELETE FROM asynctasq.schedules WHERE id IN ('', '\\xff00')")


async def test_a_schedule_that_another_call_has_locked_is_left_to_it(
    driver: PostgresDriver, connection: Any
) -> None:
    """A claim neither waits for it, nor says that it is due, so that the caller does not ask again at once."""
    await driver.put_schedules([schedule("free"), schedule("locked"), schedule("later", LATER)])
    async with connection.transaction():
        await connection.execute(
            "SELECT 1 FROM asynctasq.schedules AS s JOIN asynctasq.namespaces AS n ON n.key = s.namespace"
            " WHERE s.id = 'locked' AND n.name = $1 FOR UPDATE OF s",
            driver.settings.namespace,
        )
        claim = await driver.claim_schedules(limit=10, hold=60.0)
        assert [each.id for each in claim.schedules] == ["free"]
        assert claim.next_at == pytest.approx(claim.now + 60.0)
    claim = await driver.claim_schedules(limit=10, hold=60.0)
    assert [each.id for each in claim.schedules] == ["locked"]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """Return how many schedules are due at once."""
    return 10_000 if request.config.getoption("full") else 1_000


async def test_four_claimers_fire_each_schedule_once(make_driver: MakeDriver, count: int) -> None:
    names = [f"tick {number}" for number in range(count)]
    fired: Counter[str] = Counter()

    async def fire_all() -> None:
        async with opened(make_driver()) as driver:
            while (await driver.claim_schedules(limit=0, hold=0.0)).next_at != LATER:
                claim = await driver.claim_schedules(limit=100, hold=60.0)
                answers = await driver.fire([firing(each) for each in claim.schedules])
                pairs = zip(claim.schedules, answers, strict=True)
                fired.update(each.id for each, has_fired in pairs if has_fired)

    async with opened(make_driver()) as driver:
        for begin in range(0, count, 100):
            await driver.put_schedules([schedule(name) for name in names[begin : begin + 100]])
        await asyncio.gather(*(fire_all() for _ in range(4)))
        assert fired == dict.fromkeys(names, 1)
        assert (await driver.count("q")).ready == count


async def test_a_refused_firing_does_not_keep_a_message_out_that_another_one_has(
    driver: PostgresDriver,
) -> None:
    await driver.put_schedules([schedule("tick")])
    [claimed] = (await driver.claim_schedules(limit=1, hold=60.0)).schedules
    good = firing(claimed)
    assert await driver.fire([replace(good, revision=7), good]) == [False, True]
    assert (await driver.count("q")).ready == 1


async def test_later_firings_of_a_call_see_the_earlier_ones(driver: PostgresDriver) -> None:
    await driver.put_schedules([schedule("tick")])
    first = Firing("tick", 1, DUE, DUE + 60.0, (message(), message(delay=500.0)))
    second = Firing("tick", 1, DUE + 60.0, DUE + 120.0, (replace(message(), queue="other"),))
    assert await driver.fire([first, first, second]) == [True, False, True]
    counts = await driver.count("q")
    assert (counts.ready, counts.scheduled) == (1, 1)
    assert (await driver.count("other")).ready == 1


async def test_a_firing_wakes_a_worker_that_sleeps(
    make_driver: MakeDriver, driver: PostgresDriver, connection: Any
) -> None:
    await driver.put_schedules([schedule("tick")])
    async with opened(make_driver(poll_interval=600.0)) as sleeper:
        waiting = asyncio.create_task(sleeper.wait(["q"], timeout=600.0))
        while not await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM asynctasq.sleepers AS s JOIN asynctasq.queues AS q ON q.key = s.queue"
            " JOIN asynctasq.namespaces AS n ON n.key = q.namespace WHERE n.name = $1 AND s.until > 0)",
            driver.settings.namespace,
        ):
            pass
        [claimed] = (await driver.claim_schedules(limit=1, hold=60.0)).schedules
        assert await driver.fire([firing(claimed)]) == [True]
        async with asyncio.timeout(60.0):
            await waiting


@pytest.fixture
def old_url(empty_url: str) -> Iterator[str]:
    """Yield the URL of a database with the tables of an earlier release."""
    with own_database(empty_url) as found:
        asyncio.run(_make_old_tables(found))
        yield found


async def _make_old_tables(url: str) -> None:
    await PostgresDriver(url).migrate()
    connection = await asyncpg.connect(url)
    await connection.execute("DROP TABLE asynctasq.schedules CASCADE")
    await connection.execute("UPDATE asynctasq.meta SET version = 3")
    await connection.close()


async def test_no_schedule_is_due_in_tables_of_an_earlier_release(old_url: str) -> None:
    """So a worker of this release works before the migration."""
    async with opened(PostgresDriver(old_url)) as driver:
        claim = await driver.claim_schedules(limit=10, hold=60.0)
        assert (list(claim.schedules), claim.next_at) == ([], None)
        assert claim.now > DUE
        assert await driver.find_schedules(["tick"]) == [None]
        assert list((await driver.schedules()).items) == []
        assert await driver.change_schedules(["tick"], ScheduleChange.SEEN) == [False]
        assert await driver.fire([firing(schedule("tick"))]) == [False]
        with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
            await driver.put_schedules([schedule("tick")])
