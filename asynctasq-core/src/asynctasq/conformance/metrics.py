"""METRICS: counts of workers per minute, queue and task, and their latest outcomes."""

import asyncio

from asynctasq.conformance.check import check
from asynctasq.conformance.counting import (
    counts_row,
    expect_sums,
    flush,
    latest_outcomes,
    metrics_of,
    present_minute,
    rows_of,
    sums_of,
)
from asynctasq.conformance.harness import Harness, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.counts import RUN, Count, add_to, pack_counts, unpack_counts
from asynctasq.errors import DriverError

NEEDS = Capability.METRICS
DAY = 86_400.0


# Counts are added, once.


@check("", 80, needs=NEEDS)
async def counts_are_added_by_minute_queue_and_task(harness: Harness) -> None:
    minute = await present_minute(harness)
    other = random_name("other")
    one, two = random_name("source"), random_name("source")
    await flush(
        harness,
        counts_row(harness, minute, completed=3, run_micros=1 << 40),
        counts_row(harness, minute, "shop.ship", dead=1),
        counts_row(harness, minute, queue=other, retried=9),
        counts_row(harness, minute - 1, completed=1),
        source=one,
    )
    await flush(
        harness, counts_row(harness, minute, completed=2, cancelled=1), source=one, number=2
    )
    await flush(harness, counts_row(harness, minute, completed=5), source=two, driver=harness.clone)
    by_minute: dict[tuple[float, float], dict[int, int]] = {}
    for row in await rows_of(harness, task="shop.pay"):
        add_to(by_minute.setdefault((row.at, row.seconds), {}), unpack_counts(row.counts) or {})
    now = {Count.COMPLETED: 10, Count.CANCELLED: 1, Count.RUN_MICROS: 1 << 40}
    expected = {(minute * 60.0, 60.0): now, (minute * 60.0 - 60, 60.0): {Count.COMPLETED: 1}}
    expect_equal(by_minute, expected, "counts by minute")
    whole = {**now, Count.COMPLETED: 11}
    await expect_sums(harness, {"shop.pay": whole, "shop.ship": {Count.DEAD: 1}}, "counts by task")
    rows = await rows_of(harness, queue=other)
    expect_equal(
        sums_of(rows), {(other, "shop.pay"): {Count.RETRIED: 9}}, "counts of another queue"
    )


@check("", 80, needs=NEEDS)
async def repeated_flush_counts_once(harness: Harness) -> None:
    """Check this through both instances. An older flush changes nothing either."""
    minute = await present_minute(harness)
    source = random_name("source")
    for number, driver in ((7, harness.driver), (7, harness.clone), (3, harness.driver)):
        await flush(
            harness,
            counts_row(harness, minute, completed=2),
            counts_row(harness, minute - 1, completed=2),
            source=source,
            number=number,
            driver=driver,
            recent={harness.queue: str(number).encode()},
        )
    await flush(harness, counts_row(harness, minute, completed=1), source=f"{source}x", number=7)
    await flush(harness, counts_row(harness, minute, completed=10), source=source, number=8)
    await expect_sums(harness, {"shop.pay": {Count.COMPLETED: 15}}, "counts")


@check("", 80, needs=NEEDS)
async def one_flush_may_name_a_task_twice_or_nothing(harness: Harness) -> None:
    minute = await present_minute(harness)
    await flush(harness)
    rows = [counts_row(harness, minute, completed=1), counts_row(harness, minute, completed=4)]
    await flush(harness, *rows)
    await expect_sums(harness, {"shop.pay": {Count.COMPLETED: 5}}, "counts")


@check("", 80, needs=NEEDS)
async def flushes_of_many_sources_at_once_are_all_counted(harness: Harness) -> None:
    minute = await present_minute(harness)
    clones = await harness.open_clones(4)
    names = [f"task.{number}" for number in range(20)]
    rows = [counts_row(harness, minute, name, completed=1, run_micros=7) for name in names]

    async def flush_often(driver: Driver) -> None:
        source = random_name("source")
        for number in range(5):
            # In another order each time, so that transactions meet.
            mixed = rows if number % 2 else rows[::-1]
            await flush(harness, *mixed, source=source, number=number, driver=driver)

    await asyncio.gather(*(flush_often(driver) for driver in (*clones, *clones)))
    expected = {name: {Count.COMPLETED.value: 40, Count.RUN_MICROS.value: 280} for name in names}
    await expect_sums(harness, expected, "counts of eight sources")


@check("", 80, needs=NEEDS)
async def counts_out_of_time_are_left_out(harness: Harness) -> None:
    minute = await present_minute(harness)
    kept = (minute - 23 * 60, minute + 50)
    left_out = (0, minute - 26 * 60, minute + 70, (1 << 53) - 1)
    rows = [counts_row(harness, each, completed=1) for each in (*kept, *left_out)]
    await flush(harness, *rows)
    starts = sorted(row.at for row in await rows_of(harness))
    expect_equal(starts, [each * 60.0 for each in kept], "minutes that are counted")


# Answers.


@check("", 81, needs=NEEDS)
async def counts_are_found_by_time_queue_and_task(harness: Harness) -> None:
    minute = await present_minute(harness)
    names = ("shop.pay", "shop.Pay", "shop.pay ", "shop.größe", "shop_pay", "mail")
    capital = harness.queue.upper()
    await flush(
        harness,
        *(counts_row(harness, minute, name, completed=1) for name in names),
        counts_row(harness, minute, queue=capital, completed=1),
        counts_row(harness, minute - 5, completed=1),
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
        rows = await rows_of(harness, task=task, span=now)
        expect_equal({row.task for row in rows}, found, f"tasks that match {task}")
    expect_equal(len(await rows_of(harness, queue=capital)), 1, "rows of a queue in capitals")
    before = (minute * 60.0 - 300, minute * 60.0)
    expect_equal(
        {row.at for row in await rows_of(harness, span=before)}, {before[0]}, "earlier rows"
    )
    later = (minute * 60.0 + 0.5, minute * 60.0 + 500)
    expect_equal(await rows_of(harness, span=later), [], "rows of a later time")


@check("", 81, needs=NEEDS)
async def pages_of_counts_show_each_row_once(harness: Harness) -> None:
    minute = await present_minute(harness)
    names = [f"task.{number}" for number in range(7)]
    for source in range(3):
        rows = [counts_row(harness, minute - source, name, completed=1) for name in names]
        await flush(harness, *rows)
    for limit in (1, 4, 1000):
        found = await rows_of(harness, limit=limit)
        places = sorted((row.at, row.task) for row in found)
        expected = sorted(((minute - n) * 60.0, name) for n in range(3) for name in names)
        expect_equal(places, expected, f"rows of pages of {limit}")


@check("", 81, needs=NEEDS)
async def counts_of_every_queue_are_listed(harness: Harness) -> None:
    minute = await present_minute(harness)
    await flush(harness, counts_row(harness, minute, completed=1))
    found, cursor = [], None
    while True:
        page = await metrics_of(harness.clone).metrics(
            since=minute * 60.0, until=minute * 60.0 + 60, cursor=cursor
        )
        found += [row for row in page.items if row.queue == harness.queue]
        cursor = page.cursor
        if cursor is None:
            break
    expect_equal(len(found), 1, "rows of the queue among those of all queues")


@check("", 81, 83, needs=NEEDS)
async def cursor_of_another_listing_is_refused(harness: Harness) -> None:
    metrics = metrics_of(harness.clone)
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


@check("", 81, needs=NEEDS)
async def damaged_counts_cost_only_themselves(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.metrics import MetricCounts

    minute = await present_minute(harness)
    source = random_name("source")
    damaged = [
        MetricCounts(minute, harness.queue, f"damaged.{place}", data)
        for place, data in enumerate((b"", b"\xc1", b"\x01\x00\x00\x09abc", b"\x02\x00\x00\x00"))
    ]
    await flush(harness, *damaged, counts_row(harness, minute, completed=1), source=source)
    more = [counts_row(harness, minute, row.task, completed=1) for row in damaged]
    await flush(harness, *more, source=source, number=2)
    expected = {row.task: {Count.COMPLETED.value: 1} for row in damaged}
    await expect_sums(harness, expected | {"shop.pay": {Count.COMPLETED: 1}}, "good counts")
    await harness.advance(DAY + 7200)
    for number in range(3):
        await flush(harness, source=f"{source}y", number=number + 1)
    await expect_sums(harness, expected | {"shop.pay": {Count.COMPLETED: 1}}, "after a day")


# Upkeep.


@check("", 82, needs=NEEDS)
async def minutes_become_hours_after_a_day(harness: Harness) -> None:
    """Check that no sum changes, and that rows which are not old enough stay minutes."""
    hour = await present_minute(harness) // 60
    source = random_name("source")
    later = counts_row(harness, hour * 60 + 40, "later", completed=1)
    for number in range(3):
        rows = [
            counts_row(harness, (hour - 1) * 60 + minute, name, completed=1 + minute)
            for minute in range(0, 60, 10)
            for name in ("shop.pay", "shop.ship")
        ]
        await flush(harness, *rows, later, source=f"{source}{number}")
    old = (hour - 1) * 3600.0
    # The last minute of that hour is a day old, and the next hour is not.
    await _move_to(harness, old + 3600 + DAY + 60)
    for number in range(3):
        await flush(harness, source=source, number=number + 1)
    rows_found = await rows_of(harness, span=(old, old + 3600))
    spans = {(row.at, row.seconds) for row in rows_found}
    expect_equal(spans, {(old, 3600.0)}, "spans of rows that are a day old")
    total = 3 * sum(1 + minute for minute in range(0, 60, 10))
    expected: dict[str, dict[int, int]] = {
        name: {Count.COMPLETED: total} for name in ("shop.pay", "shop.ship")
    }
    await expect_sums(harness, {**expected, "later": {Count.COMPLETED: 3}}, "sums after a day")
    kept = {row.seconds for row in await rows_of(harness, task="later")}
    expect_equal(kept, {60.0}, "spans of rows that are not a day old")


async def _move_to(harness: Harness, moment: float) -> None:
    """Move the store's clock ahead to a moment, or a little later."""
    delivery = await harness.enqueue_and_lease(queue=random_name("clock"))
    await harness.advance(moment - delivery.enqueued_at)


@check("", 82, needs=NEEDS)
async def rows_of_one_hour_that_come_in_pieces_are_added_up(harness: Harness) -> None:
    """Check this for more rows than one piece of upkeep adds up."""
    minute = await present_minute(harness)
    source = random_name("source")
    start = minute - minute % 60 - 60
    names = [f"task.{number:03}" for number in range(50)]
    for number in range(50):
        rows = [counts_row(harness, start + number, name, completed=1) for name in names]
        await flush(harness, *rows, source=source, number=number)
    await harness.advance(DAY + 7300)
    for number in range(6):
        await flush(harness, source=source, number=1000 + number)
    await expect_sums(harness, {name: {Count.COMPLETED: 50} for name in names}, "sums")
    expect_equal({row.seconds for row in await rows_of(harness)}, {3600.0}, "spans")


@check("", 82, needs=NEEDS)
async def several_instances_add_up_the_same_minutes_once(harness: Harness) -> None:
    minute = await present_minute(harness)
    clones = await harness.open_clones(4)
    names = [f"task.{number}" for number in range(5)]
    for number in range(10):
        rows = [counts_row(harness, minute - number, name, completed=1) for name in names]
        await flush(harness, *rows, driver=clones[number % 4])
    await harness.advance(DAY + 7300)
    for driver in clones:
        driver.clock_offset = harness.driver.clock_offset
    for _ in range(4):
        await asyncio.gather(*(flush(harness, driver=driver) for driver in clones))
    await expect_sums(harness, {name: {Count.COMPLETED: 10} for name in names}, "sums")


@check("", 82, needs=NEEDS)
async def hours_are_kept_for_thirty_days(harness: Harness) -> None:
    minute = await present_minute(harness)
    await flush(harness, counts_row(harness, minute, completed=1))
    await harness.advance(DAY + 7200)
    for _ in range(3):
        await flush(harness)
    await harness.advance(28 * DAY - 7200)
    for _ in range(3):
        await flush(harness)
    expect_equal(len(await rows_of(harness)), 1, "rows after 29 days")
    await harness.advance(DAY + 7200)
    for _ in range(3):
        await flush(harness)
    expect_equal(await rows_of(harness), [], "rows after 30 days")


# Latest outcomes.


@check("", 83, needs=NEEDS)
async def last_bytes_of_each_source_and_queue_are_kept(harness: Harness) -> None:
    other = random_name("other")
    one, two = sorted(random_name("source") for _ in range(2))
    await flush(harness, source=one, recent={harness.queue: b"old", other: b"\x00" * 40_000})
    await flush(harness, source=two, recent={harness.queue: b"two"}, driver=harness.clone)
    await flush(harness, source=one, number=2, recent={harness.queue: b"new"})
    await flush(harness, source=one, number=3)
    await flush(harness, source=one, number=2, recent={harness.queue: b"repeated"})
    rows = await latest_outcomes(harness, harness.queue)
    expect_equal(rows, {one: b"new", two: b"two"}, "latest outcomes")
    expect_equal(await latest_outcomes(harness, other), {one: b"\x00" * 40_000}, "of another queue")
    expect_equal(
        await latest_outcomes(harness, harness.queue.upper()), {}, "of a queue in capitals"
    )


@check("", 83, needs=NEEDS)
async def latest_outcomes_of_all_queues_are_listed_in_pages(harness: Harness) -> None:
    sources = sorted(random_name("source") for _ in range(5))
    for source in sources:
        await flush(harness, source=source, recent={harness.queue: source.encode()})
    for limit in (1, 2, 100):
        rows = await latest_outcomes(harness, None, limit=limit)
        found = {source: rows.get(source) for source in sources}
        expect_equal(found, {source: source.encode() for source in sources}, "latest outcomes")


@check("", 83, needs=NEEDS)
async def latest_outcomes_are_kept_for_a_day(harness: Harness) -> None:
    old, new = random_name("source"), random_name("source")
    await flush(harness, source=old, recent={harness.queue: b"old"})
    await harness.advance(DAY - 3600)
    await flush(harness, source=new, recent={harness.queue: b"new"})
    expect_equal(set(await latest_outcomes(harness, harness.queue)), {old, new}, "sources")
    await harness.advance(7200)
    for _ in range(2):
        await flush(harness)
    expect_equal(
        await latest_outcomes(harness, harness.queue), {new: b"new"}, "sources after a day"
    )


@check("a", 80, needs=NEEDS, durable=True)
async def counts_outlive_the_last_open_instance(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.metrics import MetricCounts

    minute = await present_minute(harness)
    source = random_name("source")
    bucket = MetricCounts(minute, harness.queue, "shop.pay", pack_counts({RUN: 3}))
    await flush(harness, bucket, source=source, recent={harness.queue: b"kept"})
    await harness.driver.close()
    await harness.clone.close()
    await harness.driver.open()
    await harness.clone.open()
    await flush(harness, bucket, source=source)
    await expect_sums(harness, {"shop.pay": {RUN: 3}}, "counts")
    expect_equal(
        await latest_outcomes(harness, harness.queue), {source: b"kept"}, "latest outcomes"
    )
