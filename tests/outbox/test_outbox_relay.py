"""The relay of a worker forwards what the application has committed, whatever happens to the stores."""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from asynctasq import task
from asynctasq.app import stores_of
from asynctasq.backoff import Backoff
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.capabilities.outbox import Outbox, OutboxEntry, OutboxState
from asynctasq.contracts.driver import Enqueued, EnqueuedPartly
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import CapabilityMissing, DriverError, ResultTimeout, TransactionError
from asynctasq.message import CancelOutcome, Message, id_from_text, new_id
from asynctasq.tasks.registry import registry
from asynctasq.worker.timing import OutboxTiming, WorkerTiming
from tests.outbox.conftest import MakeStage
from tests.worker.faulty_driver import FaultyDriver, Line
from tests.worker.stage import Stage, eventually

QUICK = Backoff(first=0.001, longest=0.001)


@task(name="outbox.double")
async def double(number: int) -> int:
    return 2 * number


def timing(**values: Any) -> WorkerTiming:
    return WorkerTiming(outbox=OutboxTiming(**values))


async def dispatch(database: sqlite3.Connection, *numbers: int) -> list[Any]:
    """Dispatch tasks in one transaction, and commit it."""
    database.execute("BEGIN IMMEDIATE")
    handles = [await double(number).dispatch(transaction=database) for number in numbers]
    database.execute("COMMIT")
    return handles


async def emptied(outbox: Outbox) -> None:
    """Wait until all rows that are not set aside were sent."""

    async def is_empty() -> bool:
        return (await outbox.state()).waiting == 0

    await eventually(is_empty)


class Recording(MemoryDriver):
    """Notes the chunks that it accepts, and refuses messages with certain bodies."""

    chunks: list[list[bytes]]
    refused: set[bytes]

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        for message in messages:
            if message.id in self.refused:
                raise DriverError(f"The message {message.id.hex()} is refused.")
        self.chunks.append([message.id for message in messages])
        return await super().enqueue(messages)


class InPieces(Recording):
    """Accepts some messages of a chunk, and refuses others."""

    capabilities = MemoryDriver.capabilities & ~Capability.ATOMIC

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        answers: list[Enqueued | DriverError] = []
        for message in messages:
            try:
                answers += await super().enqueue([message])
            except DriverError as error:
                answers.append(error)
        if any(isinstance(each, DriverError) for each in answers):
            raise EnqueuedPartly("some are refused", answers=answers)
        return [each for each in answers if isinstance(each, Enqueued)]


def recording(kind: type[Recording] = Recording) -> tuple[Any, list[list[bytes]], set[bytes]]:
    """Return a driver, the chunks that all of its clones accept, and the ids that they refuse."""
    chunks: list[list[bytes]] = []
    refused: set[bytes] = set()
    made: Any = type(kind.__name__, (kind,), {"chunks": chunks, "refused": refused})
    return made(), chunks, refused


@pytest.mark.every_store
async def test_committed_dispatches_run_and_leave_no_row(
    stage: Stage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    database.execute("BEGIN")
    database.execute("INSERT INTO orders VALUES (1)")
    first = await double(1).dispatch(transaction=database)
    rest = await stage.app.dispatch_many([double(2), double(3)], transaction=database)
    last = double(4).dispatch_sync(transaction=database)
    database.execute("COMMIT")
    assert (await outbox.state()).waiting == 4
    async with stage.worker():
        assert [await each.result() for each in (first, *rest, last)] == [2, 4, 6, 8]
    assert await outbox.state() == OutboxState()


async def test_rolled_back_dispatches_leave_nothing(
    stage: Stage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    database.execute("BEGIN")
    await double(1).dispatch(transaction=database)
    database.execute("ROLLBACK")
    assert await outbox.state() == OutboxState()
    [kept] = await dispatch(database, 2)
    async with stage.worker():
        assert await kept.result() == 4
    counts = await (await stage.driver()).count("default")
    assert (counts.ready, counts.scheduled) == (0, 0)


async def test_timeout_of_a_rolled_back_dispatch_does_not_say_that_it_continues(
    stage: Stage, database: sqlite3.Connection
) -> None:
    database.execute("BEGIN IMMEDIATE")
    handle = await double(1).dispatch(transaction=database)
    database.execute("ROLLBACK")
    with pytest.raises(ResultTimeout) as raised:
        await handle.result(timeout=0.01)
    text = str(raised.value)
    assert text.startswith(
        f"Task {handle} has not ended within 0.01 s. The store does not know it: "
    )
    assert "rolled back" in text
    assert "continues" not in text


async def test_waiting_task_is_cancelled_by_deleting_its_row(
    stage: Stage, database: sqlite3.Connection
) -> None:
    [handle] = await dispatch(database, 1)
    assert await handle.cancel() is CancelOutcome.UNKNOWN
    assert await stage.app.outbox.delete([handle]) == [True]
    async with stage.worker():
        [other] = await dispatch(database, 2)
        assert await other.result() == 4
        assert await handle.cancel() is CancelOutcome.UNKNOWN


async def test_relay_sends_at_a_commit_in_its_process(
    stage: Stage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    found = stores_of(stage.app).outbox
    assert found is not None
    [before] = await dispatch(database, 1)
    async with stage.worker(timing=timing(look=3600.0)):
        assert await before.result() == 2
        await emptied(outbox)
        [after] = await dispatch(database, 2)
        await found.committed(["default"])
        assert await after.result() == 4


async def test_burst_runs_what_was_committed_before(
    stage: Stage, database: sqlite3.Connection
) -> None:
    handles = await dispatch(database, *range(30))
    await stage.make_worker(burst=True).start()
    assert [await each.result() for each in handles] == [2 * number for number in range(30)]


async def test_burst_ends_while_the_store_refuses_and_another_relay_works(
    make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    driver, chunks, refused = recording()
    stage = await make_stage(driver)
    [handle] = await dispatch(database, 1)
    refused.add(id_from_text(handle))
    await stage.make_worker(burst=True).start()
    [row] = (await outbox.rows()).items
    assert "is refused" in row.error
    await outbox.retry([row.id])
    await outbox.take("", holder=b"of another relay", lease=60.0, limit=1)
    await stage.make_worker(burst=True).start()
    assert chunks == []


async def test_message_without_an_outbox_or_of_another_database_is_refused(
    make_stage: MakeStage, database: sqlite3.Connection, tmp_path: Any
) -> None:
    without = await make_stage(MemoryDriver(), outbox=None)
    database.execute("BEGIN")
    with pytest.raises(CapabilityMissing, match="Set `outbox` to the database"):
        await without.app.dispatch(double(1), transaction=database)
    other = await make_stage(MemoryDriver(), outbox=f"sqlite:///{tmp_path / 'other.db'}")
    (tmp_path / "other.db").touch()
    with pytest.raises(TransactionError, match="must be of the driver's database"):
        await other.app.dispatch(double(1), transaction=database)


async def test_unavailable_store_delays_rows_and_counts_nothing(
    make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    line = Line()
    stage = await make_stage(FaultyDriver(MemoryDriver(), line))
    line.fail("enqueue", 100_000)
    handles = await dispatch(database, 1, 2)
    async with stage.worker(timing=timing(backoff=QUICK)):
        await line.failed("enqueue", 3)
        assert [row.attempts for row in (await outbox.rows()).items] == [0, 0]
        line.restore()
        line.fail("enqueue", 2, answered=True)
        assert [await each.result() for each in handles] == [2, 4]
        await emptied(outbox)
    counts = await (await stage.driver()).count("default")
    assert counts.ready == 0


@pytest.mark.parametrize("kind", [Recording, InPieces])
async def test_refused_row_is_sent_alone_and_set_aside(
    kind: type[Recording], make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    driver, chunks, refused = recording(kind)
    stage = await make_stage(driver)
    handles = await dispatch(database, *range(20))
    ids = [id_from_text(each) for each in handles]
    refused |= {ids[0], ids[7]}
    async with stage.worker(timing=timing(refused=QUICK, look=0.01, attempts=3)):
        await emptied(outbox)
        assert await handles[19].result() == 38
        page = await outbox.rows(set_aside=True)
        assert [row.id for row in page.items] == [ids[0], ids[7]]
        assert all(row.attempts == 3 and "is refused" in row.error for row in page.items)
        sent = [each for chunk in chunks for each in chunk]
        assert sent == [each for each in ids if each not in refused]
        refused.clear()
        await outbox.retry([ids[0], ids[7]])
        assert [await handles[0].result(), await handles[7].result()] == [0, 14]
        await emptied(outbox)


async def test_store_that_refuses_every_row_uses_up_no_attempts(
    make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    line = Line()
    driver, chunks, _ = recording()
    stage = await make_stage(FaultyDriver(driver, line))
    line.fail("enqueue", 100_000, error=lambda: DriverError("NOAUTH"))
    handles = await dispatch(database, *range(3))
    quick = timing(refused=QUICK, refused_all=QUICK, look=0.001, attempts=3)
    async with stage.worker(timing=quick):
        await line.failed("enqueue", 40)
        rows = (await outbox.rows()).items
        assert [row.attempts for row in rows] == [0, 0, 0]
        assert any("NOAUTH" in row.error for row in rows)
        line.restore()
        assert [await each.result() for each in handles] == [0, 2, 4]
        await emptied(outbox)
    assert await outbox.state() == OutboxState()
    assert sorted(each for chunk in chunks for each in chunk) == [
        id_from_text(each) for each in handles
    ]


async def test_refused_row_is_set_aside_once_the_store_accepts_another(
    make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    driver, _, refused = recording()
    stage = await make_stage(driver)
    [bad] = await dispatch(database, 1)
    refused.add(id_from_text(bad))
    quick = timing(refused=QUICK, refused_all=QUICK, look=0.001, attempts=3)
    async with stage.worker(timing=quick):

        async def is_refused() -> bool:
            return bool((await outbox.rows()).items[0].error)

        await eventually(is_refused)
        [good] = await dispatch(database, 2)
        assert await good.result() == 4
        await emptied(outbox)
    [row] = (await outbox.rows(set_aside=True)).items
    assert (row.id, row.attempts) == (id_from_text(bad), 3)


async def test_damaged_row_is_set_aside(
    stage: Stage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    [good] = await dispatch(database, 1)
    moved = (await outbox.rows()).items[0].message
    await outbox.add([OutboxEntry(new_id(), "", b"\xc1"), OutboxEntry(new_id(), "", moved)])
    async with stage.worker():
        assert await good.result() == 2
        await emptied(outbox)
    page = await outbox.rows(set_aside=True)
    assert [row.error.partition(":")[0] for row in page.items] == ["BodyCorrupt"] * 2


async def test_rows_for_an_unknown_store_stay(
    stage: Stage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    stray = OutboxEntry(new_id(), "redis://elsewhere", b"a message")
    await outbox.add([stray])
    [known] = await dispatch(database, 1)
    async with stage.worker():
        assert await known.result() == 2
    [row] = (await outbox.rows()).items
    assert (row.id, row.attempts) == (stray.id, 0)


async def test_task_with_a_driver_of_its_own_is_sent_there(
    make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    stage = await make_stage(MemoryDriver())
    other, chunks, _ = recording()
    with registry.preserved():

        @task(name="outbox.elsewhere", driver=other)
        async def elsewhere() -> None: ...

        database.execute("BEGIN")
        handle = await elsewhere().dispatch(transaction=database)
        database.execute("COMMIT")
        async with stage.worker():
            await emptied(outbox)
    assert chunks == [[id_from_text(handle)]]


async def test_ten_thousand_rows_are_sent_in_order_and_in_bounded_batches(
    make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    driver, chunks, _ = recording()
    stages = [await make_stage(driver), await make_stage(driver)]
    database.execute("BEGIN")
    handles = await stages[0].app.dispatch_many(map(double, range(10_000)), transaction=database)
    big = double(1).options(headers={"size": "x" * 900_000})
    more = await stages[0].app.dispatch_many([big, double(2), big.options()], transaction=database)
    database.execute("COMMIT")
    async with stages[0].worker(queues=["unused"]), stages[1].worker(queues=["unused"]):
        await emptied(outbox)
    sent = [each for chunk in chunks for each in chunk]
    assert sent == [id_from_text(each) for each in [*handles, *more]]
    assert max(map(len, chunks)) <= 1000


async def test_worker_does_not_start_without_the_tables(
    make_stage: MakeStage, tmp_path: Any
) -> None:
    stage = await make_stage(MemoryDriver(), outbox=f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(DriverError, match="Run `asynctasq migrate`"):
        await stage.make_worker().start()


async def test_health_shows_the_rows_and_warns_of_old_ones(
    make_stage: MakeStage, outbox: Outbox, database: sqlite3.Connection
) -> None:
    stage = await make_stage(MemoryDriver())
    outbox.clock_offset = -100.0
    await outbox.add([OutboxEntry(new_id(), "a store that is not served", b"")])
    async with stage.worker(timing=timing(state=0.01)) as worker:

        async def reported() -> Any:
            """Return the part of a health report about the outbox, read outside of the worker's loop."""
            if worker.health is None:
                return None
            return (await asyncio.to_thread(worker.health.status)).get("outbox")

        await eventually(reported)
        assert worker.health is not None
        assert (await reported())["waiting"] == 1
        ready = await asyncio.to_thread(worker.health.ready)
        assert ready["ok"]
        assert "the oldest of 1 rows of the outbox has waited for 10" in ready["warnings"][0]
        await outbox.delete([row.id for row in (await outbox.rows()).items])

        async def is_over() -> bool:
            return bool((await reported())["waiting"] == 0)

        await eventually(is_over)
        assert "warnings" not in await asyncio.to_thread(worker.health.ready)
