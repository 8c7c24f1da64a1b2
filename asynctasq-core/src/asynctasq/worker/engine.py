"""The engine of a worker: puts its parts together, and controls their start and end."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.contracts.executor import Executor
from asynctasq.dispatch.stores import Stores
from asynctasq.hookspecs import WorkerContext
from asynctasq.plugins.gauges import Gauges
from asynctasq.plugins.observers import Observer, Observers
from asynctasq.records import record
from asynctasq.resolvers import Resolvers
from asynctasq.serializers.codec import Codec
from asynctasq.tasks.definition import ExecutionMode, TaskDefinition
from asynctasq.transaction_adapters import TransactionAdapters
from asynctasq.uncancelled import uncancelled
from asynctasq.worker.attempts import Attempts
from asynctasq.worker.completion import Completer
from asynctasq.worker.events import WorkerEvents
from asynctasq.worker.fetcher import Fetcher
from asynctasq.worker.health import Phase, WorkerHealth
from asynctasq.worker.in_flight import InFlight, InFlightMessage
from asynctasq.worker.lending import Lending
from asynctasq.worker.life import Closing, Life
from asynctasq.worker.notices import Notices
from asynctasq.worker.options import WorkerOptions
from asynctasq.worker.outage import Outage
from asynctasq.worker.runner import Runner
from asynctasq.worker.services.health_service import HealthService
from asynctasq.worker.services.lease_renewer import LeaseRenewer
from asynctasq.worker.services.loop_watch import LoopWatch
from asynctasq.worker.services.memory_limit import MemoryLimit
from asynctasq.worker.services.periodic_work import PeriodicWork
from asynctasq.worker.services.service import Services, WorkerService
from asynctasq.worker.settler import Settler
from asynctasq.worker.slots import Slots
from asynctasq.worker.steering import Steering
from asynctasq.worker.store_news import StoreNews
from asynctasq.worker.tally import Tally
from asynctasq.worker.timing import OutboxTiming, ScheduleTiming, WorkerTiming

if TYPE_CHECKING:
    from asynctasq.worker.services.schedules import DeclaredSchedule

logger = logging.getLogger("asynctasq")


@record
class Inspection:
    """The state of a worker at one moment, for tests."""

    held: tuple[InFlightMessage, ...]
    """Messages that are prefetched, running, or finished and not yet settled."""
    prefetched: tuple[InFlightMessage, ...]
    """Held messages that wait for a slot."""
    tasks_are_short: bool
    """True if recent tasks were short enough to prefetch messages."""
    fetcher_sleeps: bool
    """True while the fetcher waits for work."""
    executors: Mapping[ExecutionMode, Executor]


class Engine:
    """One worker: runs on the loop that calls `run`, until `stop`."""

    def __init__(
        self,
        options: WorkerOptions,
        *,
        driver: Driver,
        codec: Codec,
        resolvers: Resolvers,
        stores: Stores,
        find_task: Callable[[str], TaskDefinition],
        executors: Mapping[ExecutionMode, Executor],
        observers: Observers,
        lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None,
        life: Life,
        transactions: TransactionAdapters,
        schedules: Sequence["DeclaredSchedule"] | None,
        timing: WorkerTiming,
    ) -> None:
        """Make the parts of a worker; nothing is started.

        Args:
            options: of the worker.
            driver: opened.
            codec: decodes arguments and encodes results.
            resolvers: of models among the arguments.
            stores: of the app; the messages of its outbox are for them.
            find_task: finds the definition of a task by its name.
            executors: by mode; not started.
            observers: of the app's plugins.
            lifespan: makes the context of the app's resources; None if there is none.
            life: of the worker.
            transactions: complete tasks in transactions of the application.
            schedules: declared by the tasks of this worker; None if it fires none.
            timing: durations.
        """
        self._options = options
        self._codec = codec
        self._resolvers = resolvers
        self._find_task = find_task
        self._executors = executors
        self._lifespan = lifespan
        self._life = life
        self._timing = timing.engine
        self._runner_timing = timing.runner
        life.grace_period = options.grace_period
        self._closing = Closing(life)
        self._stop_requests = 0
        owner = f"{options.worker_id}/{os.urandom(4).hex()}"
        outage = Outage(timing.outage)
        tally = Tally(owner, stored=Capability.METRICS in driver.capabilities)
        self._events = events = WorkerEvents(driver.capabilities, worker=options.worker_id)
        self._completer = Completer(driver, transactions, worker=owner)
        self._slots = Slots(
            options.concurrency,
            options.queues,
            most_runs=options.max_tasks,
            timing=timing.prefetch,
        )
        self._in_flight = InFlight(driver)
        self._notices = Notices(observers, options.worker_id)
        self._lending = Lending(self._slots, driver, timing.lending)
        self.health = WorkerHealth(
            options,
            owner=owner,
            in_flight=self._in_flight,
            totals=tally.totals,
            gauges=Gauges(observers),
            loop_watch=LoopWatch(
                asyncio.get_running_loop(),
                blocked=timing.renewer.blocked,
                stall_limit=options.stall_limit,
            ),
            timing=timing.health,
        )
        self._fetcher = Fetcher(
            driver,
            options,
            owner=owner,
            slots=self._slots,
            in_flight=self._in_flight,
            news=StoreNews(driver, observers, options.worker_id, tally, events),
            outage=outage,
            timing=timing.fetcher,
        )
        steering = Steering(
            asyncio.get_running_loop(),
            worker_id=options.worker_id,
            health=self.health,
            set_quiet=self._fetcher.set_quiet,
            stop=self._stop_once,
        )
        settler = Settler(
            driver,
            worker=owner,
            in_flight=self._in_flight,
            fetcher=self._fetcher,
            notices=self._notices,
            outage=outage,
            tally=tally,
            events=events,
            timing=timing.settler,
        )
        self._attempts = Attempts(
            fetcher=self._fetcher,
            slots=self._slots,
            in_flight=self._in_flight,
            lending=self._lending,
            settler=settler,
            notices=self._notices,
            events=events,
            timing=timing.engine,
        )
        services: list[WorkerService] = [
            HealthService(options, self.health, timing.health),
            LeaseRenewer(
                driver.clone(),
                options,
                owner=owner,
                in_flight=self._in_flight,
                health=self.health,
                outage=outage,
                tally=tally,
                steer=steering.apply,
                events=events,
                timing=timing.renewer,
                more_work=partial(_schedule_work, schedules, stores, events, timing.schedules),
            ),
            MemoryLimit(options, self._fetcher, timing.memory),
        ]
        if stores.outbox is not None:
            services.append(_outbox_relay(stores, self.health, timing.outbox, options.burst))
        self._services = Services(
            services, life=life, closing=self._closing, stop_worker=self._fetcher.stop
        )

    @property
    def stuck(self) -> bool:
        """True after `run` if code of a task still runs that could not be interrupted."""
        return self._attempts.stuck

    def inspect(self) -> Inspection:
        """Return the state of the worker, for tests."""
        return Inspection(
            held=self._in_flight.snapshot(),
            prefetched=tuple(self._in_flight.prefetched),
            tasks_are_short=self._slots.short,
            fetcher_sleeps=self._fetcher.is_sleeping,
            executors=self._executors,
        )

    async def run(self) -> None:
        """Run until stopped; returns when every message is settled or released.

        A cancellation interrupts the running tasks and releases their messages; then it is passed on.
        """
        async with AsyncExitStack() as stack:
            await self._services.start(stack)
            for mode, executor in self._executors.items():
                name = f"the {mode.value} executor"
                self._life.doing = f"starting {name}"
                stack.push_async_callback(self._closing.close, name, executor.stop)
                await executor.start(concurrency=self._options.concurrency)
            self._attempts.runner = self._make_runner(await self._enter_lifespan(stack))
            self._lending.start(self._attempts.slot_lent)
            stack.push_async_callback(self._lending.stop)
            context = WorkerContext(
                self._options.worker_id, tuple(self._options.queues), self._options.concurrency
            )
            for observer in self._notices.observers.worker_started:
                self._life.doing = f"running worker_started of the plugin {observer.plugin}"
                await self._notices.observers.notify((observer,), context)
            self._life.begin()
            if self._events.active:
                self._events.worker_started()
            self.health.phase = Phase.RUNNING
            cancelled = await self._run_to_the_end(context)
        if cancelled:
            raise asyncio.CancelledError

    async def _run_to_the_end(self, context: WorkerContext) -> bool:
        """Fetch and run messages, then end all runs; True if the worker was cancelled.

        A cancellation never interrupts a call to the store.
        """
        cancelled = False
        try:
            _, cancelled = await uncancelled(
                self._fetcher.run(self._attempts), on_cancel=self._on_cancel
            )
        finally:
            self.health.phase = Phase.STOPPING
            self.health.fetching = False
            _, cancelled_later = await uncancelled(self._end(context), on_cancel=self._on_cancel)
        return cancelled or cancelled_later

    def _on_cancel(self) -> None:
        self._attempts.hurry.set()
        self._fetcher.stop()

    def _make_runner(self, resources: object) -> Runner:
        return Runner(
            codec=self._codec,
            resolvers=self._resolvers,
            find_task=self._find_task,
            executors=self._executors,
            notices=self._notices,
            resources=resources,
            report=self._in_flight.report,
            mismatch_patience=self._options.mismatch_patience,
            life=self._life,
            waits=self._lending,
            completer=self._completer,
            timing=self._runner_timing,
        )

    async def _enter_lifespan(self, stack: AsyncExitStack) -> object:
        """Enter the app's lifespan and return its resources; the stack leaves it."""
        if self._lifespan is None:
            return None
        self._life.doing = "entering the lifespan"
        lifespan = self._lifespan()
        resources: object = await lifespan.__aenter__()

        async def leave(*error: Any) -> bool | None:
            handled: list[bool | None] = []
            async with self._closing.part("the lifespan", is_application=True):
                handled.append(await lifespan.__aexit__(*error))
            return any(handled)

        stack.push_async_exit(leave)
        return resources

    # The end.

    def stop(self) -> None:
        """Stop fetching, and let running tasks end within the grace period.

        The second call interrupts them at once.
        """
        self._stop_requests += 1
        if self._stop_requests > 1:
            self._attempts.hurry.set()
            self._closing.hurry()
        self._fetcher.stop()
        self.health.phase = Phase.STOPPING

    def _stop_once(self) -> None:
        """Stop as after a first signal, unless the worker is stopping already."""
        if not self._stop_requests:
            self.stop()

    async def _end(self, context: WorkerContext) -> None:
        await self._notify_of_end(self._notices.observers.worker_stopping, context)
        self._life.doing = "waiting for running tasks"
        await self._attempts.finish(self._options.grace_period)
        if self._events.active:
            self._events.worker_stopped()
        await self._notify_of_end(self._notices.observers.worker_stopped, context)

    async def _notify_of_end(self, observers: tuple[Observer, ...], context: WorkerContext) -> None:
        """Notify observers; one that takes too long is cancelled."""
        hurried = self._attempts.hurry
        for observer in observers:
            self._life.doing = f"running {observer.hook} of the plugin {observer.plugin}"
            limit = self._timing.hurried_observer if hurried.is_set() else self._timing.observer
            notifying = asyncio.ensure_future(self._notices.observers.notify((observer,), context))
            hurry = asyncio.ensure_future(hurried.wait())
            both = [notifying] if hurry.done() or hurried.is_set() else [notifying, hurry]
            await asyncio.wait(both, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            if not notifying.done():
                logger.error(
                    "%s of the plugin %s was cancelled: it did not end within %g s, or before the "
                    "second signal",
                    observer.hook,
                    observer.plugin,
                    limit,
                    extra={"plugin": observer.plugin, "hook": observer.hook},
                )
                notifying.cancel()
            await asyncio.wait([notifying, hurry], timeout=self._timing.hurried_observer)


def _outbox_relay(
    stores: Stores, health: WorkerHealth, timing: OutboxTiming, burst: bool
) -> WorkerService:
    """Return the relay; its modules are imported only where there is an outbox."""
    from asynctasq.worker.services.outbox_relay import OutboxRelay

    return OutboxRelay(stores, health, timing, burst=burst)


def _schedule_work(
    declared: Sequence["DeclaredSchedule"] | None,
    stores: Stores,
    events: WorkerEvents,
    timing: ScheduleTiming,
    wake: Callable[[], None],
) -> Sequence[PeriodicWork]:
    """Return the work of schedules; its modules are imported only by workers that fire them."""
    if declared is None:
        return ()
    from asynctasq.worker.services.schedules import FireSchedules

    return (FireSchedules(declared, stores.schedules, wake=wake, events=events, timing=timing),)
