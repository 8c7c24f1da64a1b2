"""Leases: kept while a task blocks the loop, expired when it blocks for too long, respected when lost."""

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from asynctasq import AsyncTask, State, SyncTask, task
from asynctasq.app import runtime_of
from asynctasq.backoff import Backoff
from asynctasq.message import Delivery, id_from_text
from asynctasq.settlement import Complete, Settled
from asynctasq.worker.timing import RenewerTiming, WorkerTiming
from tests.worker.conftest import MakeStage
from tests.worker.faulty_driver import FaultyDriver, Line
from tests.worker.stage import PATIENCE, Stage, eventually, probe

pytestmark = pytest.mark.every_store

LEASE = 2.0


class Overtaken(AsyncTask[str]):
    """Loses its lease while it runs."""

    max_attempts = 1

    async def execute(self) -> str:
        it = probe()
        it.flag("began").set()
        try:
            await asyncio.Event().wait()
        finally:
            it.note("cleaned up")
        return "stale"

    def failed(self, exception: Exception) -> None:
        probe().note("failed")


class OvertakenConverting(Overtaken):
    """Answers an interruption with another error."""

    async def execute(self) -> str:
        try:
            return await super().execute()
        except asyncio.CancelledError:
            raise ConnectionError("dropped") from None


class OvertakenInThread(SyncTask[str]):
    max_attempts = 1

    def execute(self) -> str:
        it = probe()
        it.flag("began").set()
        it.flag("go on").wait_in_thread()
        it.note("cleaned up")
        return "stale"

    def failed(self, exception: Exception) -> None:
        probe().note("failed")


STEALABLE, AHEAD = 4.0, 10.0
"""Seconds of a lease, and by how much the clock of a thief is ahead: longer than the lease, but shorter than what
a store takes for an outage, after which it reclaims nothing for a while."""


async def steal(driver: Any, owner: str = "thief") -> Delivery:
    """Reserve what another owner holds, by a clock on which its lease has ended."""
    driver.clock_offset += AHEAD
    while True:
        deliveries = await driver.reserve({"default": 1}, limit=1, owner=owner, lease=100_000.0)
        if deliveries:
            return deliveries[0]  # type: ignore[no-any-return]  # the driver is Any here


@pytest.mark.parametrize("kind", [Overtaken, OvertakenConverting, OvertakenInThread])
async def test_who_lost_the_lease_ends_and_changes_nothing(
    make_stage: MakeStage, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await make_stage(lease=STEALABLE)
    lost: list[bytes] = []

    class Observer:
        from asynctasq import hookimpl

        @hookimpl
        def on_lost(self, context: Any) -> None:
            lost.append(context.delivery.message.id)

    stage.app.plugins.register(Observer())
    handle = await kind().dispatch()
    async with stage.worker(heartbeat_interval=0.05, queues=["default"]) as worker:
        await stage.flag("began").wait()
        thief = (await stage.driver()).clone()
        await thief.open()
        stolen = await steal(thief)

        async def interrupted() -> bool:
            held = stage.inspect(worker).held
            return not held or any(each.interrupt for each in held)

        await eventually(interrupted)
        stage.flag("go on").set()

        async def ended() -> bool:
            return stage.log == ["cleaned up"] and bool(lost)

        await eventually(ended)
        assert await handle.status() is State.LEASED  # by the thief
        result = runtime_of(stage.app).codec.encode_result("fresh")
        assert await thief.settle([Complete(stolen.lease, result)]) == [Settled.DONE]
        await thief.close()
    assert await handle.result(timeout=30) == "fresh"
    assert stage.log == ["cleaned up"]
    assert lost == [id_from_text(handle)]
    assert await stage.dead() == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert any(
        f"Task {handle} of" in record.getMessage() and "lost its lease" in record.getMessage()
        for record in caplog.records
    )


def block_until(holds: Any) -> None:
    """Block the thread, and with it the event loop."""
    end = time.monotonic() + PATIENCE
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    assert holds()


blocks_until: Any = None


@task(max_attempts=1)
async def blocks() -> str:
    probe().note("ran")
    block_until(blocks_until)
    return "unblocked"


class Rival:
    """Keeps reserving from a separate thread, once the task runs."""

    def __init__(self, driver: Any, *, after: Callable[[], object]) -> None:
        self._driver = driver.clone()
        self._after = after
        self.found: list[Delivery] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._try()))

    @contextmanager
    def trying(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    async def _try(self) -> None:
        await self._driver.open()
        while not self._after() and not self._stop.is_set():
            await asyncio.sleep(0.01)
        while not self._stop.is_set():
            self.found += await self._driver.reserve(
                {"default": 1}, limit=1, owner="rival", lease=100_000.0
            )
            await asyncio.sleep(0.02)
        await self._driver.close()


async def test_a_task_that_blocks_the_loop_keeps_its_lease(
    make_stage: MakeStage,
    driver: Any,
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = await make_stage(driver=FaultyDriver(driver, line), lease=LEASE)
    interval = 0.2
    wanted = LEASE / interval + 3  # so many renewals take longer than the lease
    monkeypatch.setattr(f"{__name__}.blocks_until", lambda: line.calls["extend"] >= wanted)
    rival = Rival((await stage.driver()).inner, after=lambda: stage.log)
    with rival.trying():
        handle = await blocks().dispatch()
        timing = WorkerTiming(renewer=RenewerTiming(blocked=0.3))
        async with stage.worker(heartbeat_interval=interval, timing=timing):
            assert await handle.result(timeout=PATIENCE) == "unblocked"
    assert stage.log == ["ran"]
    assert rival.found == []
    [warning] = [line for line in caplog.messages if "has been blocked for" in line]
    assert "block_until" in warning  # its stack


async def test_a_loop_that_is_blocked_for_too_long_lets_its_leases_go(
    make_stage: MakeStage,
    driver: Any,
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    timing = WorkerTiming(renewer=RenewerTiming(blocked=0.05))
    stage = await make_stage(driver=FaultyDriver(driver, line), lease=0.5, stall_limit=0.5)
    rival = Rival((await stage.driver()).inner, after=lambda: stage.log)
    monkeypatch.setattr(f"{__name__}.blocks_until", lambda: rival.found)
    handle = await blocks().dispatch()
    async with stage.worker(heartbeat_interval=0.05, timing=timing):
        with rival.trying():

            async def stolen() -> bool:
                return bool(rival.found)

            await eventually(stolen)
        assert await handle.status() is State.LEASED
        driver_here = await stage.driver()
        result = runtime_of(stage.app).codec.encode_result("by the rival")
        assert await driver_here.settle([Complete(rival.found[0].lease, result)]) == [Settled.DONE]
    assert await handle.result(timeout=30) == "by the rival"
    assert any("its leases are no longer renewed" in line for line in caplog.messages)


async def test_a_renewer_that_crashes_starts_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    timing = WorkerTiming(renewer=RenewerTiming(restart=Backoff(0.01, 0.01)))
    before = set(threading.enumerate())
    async with stage.worker(heartbeat_interval=0.05, timing=timing) as worker:

        async def renews() -> bool:
            return worker.health is not None and worker.health.ready()["store_reached_ago"] < 0.05

        await eventually(renews)
        [renewer] = {
            each
            for each in set(threading.enumerate()) - before
            if each.name == "asynctasq-lease-renewer"
        }
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(renewer.ident or 0), ctypes.py_object(SystemExit)
        )

        async def died() -> bool:
            return "Lease renewer crashed" in caplog.text

        await eventually(died)
        await eventually(renews)
