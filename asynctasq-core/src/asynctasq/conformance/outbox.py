"""OUTBOX: rows wait in a database of the application until a relay has sent them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import LEASE, MIB, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.message import new_id

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.outbox import Outbox, OutboxEntry, OutboxRow

NEEDS = Capability.OUTBOX
RELAYS = (b"relay number one", b"relay number two")
"""Holders, 16 bytes each."""


@asynccontextmanager
async def _outboxes(harness: Harness, count: int = 1) -> "AsyncIterator[list[Outbox]]":
    """Open outboxes of the same namespace, whose tables are migrated."""
    from asynctasq.contracts.capabilities.outbox import SupportsOutbox

    driver = harness.driver
    assert isinstance(driver, SupportsOutbox)  # `check_capabilities` has made sure
    async with AsyncExitStack() as stack:
        found = [driver.outbox() for _ in range(count)]
        for outbox in found:
            outbox.clock_offset = harness.elapsed
            stack.push_async_callback(outbox.close)
            await outbox.open()
        await found[0].migrate()
        yield found


def _entries(count: int, target: str, *, size: int = 20) -> "list[OutboxEntry]":
    from asynctasq.contracts.capabilities.outbox import OutboxEntry

    return [OutboxEntry(new_id(), target, b"\0\xff" * (size // 2)) for _ in range(count)]


async def _take(
    outbox: "Outbox", target: str, *, holder: bytes = RELAYS[0], limit: int = 100
) -> "list[OutboxRow]":
    return await outbox.take(target, holder=holder, lease=LEASE, limit=limit)


async def _delete(outbox: "Outbox", entries: "Sequence[OutboxEntry]") -> None:
    """Delete the rows of a check: others look at the same namespace later."""
    await outbox.delete([entry.id for entry in entries])


def _ids(rows: "Sequence[OutboxRow | OutboxEntry]") -> list[bytes]:
    return [row.id for row in rows]


@check("", 63, needs=NEEDS)
async def outbox_rows_are_taken_in_order_until_they_are_deleted(harness: Harness) -> None:
    target = random_name("target")
    async with _outboxes(harness, 2) as (outbox, other):
        entries = _entries(5, target)
        expect_equal(await outbox.add(entries[::-1]), [True] * 5, "answers of add")
        expect_equal(len(await _take(other, target, limit=3)), 3, "rows that were taken")
        rows = await _take(other, target, limit=3)
        expect_equal(_ids(rows), _ids(entries[:3]), "rows that were taken again")
        row, entry = rows[0], entries[0]
        expect_equal((row.target, row.message), (target, entry.message), "target and message")
        expect_equal((row.attempts, row.retry_in), (0, 0.0), "attempts and pause of a new row")
        expect_equal(await outbox.delete(_ids(rows)), [True] * 3, "answers of delete")
        expect_equal(await outbox.delete(_ids(rows)), [False] * 3, "answers of a second delete")
        expect_equal(_ids(await _take(other, target)), _ids(entries[3:]), "rows that are left")
        await _delete(outbox, entries)
        expect_equal(await _take(other, target), [], "rows after all were deleted")


@check("", 63, needs=NEEDS)
async def outbox_knows_its_rows_by_id(harness: Harness) -> None:
    """Adding an ID twice changes nothing, in one call and in two."""
    target = random_name("target")
    async with _outboxes(harness) as [outbox]:
        [first], [second] = _entries(1, target), _entries(1, target)
        expect_equal(await outbox.add([first, first]), [True, False], "answers of add")
        expect_equal(await outbox.add([first, second]), [False, True], "answers of a repeated add")
        expect_equal(_ids(await _take(outbox, target)), _ids([first, second]), "rows")
        await _delete(outbox, [first, second])


@check("", 63, needs=NEEDS)
async def outbox_keeps_targets_apart(harness: Harness) -> None:
    target, other = random_name("target"), random_name("Target")
    async with _outboxes(harness) as [outbox]:
        entries = [*_entries(1, target), *_entries(1, other), *_entries(1, target.upper())]
        await outbox.add(entries)
        expect_equal(_ids(await _take(outbox, target)), _ids(entries[:1]), "rows of a target")
        rows = await _take(outbox, other, holder=RELAYS[1])
        expect_equal(_ids(rows), _ids(entries[1:2]), "rows of another target and relay")
        await _delete(outbox, entries)


@check("", 64, needs=NEEDS)
async def one_relay_takes_the_rows_of_a_target(harness: Harness) -> None:
    """Check that a relay holds its target until it releases it, or until its lease ends."""
    target = random_name("target")
    first, second = RELAYS
    async with _outboxes(harness, 2) as (outbox, other):
        entries = _entries(2, target)
        await outbox.add(entries)
        expect_equal(len(await _take(outbox, target, holder=first)), 2, "rows of the first relay")
        expect_equal(await _take(other, target, holder=second), [], "rows of a second relay")
        await other.release(target, holder=second)
        expect_equal(await _take(other, target, holder=second), [], "rows of a second relay")
        await outbox.release(target, holder=first)
        expect_equal(len(await _take(other, target, holder=second)), 2, "rows after a release")
        expect_equal(await _take(outbox, target, holder=first), [], "rows of the first relay")
        await _delete(outbox, entries)


@check("", 64, needs=NEEDS)
async def hold_of_a_dead_relay_ends(harness: Harness) -> None:
    """Each take of the holder renews its hold."""
    target = random_name("target")
    first, second = RELAYS
    async with _outboxes(harness, 2) as (outbox, other):
        entries = _entries(2, target)
        await outbox.add(entries)
        for part in (0.7, 1.4):
            outbox.clock_offset = other.clock_offset = harness.elapsed + part * LEASE
            expect_equal(len(await _take(outbox, target, holder=first)), 2, "rows of the holder")
            expect_equal(await _take(other, target, holder=second), [], "rows of another relay")
        outbox.clock_offset = other.clock_offset = harness.elapsed + 2.5 * LEASE
        expect_equal(len(await _take(other, target, holder=second)), 2, "rows after the hold")
        await _delete(outbox, entries)


@check("", 64, needs=NEEDS)
async def relays_that_race_for_a_target_exclude_each_other(harness: Harness) -> None:
    target = random_name("target")
    async with _outboxes(harness, 4) as outboxes:
        entries = _entries(3, target)
        await outboxes[0].add(entries)
        answers = await asyncio.gather(
            *(
                _take(outbox, target, holder=bytes([number]) * 16)
                for number, outbox in enumerate(outboxes * 2)
            )
        )
        expect_equal(sorted(map(len, answers)), [0] * 7 + [3], "rows that the relays took")
        await _delete(outboxes[0], entries)


@check("", 65, needs=NEEDS)
async def refused_row_is_tried_after_its_pause(harness: Harness) -> None:
    """Check that it comes after the rows that were never refused."""
    target = random_name("target")
    from asynctasq.contracts.capabilities.outbox import Refusal

    async with _outboxes(harness) as [outbox]:
        first, second, third = _entries(3, target)
        await outbox.add([first, second])
        await outbox.refuse([Refusal(first.id, "too large ™", 100.0), Refusal(new_id(), "", 1.0)])
        expect_equal(_ids(await _take(outbox, target)), [second.id], "rows before the pause ends")
        await outbox.refuse([Refusal(second.id, "too large", 50.0)])
        await outbox.add([third])
        outbox.clock_offset = harness.elapsed + 101.0
        rows = await _take(outbox, target)
        expect_equal(_ids(rows), _ids([third, second, first]), "rows after the pauses")
        expect_equal((rows[2].attempts, rows[2].error), (1, "too large ™"), "attempts and error")
        await outbox.refuse([Refusal(first.id, "again", None)])
        expect_equal(_ids(await _take(outbox, target)), _ids([third, second]), "rows in use")
        page = await outbox.rows(set_aside=True)
        [row] = [row for row in page.items if row.target == target]
        expect_equal(
            (row.attempts, row.error, row.retry_in), (2, "again", None), "row that is set aside"
        )
        expect_equal(await outbox.retry([first.id, new_id()]), [True, False], "answers of retry")
        rows = await _take(outbox, target)
        expect_equal(_ids(rows), _ids([first, third, second]), "rows after a retry")
        expect_equal((rows[0].attempts, rows[0].retry_in), (0, 0.0), "row after a retry")
        await outbox.refuse([Refusal(first.id, "all refused", 0.0, is_counted=False)])
        [row] = [row for row in await _take(outbox, target) if row.id == first.id]
        expect_equal((row.attempts, row.error), (0, "all refused"), "row that is not to blame")
        await _delete(outbox, [first, second, third])


@check("", 65, needs=NEEDS)
async def outbox_state_counts_rows_and_their_age(harness: Harness) -> None:
    from asynctasq.contracts.capabilities.outbox import OutboxState, Refusal

    target = random_name("target")
    async with _outboxes(harness) as [outbox]:
        expect_equal(await outbox.state(), OutboxState(), "state of an empty outbox")
        entries = _entries(3, target)
        await outbox.add(entries[:1])
        outbox.clock_offset = harness.elapsed + 500.0
        await outbox.add(entries[1:])
        await outbox.refuse([Refusal(entries[1].id, "no", None), Refusal(entries[2].id, "no", 9.0)])
        state = await outbox.state()
        expect_equal((state.waiting, state.set_aside), (2, 1), "rows that wait, and set aside")
        expect(600.0 > state.oldest >= 500.0, f"age of the oldest row: {state.oldest}")
        [row] = (await outbox.rows(limit=1)).items
        expect(600.0 > row.age >= 500.0, f"age of a row: {row.age}")
        await outbox.delete([entries[0].id])
        state = await outbox.state()
        expect(state.oldest < 100.0, f"age of the oldest row that is left: {state.oldest}")
        await _delete(outbox, entries)


@check("", 65, needs=NEEDS)
async def outbox_rows_are_listed_page_by_page(harness: Harness) -> None:
    target = random_name("target")
    async with _outboxes(harness) as [outbox]:
        entries = _entries(5, target)
        await outbox.add(entries)
        found: list[bytes] = []
        cursor: str | None = None
        for _ in range(3):
            page = await outbox.rows(set_aside=False, limit=2, cursor=cursor)
            found += _ids(page.items)
            cursor = page.cursor
        expect_equal(found, _ids(entries), "rows of all pages")
        expect_equal(cursor, None, "cursor of the last page")
        expect_equal((await outbox.rows(set_aside=True)).items, [], "rows that are set aside")
        await _delete(outbox, entries)


@check("", 50, 63, needs=NEEDS)
async def outbox_reads_a_bounded_number_of_bytes(harness: Harness) -> None:
    target = random_name("target")
    async with _outboxes(harness) as [outbox]:
        entries = _entries(10, target, size=MIB)
        await outbox.add(entries)
        rows = await _take(outbox, target)
        size = sum(len(row.message) for row in rows)
        expect(len(rows) >= 1 and size <= BYTES_AT_ONCE, f"bytes that were taken: {size}")
        page = await outbox.rows()
        size = sum(len(row.message) for row in page.items)
        expect(size <= BYTES_AT_ONCE, f"bytes of a page: {size}")
        expect(page.cursor is not None, "a shortened page has no cursor")
        await _delete(outbox, entries)


@check("", 44, 63, needs=NEEDS)
async def empty_batches_of_an_outbox_do_nothing(harness: Harness) -> None:
    async with _outboxes(harness) as [outbox]:
        expect_equal(await outbox.add([]), [], "answer of add")
        expect_equal(await outbox.delete([]), [], "answer of delete")
        expect_equal(await outbox.retry([]), [], "answer of retry")
        await outbox.refuse([])
        expect_equal(await _take(outbox, random_name("unused")), [], "rows of an unused target")


@check("", 38, 63, needs=NEEDS)
async def migrating_an_outbox_keeps_its_rows(harness: Harness) -> None:
    """All instances migrate at once; later migrations change nothing."""
    target = random_name("target")
    async with _outboxes(harness, 3) as outboxes:
        await asyncio.gather(*(outbox.migrate() for outbox in outboxes))
        outbox = outboxes[0]
        entries = _entries(1, target)
        await outbox.add(entries)
        expect_equal(list(await outbox.migrate(dry_run=True)), [], "statements that are planned")
        expect_equal(list(await outbox.migrate()), [], "steps taken when none are needed")
        state = await outbox.schema()
        expect_equal(state.current, state.needed, "version of the tables")
        expect(len(outbox.create_statements()) >= 1, "no statements create the tables")
        expect_equal(_ids(await _take(outbox, target)), _ids(entries), "rows after migrate")
        await _delete(outbox, entries)
