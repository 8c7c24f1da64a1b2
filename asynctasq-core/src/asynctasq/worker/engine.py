"""Puts fetcher, runner, settler and keeper together, and sees to start and end."""

import asyncio
import contextvars
import logging
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from asynctasq.contracts.capabilities import Capability, WorkerInfo
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.executor import Executor
from asynctasq.errors import CapabilityMissing
from asynctasq.hookspecs import WorkerContext
from asynctasq.message import Delivery, Lease, id_to_text
from asynctasq.plugins.observers import Observer, Observers
from asynctasq.records import record
from asynctasq.resolvers import Resolvers
from asynctasq.serializers.codec import Codec
from asynctasq.settlement import ErrorInfo, Release, ReleaseReason
from asynctasq.tasks.definition import ExecutionMode, TaskDefinition
from asynctasq.worker.backoff import Outage
from asynctasq.worker.fetcher import Fetcher
from asynctasq.worker.health import Phase, WorkerHealth
from asynctasq.worker.in_flight import InFlightMessage, Interrupt
from asynctasq.worker.lending import Lending
from asynctasq.worker.life import Closing, Life
from asynctasq.worker.run_log import log_second_run
from asynctasq.worker.runner import Runner
from asynctasq.worker.services.lease_renewer import LeaseRenewer, RenewerSettings
from asynctasq.worker.services.resident_memory import resident_bytes
from asynctasq.worker.settler import Settler
from asynctasq.worker.slots import Slots
from asynctasq.worker.store_news import StoreNews

logger = logging.getLogger("asynctasq")

INTERRUPTED_SECONDS = 5.0
"""How long interrupted tasks may take to end."""
SETTLE_AT_END_SECONDS = 10.0
"""How long the last settlements may take when the worker stops."""
OBSERVER_SECONDS = 5.0
"""For an observer of the worker's end."""
HURRIED_OBSERVER_SECONDS = 1.0
"""Limit for such an observer after the second signal."""
MEMORY_LOOK_SECONDS = 0.5
"""Between looks at `max_memory`."""


@record
class EngineSettings:
    """Durations in seconds."""

    worker_id: str
    queues: Mapping[str, int | None]
    """In strict order, each with its own limit of tasks at once, or None."""
    concurrency: int
    max_tasks: int | None
    """Runs after which the worker ends."""
    max_memory: int | None
    """Bytes of resident memory above which it ends."""
    lease: float
    heartbeat_interval: float
    grace_period: float
    stall_limit: float
    mismatch_patience: float
    burst: bool
    version: str


class Engine:
    """One worker: runs on the loop that calls `run`, until `stop`."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        driver: Driver,
        codec: Codec,
        resolvers: Resolvers,
        find_task: Callable[[str], TaskDefinition],
        executors: Mapping[ExecutionMode, Executor],
        observers: Observers,
        lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None,
        life: Life,
    ) -> None:
        self._settings = settings
        self._driver = driver
        self._codec = codec
        self._resolvers = resolvers
        self._find_task = find_task
        self._executors = executors
        self._observers = observers
        self._lifespan = lifespan
        self._life = life
        life.grace_period = settings.grace_period
        self._closing = Closing(life)
        self._owner = f"{settings.worker_id}/{os.urandom(4).hex()}"
        self._slots = Slots(settings.concurrency, settings.queues, most_runs=settings.max_tasks)
        self._held: set[InFlightMessage] = set()
        self._hand: deque[InFlightMessage] = deque()
        self._progress: dict[Lease, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self._context = contextvars.copy_context()
        self._hurry = asyncio.Event()
        self._stops_asked = 0
        self._cancelled = False
        self._main: asyncio.Task[object] | None = None
        self._lending = Lending(self._slots, driver, lent=self._use_free_slot)
        self._outage = Outage()
        self._settler = Settler(
            driver,
            worker=self._owner,
            outage=self._outage,
            settled=self._forget_all,
            refused=self._tell_refused,
        )
        self._fetcher = Fetcher(
            driver,
            slots=self._slots,
            queues=list(settings.queues),
            owner=self._owner,
            lease=settings.lease,
            burst=settings.burst,
            outage=self._outage,
            in_hand=lambda: len(self._hand),
            held=lambda: len(self._held),
            accept=self._accept,
            give_back=self._give_back_hand,
            known=lambda: [running.delivery for running in self._held],
        )
        self._fetcher.news = StoreNews(driver, observers, settings.worker_id)
        self._runner: Runner | None = None
        self.vitals = self._make_vitals()
        self.stuck = False
        """After `run`: whether code of a task still runs that could not be interrupted."""

    async def run(self) -> None:
        """Work until stopped; returns when everything that ran is settled or given back.

        Cancelled, it interrupts what runs, gives it back, and then passes the cancellation on.
        """
        self._main = asyncio.current_task()
        async with AsyncExitStack() as stack:
            keeper = self._make_keeper()
            self._life.doing = "starting the lease renewer"
            stack.push_async_callback(self._close, "the lease renewer", keeper.stop)
            await keeper.start()
            for mode, executor in self._executors.items():
                self._life.doing = f"starting the {mode.value} executor"
                stack.push_async_callback(self._close, f"the {mode.value} executor", executor.stop)
                await executor.start(concurrency=self._settings.concurrency)
            resources = await self._enter_lifespan(stack)
            self._runner = self._make_runner(resources)
            self._lending.start()
            stack.push_async_callback(self._lending.stop)
            context = WorkerContext(
                self._settings.worker_id, tuple(self._settings.queues), self._settings.concurrency
            )
            for observer in self._observers.worker_started:
                self._life.doing = f"running worker_started of the plugin {observer.plugin}"
                await self._observers.notify((observer,), context)
            self._life.begin()
            self.vitals.phase = Phase.RUNNING
            try:
                async with self._memory_watched():
                    await self._to_its_end(self._fetcher.run())
            finally:
                self.vitals.phase = Phase.STOPPING
                self.vitals.fetching = False
                await self._to_its_end(self._end(context))
        if self._cancelled:
            raise asyncio.CancelledError

    async def _enter_lifespan(self, stack: AsyncExitStack) -> object:
        """Enter the app's lifespan, to be left with the stack; returns its resources."""
        if self._lifespan is None:
            return None
        self._life.doing = "entering the lifespan"
        lifespan = self._lifespan()
        resources: object = await lifespan.__aenter__()

        async def leave(*error: Any) -> bool | None:
            handled: list[bool | None] = []
            async with self._closing.part("the lifespan", is_theirs=True):
                handled.append(await lifespan.__aexit__(*error))
            return any(handled)

        stack.push_async_exit(leave)
        return resources

    async def _close(self, name: str, close: Callable[[], Awaitable[None]]) -> None:
        async with self._closing.part(name):
            await close()

    def stop(self) -> None:
        """Fetch nothing more, let running tasks end within the grace period; at the second call, interrupt
        them at once."""
        self._stops_asked += 1
        if self._stops_asked > 1:
            self._hurry.set()
            self._closing.hurry()
        self._fetcher.stop()
        self.vitals.phase = Phase.STOPPING

    async def _to_its_end(self, part: Coroutine[Any, Any, None]) -> None:
        """Await a part of the work. A cancellation hurries it, and never tears a call to the store."""
        task = asyncio.get_running_loop().create_task(part)
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                self._cancelled = True
                self._hurry.set()
                self._fetcher.stop()
        task.result()

    async def _end(self, context: WorkerContext) -> None:
        await self._notify_of_end(self._observers.worker_stopping, context)
        self._life.doing = "waiting for running tasks"
        await self._wind_down()
        await self._notify_of_end(self._observers.worker_stopped, context)

    async def _notify_of_end(self, observers: tuple[Observer, ...], context: WorkerContext) -> None:
        """Notify observers; one that takes too long is cancelled."""
        for observer in observers:
            self._life.doing = f"running {observer.hook} of the plugin {observer.plugin}"
            limit = HURRIED_OBSERVER_SECONDS if self._hurry.is_set() else OBSERVER_SECONDS
            notifying = asyncio.ensure_future(self._observers.notify((observer,), context))
            hurry = asyncio.ensure_future(self._hurry.wait())
            both = [notifying] if hurry.done() or self._hurry.is_set() else [notifying, hurry]
            await asyncio.wait(both, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            if not notifying.done():
                logger.error(
                    "%s of the plugin %s was cancelled: it had not ended within %g s, or by the second "
                    "signal.",
                    observer.hook,
                    observer.plugin,
                    limit,
                )
                notifying.cancel()
            await asyncio.wait([notifying, hurry], timeout=HURRIED_OBSERVER_SECONDS)

    def _make_runner(self, resources: object) -> Runner:
        return Runner(
            worker_id=self._settings.worker_id,
            codec=self._codec,
            resolvers=self._resolvers,
            find_task=self._find_task,
            executors=self._executors,
            observers=self._observers,
            resources=resources,
            report=self._report,
            mismatch_patience=self._settings.mismatch_patience,
            is_cancelled=lambda: self._main is not None and self._main.cancelling() > 0,
            waits=self._lending,
        )

    def _make_keeper(self) -> LeaseRenewer:
        settings = self._settings
        return LeaseRenewer(
            self._driver.clone(),
            RenewerSettings(
                owner=self._owner,
                lease=settings.lease,
                interval=settings.heartbeat_interval,
                stall_limit=settings.stall_limit,
            ),
            worker=WorkerInfo(
                id=settings.worker_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                started_at=time.time(),
                queues=tuple(settings.queues),
                concurrency=settings.concurrency,
                running=0,
                version=settings.version,
            ),
            held=self.held,
            take_progress=self._take_progress,
            reached=self.vitals.reached,
            ending=self.vitals.ending,
            outage=self._outage,
        )

    @asynccontextmanager
    async def _memory_watched(self) -> AsyncIterator[None]:
        """Stop fetching when the process has grown too large."""
        limit = self._settings.max_memory
        if limit is None:
            yield
            return

        async def watch() -> None:
            taken = resident_bytes()
            while taken <= limit:
                await asyncio.sleep(MEMORY_LOOK_SECONDS)
                taken = resident_bytes()
            logger.warning(
                "Worker %s takes %d MB of memory, more than max_memory allows (%d MB), and ends.",
                self._settings.worker_id,
                taken // 2**20,
                limit // 2**20,
            )
            self._fetcher.stop()

        watching = asyncio.get_running_loop().create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    def held(self) -> tuple[InFlightMessage, ...]:
        """What is in hand, runs, or has run and is not yet settled; any thread may ask."""
        return tuple(self._held.copy())

    def _make_vitals(self) -> WorkerHealth:
        settings = self._settings
        return WorkerHealth(
            owner=self._owner,
            about={
                "worker_id": settings.worker_id,
                "version": settings.version,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_at": time.time(),
                "queues": dict(settings.queues),
                "concurrency": settings.concurrency,
            },
            held=self.held,
            lease=settings.lease,
            stall_limit=settings.stall_limit,
            grace_period=settings.grace_period,
        )

    def _accept(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            running = InFlightMessage(delivery)
            self._held.add(running)
            if self._slots.free > 0 and not self._hand and not self._fetcher.stopping:
                self._begin(running)
            else:
                self._hand.append(running)

    def _begin(self, running: InFlightMessage) -> None:
        work = self._work(running)
        # A context of its own: the task that ends here may have set variables in this one.
        context = self._context.copy()
        try:
            task = asyncio.get_running_loop().create_task(work, context=context)
        except Exception:
            work.close()
            logger.exception("Cannot begin %s; releasing it.", running.delivery.message.task)
            self._give_back(running)
            return
        running.task = task
        self._tasks.add(task)
        self._slots.take(running.delivery.message.queue)
        if self._slots.used_up:
            self._fetcher.stop()

    async def _work(self, running: InFlightMessage) -> None:
        assert self._runner is not None, "run() makes it"
        running.started_at = time.monotonic()
        if running.delivery.lost:
            log_second_run(running.delivery)
        try:
            settlement = await self._runner.run(running)
        except asyncio.CancelledError:
            settlement = (
                None if running.interrupt is Interrupt.LOST else Release(running.delivery.lease)
            )
        except GeneratorExit:  # the loop was closed
            raise
        except BaseException as error:
            logger.exception("Deciding on %s failed.", running.delivery.message.task)
            settlement = self._runner.undecided(running, error)
        if running.task is not None:  # a callback for this takes 200 bytes of each that sleeps
            self._tasks.discard(running.task)
        try:
            if settlement is None or running not in self._held:  # given back while it ran
                self._forget(running)
            else:
                self._settler.add(running, settlement)
        finally:
            if running.call is not None:
                running.call.ended = True
                if self._lending.used:
                    self._lending.run_ended(running.call)
            self._slots.give(running.delivery.message.queue, running.started_at, time.monotonic())
            self._begin_next()
            self._fetcher.notice()

    def _use_free_slot(self) -> None:
        self._begin_next()
        self._fetcher.notice()

    def _begin_next(self) -> None:
        while self._hand and self._slots.free > 0 and not self._fetcher.stopping:
            running = self._hand.popleft()
            if running.interrupt is Interrupt.LOST:
                self._forget(running)
            else:  # the runner sees to one that was cancelled meanwhile
                self._begin(running)

    def _give_back_hand(self) -> None:
        while self._hand:
            self._give_back(self._hand.popleft())

    def _give_back(
        self, running: InFlightMessage, why: ReleaseReason = ReleaseReason.NOT_STARTED
    ) -> None:
        self._settler.add(running, Release(running.delivery.lease))
        if self._observers.on_release and self._runner is not None:
            self._tell(self._runner.tell_release(running.delivery, why))

    def _tell_refused(self, delivery: Delivery, error: ErrorInfo) -> None:
        if self._observers.on_dead and self._runner is not None:
            self._tell(self._runner.tell_refused(delivery, error))

    def _tell(self, telling: Coroutine[Any, Any, None]) -> None:
        """Let observers hear of what no run of a task has ended with; nothing waits for them meanwhile."""
        task = asyncio.get_running_loop().create_task(telling, context=self._context.copy())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _forget(self, running: InFlightMessage) -> None:
        self._forget_all([running])

    def _forget_all(self, settled: Sequence[InFlightMessage]) -> None:
        self._held.difference_update(settled)
        if self._progress:
            for running in settled:
                self._progress.pop(running.delivery.lease, None)
        self._fetcher.notice()

    def _report(self, delivery: Delivery, progress: bytes) -> None:
        if Capability.PROGRESS not in self._driver.capabilities:
            raise CapabilityMissing(
                f"Reporting progress needs the capability PROGRESS, which "
                f"{type(self._driver).__qualname__} does not have."
            )
        self._progress[delivery.lease] = progress

    def _take_progress(self) -> list[tuple[Lease, bytes]]:
        """Called from the keeper's thread while others add and remove: one atomic step for each."""
        taken: list[tuple[Lease, bytes]] = []
        with suppress(KeyError):
            for _ in range(len(self._progress)):
                taken.append(self._progress.popitem())  # noqa: PERF401  what was taken is kept
        return taken

    async def _wind_down(self) -> None:
        """Give back what has not begun, wait for what runs, then interrupt it; settle everything."""
        self._give_back_hand()
        if not await self._ended_within(self._settings.grace_period):
            logger.warning(
                "%s; interrupting running tasks (%d). Those that do not complete are given back.",
                "Told to stop at once" if self._hurry.is_set() else "The grace period is over",
                len(self._tasks),
            )
            self._report_waiting()
            for running in self._held:
                running.end_early(Interrupt.STOP)
            self._hurry.clear()
            if not await self._ended_within(INTERRUPTED_SECONDS):
                self._give_back_stuck()
        try:
            async with asyncio.timeout(SETTLE_AT_END_SECONDS):
                await self._settler.drain()
        except TimeoutError:
            await self._settler.abandon()
        if self._telling:
            await asyncio.wait(self._telling, timeout=INTERRUPTED_SECONDS)

    def _report_waiting(self) -> None:
        """Say so if tasks have not ended because this worker fetches no more of what they wait for.

        They would wait again in the next worker, which may end in the same way.
        """
        waiting = [
            running.delivery.message
            for running in self._held
            if running.call is not None and self._lending.has_waits(running.call)
        ]
        if waiting and self._slots.used_up:
            logger.warning(
                "Interrupted tasks waited for results of tasks that this worker did not fetch any more, as it "
                "has reached max_tasks (%d): task %s of %s, for example. Raise max_tasks, or give the inner "
                "tasks a queue and a worker of their own.",
                len(waiting),
                id_to_text(waiting[0].id),
                waiting[0].task,
            )

    async def _ended_within(self, seconds: float) -> bool:
        """Wait until nothing runs, for so long at most, and only until told to hurry."""
        if not self._tasks:
            return True
        hurry = asyncio.ensure_future(self._hurry.wait())
        ended = asyncio.ensure_future(asyncio.wait(self._tasks.copy()))
        await asyncio.wait([hurry, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        ended.cancel()
        await asyncio.wait([hurry, ended])
        return not self._tasks

    def _give_back_stuck(self) -> None:
        """Release what cannot be interrupted: it ends with the process at the latest."""
        stuck = [running for running in self._held if running.task in self._tasks]
        logger.error(
            "Tasks that do not end are given back while they still run (%d): %s.",
            len(stuck),
            ", ".join(sorted({running.delivery.message.task for running in stuck})),
        )
        self.stuck = True
        for running in stuck:
            self._held.discard(running)
            self._give_back(running, ReleaseReason.STILL_RUNNING)
