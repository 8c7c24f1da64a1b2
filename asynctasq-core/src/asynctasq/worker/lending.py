"""Slots of tasks that wait for the results of other tasks: lent to other tasks, or reported if all are taken.

Without this, a worker whose every slot holds a waiting task could never run the tasks that they wait for.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from time import monotonic

from asynctasq.contracts.capabilities import SupportsInspect
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError
from asynctasq.message import State, id_to_text
from asynctasq.tasks.definition import ExecutionMode
from asynctasq.worker.call import WorkerCall
from asynctasq.worker.slots import Slots
from asynctasq.worker.timing import LendingTiming

logger = logging.getLogger("asynctasq")

MOST_LENT = 1000
"""Number of tasks that may wait outside of slots; ten times the concurrency if that is more."""
STALL_IDS_CHECKED = 100


class Lending:
    """The waits of a worker's tasks for results.

    An async task on the worker's loop lends its slot while it waits, and takes it back afterwards.
    Meanwhile at most twice as many tasks run as the concurrency allows. A task in a thread or a child
    process occupies that while it waits, so it keeps its slot.
    """

    def __init__(self, slots: Slots, driver: Driver, timing: LendingTiming) -> None:
        """Make the waits; none is noted before `start`.

        Args:
            slots: of the worker.
            driver: opened when the first task runs.
            timing: durations.
        """
        self._timing = timing
        self._slots = slots
        self._driver = driver
        self._notify_lent: Callable[[], None]
        self._loop: asyncio.AbstractEventLoop | None = None
        self.used = False
        """True once a task has waited; in most workers none does."""
        self._most = max(MOST_LENT, 10 * slots.concurrency)
        self._waits: dict[WorkerCall, list[bytes]] = {}
        self._since: dict[WorkerCall, float] = {}
        self._lent: set[WorkerCall] = set()
        self._turns: list[asyncio.Future[None]] = []
        self._checking: asyncio.Task[None] | None = None
        self._reported: frozenset[WorkerCall] = frozenset()

    @asynccontextmanager
    async def waiting(self, call: WorkerCall, message_id: bytes) -> AsyncIterator[None]:
        """Surround the wait of a task for the result of a message. On any event loop."""
        loop = self._loop
        if loop is None or loop is not asyncio.get_running_loop():
            self._on_loop(self._begin, call, message_id)
            try:
                yield
            finally:
                self._on_loop(self._end, call, message_id)
            return
        self._begin(call, message_id)
        try:
            yield
            if call in self._lent:
                await self._turn()
        finally:
            self._end(call, message_id)

    def note(self, call: WorkerCall, message_id: bytes, *, begins: bool) -> None:
        """Note the start or the end of a wait in a child process."""
        (self._begin if begins else self._end)(call, message_id)

    def has_waits(self, call: WorkerCall) -> bool:
        """Check whether a task is waiting for the result of another task."""
        return call in self._waits

    def start(self, lent: Callable[[], None]) -> None:
        """Note waits from now on; for the running loop.

        Args:
            lent: called when a slot has been lent.
        """
        self._notify_lent = lent
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Stop noting waits and reporting stalls."""
        self._loop = None
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    def run_ended(self, call: WorkerCall) -> None:
        """Forget the waits of a run before its slot is free: background work of the task may still wait."""
        if self._waits.pop(call, None) is not None:
            del self._since[call]
            self._take_back(call)
        self._wake_turns()

    def _wake_turns(self) -> None:
        turns, self._turns = self._turns, []
        for turn in turns:
            if not turn.done():
                turn.set_result(None)

    def _on_loop(
        self, step: Callable[[WorkerCall, bytes], None], call: WorkerCall, id_: bytes
    ) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                self._loop.call_soon_threadsafe(step, call, id_)

    def _begin(self, call: WorkerCall, message_id: bytes) -> None:
        if call.ended or self._loop is None:
            return
        self.used = True
        waits = self._waits.setdefault(call, [])
        waits.append(message_id)
        if len(waits) > 1:
            return
        self._since[call] = monotonic()
        if _is_on_loop(call) and len(self._lent) < self._most:
            self._lent.add(call)
            self._slots.lend()
            self._wake_turns()
            self._notify_lent()
        if self._checking is None:
            self._checking = asyncio.get_running_loop().create_task(self._check())

    def _end(self, call: WorkerCall, message_id: bytes) -> None:
        waits = self._waits.get(call)
        if waits is None or message_id not in waits:
            return
        waits.remove(message_id)
        if not waits:
            del self._waits[call], self._since[call]
            self._take_back(call)

    def _take_back(self, call: WorkerCall) -> None:
        if call in self._lent:
            self._lent.discard(call)
            self._slots.take_back()

    async def _turn(self) -> None:
        """Wait until one more task may run."""
        while self._slots.running >= 2 * self._slots.concurrency:
            turn = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            await turn

    # Reporting.

    async def _check(self) -> None:
        try:
            while self._waits:
                await asyncio.sleep(self._timing.stall)
                try:
                    await self._report_stall()
                except DriverError:
                    continue  # other parts report that
                except Exception:
                    logger.exception("Looking for tasks that wait for each other failed")
                    return
        finally:
            self._checking = None

    async def _report_stall(self) -> None:
        """Warn if a task in a slot waits for a message, and no slot is left for that."""
        before = monotonic() - self._timing.stall
        waiting = [call for call, since in self._since.items() if since <= before]
        queues = self._full_queues(waiting)
        if not queues or not isinstance(self._driver, SupportsInspect):
            return
        blocked = [call for call in waiting if call not in self._reported]
        ids: dict[bytes, WorkerCall] = {}
        for call in blocked:  # of several waits for one message, the first is named
            for id_ in self._waits[call]:
                ids.setdefault(id_, call)
        asked = list(ids)[:STALL_IDS_CHECKED]
        if not asked:
            return
        for id_, snapshot in zip(asked, await self._driver.find(asked), strict=True):
            if snapshot is None or snapshot.state is not State.READY:
                continue
            if snapshot.message.queue in queues:
                self._reported = frozenset(waiting)
                self._warn(ids[id_], snapshot.message.task, id_, snapshot.message.queue)
                return

    def _full_queues(self, waiting: Collection[WorkerCall]) -> Collection[str]:
        """Return the queues from which no task can start, because waiting tasks hold all their slots."""
        in_slots = [call for call in waiting if call not in self._lent]
        if self._slots.free <= 0 and len(in_slots) >= self._slots.running:
            return self._slots.queues
        by_queue = Counter(call.delivery.message.queue for call in waiting)
        return [queue for queue, count in by_queue.items() if self._slots.is_full(queue, count)]

    def _warn(self, call: WorkerCall, inner_task: str, inner_id: bytes, queue: str) -> None:
        outer = call.delivery
        if call in self._lent:
            advice = "Raise the limit of the queue"
        else:
            advice = "Raise the concurrency, make the waiting task async"
        logger.warning(
            "No slot is free for queue %s: tasks that wait for results hold all its slots. Task %s of %s "
            "waits for task %s of %s, which needs a slot itself. %s, or give the inner tasks their own "
            "queue and worker.",
            queue,
            id_to_text(outer.message.id),
            outer.message.task,
            id_to_text(inner_id),
            inner_task,
            advice,
            extra={
                "task_id": id_to_text(outer.message.id),
                "task": outer.message.task,
                "inner_task_id": id_to_text(inner_id),
                "queue": queue,
            },
        )


def _is_on_loop(call: WorkerCall) -> bool:
    return call.definition.mode is ExecutionMode.LOOP
