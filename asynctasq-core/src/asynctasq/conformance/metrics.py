"""METRICS: counts of workers per minute, queue and task, and their latest outcomes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.counts import RUN, Count, add_to, pack_counts, unpack_counts
from asynctasq.errors import DriverError

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.metrics import (
        MetricCounts,
        MetricRow,
        RecentRow,
        SupportsMetrics,
    )

NEEDS = Capability.METRICS
DAY = 86_400.0
ALWAYS = (0.0, 1e10)
_Sums = dict[tuple[str, str], dict[int, int]]


def _metrics(driver: Driver) -> "SupportsMetrics":
    from asynctasq.contracts.capabilities.metrics import SupportsMetrics

    assert isinstance(driver, SupportsMetrics)  # `check_capabilities` has made sure
    return driver


async def _minute(harness: Harness) -> int:
    """Return the present minute, by the store's clock."""
    delivery = await harness.enqueue_and_lease(queue=random_name("clock"))
    return int(delivery.enqueued_at // 60)


def _row(
    harness: Harness, minute: int, task: str = "shop.pay", queue: str | None = None, **counts: int
) -> "MetricCounts":
    from asynctasq.contracts.capabilities.metrics import MetricCounts

    numbers = {Count[name.upper()].value: value for name, value in counts.items()}
    return MetricCounts(minute, queue or harness.queue, task, pack_counts(numbers))


async def _flush(
    harness: Harness,
    *rows: "MetricCounts",
    source: str | None = None,
    number: int = 1,
    driver: Driver | None = None,
    recent: dict[str, bytes] | None = None,
) -> None:
    from asynctasq.contracts.capabilities.metrics import MetricFlush

    flush = MetricFlush(source or random_name("source"), number, rows, recent)
    await _metrics(driver or harness.driver).add_metrics(flush)


async def _rows(
    harness: Harness,
    *,
    span: tuple[float, float] = ALWAYS,
    queue: str | None = None,
    task: str | None = None,
    limit: int = 1000,
    driver: Driver | None = None,
) -> "list[MetricRow]":
    """Return the rows of all pages; of the harness's queue, unless another is given."""
    found: list[MetricRow] = []
    cursor: str | None = None
    while True:
        page = await _metrics(driver or harness.clone).metrics(
            since=span[0],
            until=span[1],
            queue=queue or harness.queue,
            task=task,
            limit=limit,
            cursor=cursor,
        )
        expect(len(page.items) <= limit, "a page has more rows than its limit")
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


def _sums(rows: "Sequence[MetricRow]") -> _Sums:
    sums: _Sums = {}
    for row in rows:
        add_to(sums.setdefault((row.queue, row.task), {}), unpack_counts(row.counts) or {})
    return sums


async def _expect_sums(
    harness: Harness, expected: Mapping[str, Mapping[Any, int]], about: str
) -> None:
    """Check the sums by task of the harness's queue, as both instances see them."""
    wanted = {(harness.queue, task): counts for task, counts in expected.items()}
    for driver in (harness.driver, harness.clone):
        expect_equal(_sums(await _rows(harness, driver=driver)), wanted, about)


# Counts are added, once.


@check("", 74, needs=NEEDS)
async def counts_are_added_by_minute_queue_and_task(harness: Harness) -> None:
    minute = await _minute(harness)
    other = random_name("other")
    one, two = random_name("source"), random_name("source")
    await _flush(
        harness,
        _row(harness, minute, completed=3, run_micros=1 << 40),
        _row(harness, minute, "shop.ship", dead=1),
        _row(harness, minute, queue=other, retried=9),
        _row(harness, minute - 1, completed=1),
        source=one,
    )
    await _flush(harness, _row(harness, minute, completed=2, cancelled=1), source=one, number=2)
    await _flush(harness, _row(harness, minute, completed=5), source=two, driver=harness.clone)
    by_minute: dict[tuple[float, float], dict[int, int]] = {}
    for row in await _rows(harness, task="shop.pay"):
        add_to(by_minute.setdefault((row.at, row.seconds), {}), unpack_counts(row.counts) or {})
    now = {Count.COMPLETED: 10, Count.CANCELLED: 1, Count.RUN_MICROS: 1 << 40}
    expected = {(minute * 60.0, 60.0): now, (minute * 60.0 - 60, 60.0): {Count.COMPLETED: 1}}
    expect_equal(by_minute, expected, "counts by minute")
    whole = {**now, Count.COMPLETED: 11}
    await _expect_sums(harness, {"shop.pay": whole, "shop.ship": {Count.DEAD: 1}}, "counts by task")
    rows = await _rows(harness, queue=other)
    expect_equal(_sums(rows), {(other, "shop.pay"): {Count.RETRIED: 9}}, "counts of another queue")


@check("", 74, needs=NEEDS)
async def repeated_flush_counts_once(harness: Harness) -> None:
    """Check this through both instances. An older flush changes nothing either."""
    minute = await _minute(harness)
    source = random_name("source")
    for number, driver in ((7, harness.driver), (7, harness.clone), (3, harness.driver)):
        await _flush(
            harness,
            _row(harness, minute, completed=2),
            _row(harness, minute - 1, completed=2),
            source=source,
            number=number,
            driver=driver,
            recent={harness.queue: str(number).encode()},
        )
    await _flush(harness, _row(harness, minute, completed=1), source=f"{source}x", number=7)
    await _flush(harness, _row(harness, minute, completed=10), source=source, number=8)
    await _expect_sums(harness, {"shop.pay": {Count.COMPLETED: 15}}, "counts")


@check("", 74, needs=NEEDS)
async def one_flush_may_name_a_task_twice_or_nothing(harness: Harness) -> None:
    minute = await _minute(harness)
    await _flush(harness)
    rows = [_row(harness, minute, completed=1), _row(harness, minute, completed=4)]
    await _flush(harness, *rows)
    await _expect_sums(harness, {"shop.pay": {Count.COMPLETED: 5}}, "counts")


@check("", 74, needs=NEEDS)
async def flushes_of_many_sources_at_once_are_all_counted(harness: Harness) -> None:
    minute = await _minute(harness)
    clones = await harness.open_clones(4)
    names = [f"task.{number}" for number in range(20)]
    rows = [_row(harness, minute, name, completed=1, run_micros=7) for name in names]

    async def flush_often(driver: Driver) -> None:
        source = random_name("source")
        for number in range(5):
            # In another order each time, so that transactions meet.
            mixed = rows if number % 2 else rows[::-1]
            await _flush(harness, *mixed, source=source, number=number, driver=driver)

    await asyncio.gather(*(flush_often(driver) for driver in (*clones, *clones)))
    expected = {name: {Count.COMPLETED.value: 40, Count.RUN_MICROS.value: 280} for name in names}
    await _expect_sums(harness, expected, "counts of eight sources")


@check("", 74, needs=NEEDS)
async def counts_out_of_time_are_left_out(harness: Harness) -> None:
    minute = await _minute(harness)
    kept = (minute - 23 * 60, minute + 50)
    left_out = (0, minute - 26 * 60, minute + 70, (1 << 53) - 1)
    rows = [_row(harness, each, completed=1) for each in (*kept, *left_out)]
    await _flush(harness, *rows)
    starts = sorted(row.at for row in await _rows(harness))
    expect_equal(starts, [each * 60.0 for each in kept], "minutes that are counted")


# Answers.


@check("", 75, needs=NEEDS)
async def counts_are_found_by_time_queue_and_task(harness: Harness) -> None:
    minute = await _minute(harness)
    names = ("shop.pay", "shop.Pay", "shop.pay ", "shop.größe", "shop_pay", "mail")
    capital = harness.queue.upper()
    await _flush(
        harness,
        *(_row(harness, minute, name, completed=1) for name in names),
        _row(harness, minute, queue=capital, completed=1),
        _row(harness, minute - 5, completed=1),
    )
    now = (minute * 60.0, minute * 60.0 + 1)
    for task, found in (
        ("shop.pay", {"shop.pay"}),
        ("shop.p*", {"shop.pay", "shop.pay "}),
        ("shop.*", {"shop.pay", "shop.Pay", "shop.pay ", "shop.größe"}),
        ("shop_*", {"shop_pay"}),
        ("*", set(names)),
        (None, set(names)),
        ("nothing", set()),
    ):
        rows = await _rows(harness, task=task, span=now)
        expect_equal({row.task for row in rows}, found, f"tasks that match {task}")
    expect_equal(len(await _rows(harness, queue=capital)), 1, "rows of a queue in capitals")
    before = (minute * 60.0 - 300, minute * 60.0)
    expect_equal({row.at for row in await _rows(harness, span=before)}, {before[0]}, "earlier rows")
    later = (minute * 60.0 + 0.5, minute * 60.0 + 500)
    expect_equal(await _rows(harness, span=later), [], "rows of a later time")


@check("", 75, needs=NEEDS)
async def pages_of_counts_show_each_row_once(harness: Harness) -> None:
    minute = await _minute(harness)
    names = [f"task.{number}" for number in range(7)]
    for source in range(3):
        rows = [_row(harness, minute - source, name, completed=1) for name in names]
        await _flush(harness, *rows)
    for limit in (1, 4, 1000):
        found = await _rows(harness, limit=limit)
        places = sorted((row.at, row.task) for row in found)
        expected = sorted(((minute - n) * 60.0, name) for n in range(3) for name in names)
        expect_equal(places, expected, f"rows of pages of {limit}")


@check("", 75, needs=NEEDS)
async def counts_of_every_queue_are_listed(harness: Harness) -> None:
    minute = await _minute(harness)
    await _flush(harness, _row(harness, minute, completed=1))
    found, cursor = [], None
    while True:
        page = await _metrics(harness.clone).metrics(
            since=minute * 60.0, until=minute * 60.0 + 60, cursor=cursor
        )
        found += [row for row in page.items if row.queue == harness.queue]
        cursor = page.cursor
        if cursor is None:
            break
    expect_equal(len(found), 1, "rows of the queue among those of all queues")


@check("", 75, 77, needs=NEEDS)
async def cursor_of_another_listing_is_refused(harness: Harness) -> None:
    metrics = _metrics(harness.clone)
    for cursor in ("nonsense", "metrics.i1", "metrics.n.n.n.n.n", "recent.n", "m.n.n.n.n", "r.n.n"):
        refused = 0
        for call in (
            metrics.metrics(since=0.0, until=1e10, cursor=cursor),
            metrics.recent_outcomes(cursor=cursor),
        ):
            try:
                await call
            except DriverError:
                refused += 1
        expect_equal(refused, 2, f"number of calls that refuse the cursor {cursor}")


@check("", 75, needs=NEEDS)
async def damaged_counts_cost_only_themselves(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.metrics import MetricCounts

    minute = await _minute(harness)
    source = random_name("source")
    damaged = [
        MetricCounts(minute, harness.queue, f"damaged.{place}", data)
        for place, data in enumerate((b"", b"\xc1", b"\x01\x00\x00\x09abc", b"\x02\x00\x00\x00"))
    ]
    await _flush(harness, *damaged, _row(harness, minute, completed=1), source=source)
    more = [_row(harness, minute, row.task, completed=1) for row in damaged]
    await _flush(harness, *more, source=source, number=2)
    expected = {row.task: {Count.COMPLETED.value: 1} for row in damaged}
    await _expect_sums(harness, expected | {"shop.pay": {Count.COMPLETED: 1}}, "good counts")
    await harness.advance(DAY + 7200)
    for number in range(3):
        await _flush(harness, source=f"{source}y", number=number + 1)
    await _expect_sums(harness, expected | {"shop.pay": {Count.COMPLETED: 1}}, "after a day")


# Upkeep.


@check("", 76, needs=NEEDS)
async def minutes_become_hours_after_a_day(harness: Harness) -> None:
    """Check that no sum changes, and that rows which are not old enough stay minutes."""
    hour = await _minute(harness) // 60
    source = random_name("source")
    later = _row(harness, hour * 60 + 40, "later", completed=1)
    for number in range(3):
        rows = [
            _row(harness, (hour - 1) * 60 + minute, name, completed=1 + minute)
            for minute in range(0, 60, 10)
            for name in ("shop.pay", "shop.ship")
        ]
        await _flush(harness, *rows, later, source=f"{source}{number}")
    old = (hour - 1) * 3600.0
    # The last minute of that hour is a day old, and the next hour is not.
    await _move_to(harness, old + 3600 + DAY + 60)
    for number in range(3):
        await _flush(harness, source=source, number=number + 1)
    rows_found = await _rows(harness, span=(old, old + 3600))
    spans = {(row.at, row.seconds) for row in rows_found}
    expect_equal(spans, {(old, 3600.0)}, "spans of rows that are a day old")
    total = 3 * sum(1 + minute for minute in range(0, 60, 10))
    expected: dict[str, dict[int, int]] = {
        name: {Count.COMPLETED: total} for name in ("shop.pay", "shop.ship")
    }
    await _expect_sums(harness, {**expected, "later": {Count.COMPLETED: 3}}, "sums after a day")
    kept = {row.seconds for row in await _rows(harness, task="later")}
    expect_equal(kept, {60.0}, "spans of rows that are not a day old")


async def _move_to(harness: Harness, moment: float) -> None:
    """Move the store's clock ahead to a moment, or a little later."""
    delivery = await harness.enqueue_and_lease(queue=random_name("clock"))
    await harness.advance(moment - delivery.enqueued_at)


@check("", 76, needs=NEEDS)
async def rows_of_one_hour_that_come_in_pieces_are_added_up(harness: Harness) -> None:
    """Check this for more rows than one piece of upkeep adds up."""
    minute = await _minute(harness)
    source = random_name("source")
    start = minute - minute % 60 - 60
    names = [f"task.{number:03}" for number in range(50)]
    for number in range(50):
        rows = [_row(harness, start + number, name, completed=1) for name in names]
        await _flush(harness, *rows, source=source, number=number)
    await harness.advance(DAY + 7300)
    for number in range(6):
        await _flush(harness, source=source, number=1000 + number)
    await _expect_sums(harness, {name: {Count.COMPLETED: 50} for name in names}, "sums")
    expect_equal({row.seconds for row in await _rows(harness)}, {3600.0}, "spans")


@check("", 76, needs=NEEDS)
async def several_instances_add_up_the_same_minutes_once(harness: Harness) -> None:
    minute = await _minute(harness)
    clones = await harness.open_clones(4)
    names = [f"task.{number}" for number in range(5)]
    for number in range(10):
        rows = [_row(harness, minute - number, name, completed=1) for name in names]
        await _flush(harness, *rows, driver=clones[number % 4])
    await harness.advance(DAY + 7300)
    for driver in clones:
        driver.clock_offset = harness.driver.clock_offset
    for _ in range(4):
        await asyncio.gather(*(_flush(harness, driver=driver) for driver in clones))
    await _expect_sums(harness, {name: {Count.COMPLETED: 10} for name in names}, "sums")


@check("", 76, needs=NEEDS)
async def hours_are_kept_for_thirty_days(harness: Harness) -> None:
    minute = await _minute(harness)
    await _flush(harness, _row(harness, minute, completed=1))
    await harness.advance(DAY + 7200)
    for _ in range(3):
        await _flush(harness)
    await harness.advance(28 * DAY - 7200)
    for _ in range(3):
        await _flush(harness)
    expect_equal(len(await _rows(harness)), 1, "rows after 29 days")
    await harness.advance(DAY + 7200)
    for _ in range(3):
        await _flush(harness)
    expect_equal(await _rows(harness), [], "rows after 30 days")


# Latest outcomes.


@check("", 77, needs=NEEDS)
async def last_bytes_of_each_source_and_queue_are_kept(harness: Harness) -> None:
    other = random_name("other")
    one, two = sorted(random_name("source") for _ in range(2))
    await _flush(harness, source=one, recent={harness.queue: b"old", other: b"\x00" * 40_000})
    await _flush(harness, source=two, recent={harness.queue: b"two"}, driver=harness.clone)
    await _flush(harness, source=one, number=2, recent={harness.queue: b"new"})
    await _flush(harness, source=one, number=3)
    await _flush(harness, source=one, number=2, recent={harness.queue: b"repeated"})
    rows = await _latest(harness, harness.queue)
    expect_equal(rows, {one: b"new", two: b"two"}, "latest outcomes")
    expect_equal(await _latest(harness, other), {one: b"\x00" * 40_000}, "of another queue")
    expect_equal(await _latest(harness, harness.queue.upper()), {}, "of a queue in capitals")


@check("", 77, needs=NEEDS)
async def latest_outcomes_of_all_queues_are_listed_in_pages(harness: Harness) -> None:
    sources = sorted(random_name("source") for _ in range(5))
    for source in sources:
        await _flush(harness, source=source, recent={harness.queue: source.encode()})
    for limit in (1, 2, 100):
        rows = await _latest(harness, None, limit=limit)
        found = {source: rows.get(source) for source in sources}
        expect_equal(found, {source: source.encode() for source in sources}, "latest outcomes")


@check("", 77, needs=NEEDS)
async def latest_outcomes_are_kept_for_a_day(harness: Harness) -> None:
    old, new = random_name("source"), random_name("source")
    await _flush(harness, source=old, recent={harness.queue: b"old"})
    await harness.advance(DAY - 3600)
    await _flush(harness, source=new, recent={harness.queue: b"new"})
    expect_equal(set(await _latest(harness, harness.queue)), {old, new}, "sources")
    await harness.advance(7200)
    for _ in range(2):
        await _flush(harness)
    expect_equal(await _latest(harness, harness.queue), {new: b"new"}, "sources after a day")


async def _latest(harness: Harness, queue: str | None, *, limit: int = 100) -> dict[str, bytes]:
    found: list[RecentRow] = []
    cursor: str | None = None
    while True:
        page = await _metrics(harness.clone).recent_outcomes(
            queue=queue, limit=limit, cursor=cursor
        )
        expect(len(page.items) <= limit, "a page has more rows than its limit")
        found += [row for row in page.items if queue in (None, row.queue)]
        cursor = page.cursor
        if cursor is None:
            break
    places = [(row.queue, row.source) for row in found]
    expect_equal(len(set(places)), len(places), "number of different rows")
    return {row.source: row.data for row in found}


@check("a", 74, needs=NEEDS, durable=True)
async def counts_outlive_the_last_open_instance(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.metrics import MetricCounts

    minute = await _minute(harness)
    source = random_name("source")
    bucket = MetricCounts(minute, harness.queue, "shop.pay", pack_counts({RUN: 3}))
    await _flush(harness, bucket, source=source, recent={harness.queue: b"kept"})
    await harness.driver.close()
    await harness.clone.close()
    await harness.driver.open()
    await harness.clone.open()
    await _flush(harness, bucket, source=source)
    await _expect_sums(harness, {"shop.pay": {RUN: 3}}, "counts")
    expect_equal(await _latest(harness, harness.queue), {source: b"kept"}, "latest outcomes")
