"""The relay of the outbox: forwards messages of committed transactions to their stores."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from typing import Any

from asynctasq.contracts.capabilities.outbox import Outbox, OutboxState
from asynctasq.dispatch.outbox import AppOutbox
from asynctasq.dispatch.stores import Store, Stores
from asynctasq.errors import DriverError, DriverUnavailable, PluginError
from asynctasq.worker.health import WorkerHealth
from asynctasq.worker.outage import Outage, StoreRetries
from asynctasq.worker.services.outbox_target import Repeated, TargetRelay, rest
from asynctasq.worker.services.service import Failed, OnFailure
from asynctasq.worker.timing import OutboxTiming

logger = logging.getLogger("asynctasq")


class OutboxRelay:
    """Runs a `TargetRelay` for each store of the app, and reports how long rows wait.

    A store that is unavailable does not hold up the others. Without the setting `outbox`, it does nothing.
    """

    name = "the outbox relay"
    on_failure = OnFailure.STOP_WORKER

    def __init__(
        self, stores: Stores, health: WorkerHealth, timing: OutboxTiming, *, burst: bool
    ) -> None:
        """Make the relay; nothing is opened.

        Args:
            stores: of the app, with its outbox.
            burst: the worker stops when there is nothing more to do, so messages are forwarded before it starts.
            health: shows the state of the outbox.
            timing: durations.
        """
        self._stores = stores
        self._burst = burst
        self._health = health
        self._timing = timing
        self._retries = StoreRetries("read the outbox", Outage())
        self._refused = Repeated("The database of the outbox refused a call")
        self._outbox: Outbox | None = None
        self._stopping = asyncio.Event()
        self._targets: dict[str, TargetRelay] = {}
        self._running: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: Failed | None = None
        self._waking = ExitStack()

    async def start(self, failed: Failed) -> None:
        """Check the tables and start to forward messages, if the app has an outbox.

        If the database cannot be reached, the worker starts nevertheless.

        Raises:
            DriverError: the tables are missing, or were made by another release.
        """
        app_outbox = self._stores.outbox
        if app_outbox is None:
            return
        self._failed = failed
        with suppress(DriverUnavailable):
            self._outbox = await app_outbox.open()
        if self._burst and self._outbox is not None:
            for store in self._stores.of_tasks():
                await self._target(self._outbox, store).drain()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._wake)

        self._waking.enter_context(app_outbox.waking(wake))
        self._begin(self._run(app_outbox))

    async def stop(self) -> None:
        """Stop after the current call, so that another relay can go on at once."""
        self._stopping.set()
        self._waking.close()
        self._wake()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        if self._outbox is not None:
            await self._outbox.close()

    def _wake(self) -> None:
        for target in self._targets.values():
            target.wake()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None:
            self._failed(error)

    async def _run(self, app_outbox: AppOutbox) -> None:
        while not self._stopping.is_set():
            try:
                if self._outbox is None:
                    self._outbox = await app_outbox.open()
                self._add_targets(self._outbox)
                self._report(await self._outbox.state())
            except DriverUnavailable as error:
                self._retries.note(error)
            except (DriverError, PluginError) as error:
                self._refused.log(error)
            else:
                self._retries.reached()
                self._refused.is_over()
            await rest(self._stopping, self._timing.state)

    def _add_targets(self, outbox: Outbox) -> None:
        """Start a relay for each store that has none yet: tasks may be registered at any time."""
        for store in self._stores.of_tasks():
            if store.target not in self._running:
                self._running.add(store.target)
                self._begin(self._target(outbox, store).run())

    def _target(self, outbox: Outbox, store: Store) -> TargetRelay:
        """Return the relay of a store, which is made once."""
        if store.target not in self._targets:
            self._targets[store.target] = TargetRelay(outbox, store, self._timing, self._stopping)
        return self._targets[store.target]

    def _report(self, state: OutboxState) -> None:
        was_late = self._health.outbox.is_late
        self._health.outbox.note(state)
        if self._health.outbox.is_late and not was_late:
            logger.warning(
                "The oldest row of the outbox has waited for %.0f s (rows=%d)",
                state.oldest,
                state.waiting,
                extra={"outbox_waiting": state.waiting, "outbox_oldest": state.oldest},
            )
