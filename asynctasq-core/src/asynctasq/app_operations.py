"""The calls of an app that inspect and repair its store."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from asynctasq.app_runtime import Runtime
from asynctasq.contracts.capabilities import (
    Capability,
    SupportsWorkers,
    WorkerInfo,
    require,
)
from asynctasq.contracts.driver import Driver
from asynctasq.dispatch.cancelling import cancel
from asynctasq.dispatch.dispatcher import Dispatcher
from asynctasq.errors import ConfigurationError
from asynctasq.message import CancelOutcome

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
    from asynctasq.operations import (
        DeadLetters,
        EventStream,
        Metrics,
        OutboxMessages,
        Queues,
        Schedules,
        Tasks,
    )
    from asynctasq.operations.audit import Audit


class AppOperations:
    """Operations on the store of an app; their modules are imported by programs that use them."""

    _runtime: Runtime
    _dispatcher: Dispatcher

    @property
    def store(self) -> str:
        """The app's store, described for people: an absolute path, or a URL with its password masked.

        This is a text for logs and messages. `await app.driver()` returns the driver itself.
        """
        return self._dispatcher.stores.default.driver.description

    async def driver(self) -> Driver:
        """Return the app's driver, opened for the running loop.

        Raises:
            DriverError: the store refused, or could not be reached.
        """
        return (await self._dispatcher.stores.default.connection()).driver

    @property
    def _audit(self) -> "Audit":
        from asynctasq.operations.audit import Audit

        return Audit(lambda: self._runtime.observers, lambda: self.store)

    @property
    def queues(self) -> "Queues":
        """The queues of the app's store: count, pause, purge."""
        from asynctasq.operations import Queues

        return Queues(self.driver, self._audit)

    @property
    def tasks(self) -> "Tasks":
        """The tasks in the app's store: list, inspect, cancel."""
        from asynctasq.operations import Tasks

        return Tasks(self.driver, self._runtime.codec, self._cancel, self._audit)

    @property
    def dead_letters(self) -> "DeadLetters":
        """The dead letters in the app's store: list, retry, edit, delete."""
        from asynctasq.operations import DeadLetters

        return DeadLetters(self.driver, self._runtime.codec, self._audit)

    @property
    def schedules(self) -> "Schedules":
        """The schedules in the app's store: list, preview, pause, resume, run, remove."""
        from asynctasq.operations.schedules import Schedules

        return Schedules(self.driver, self._dispatcher.stores.schedules, self._audit)

    @property
    def metrics(self) -> "Metrics":
        """The counts of the app's workers: rates, run times, finished tasks."""
        from asynctasq.operations.metrics import Metrics

        return Metrics(self.driver)

    def events(
        self,
        *,
        kinds: Collection[str] | None = None,
        task: str | None = None,
        queue: str | None = None,
        after: str | None = None,
        hold: float = 30.0,
    ) -> "EventStream":
        """Return what happens to the tasks of the app's store, live, as an asynchronous iterator.

            async for event in app.events(kinds={"completed", "dead"}, task="shop:*"):
                print(event.kind, event.task, event.task_id, event.seconds)

        Events are published while there is a listener. They begin within two seconds of the first listener. Those of
        one task come in the order of its states. A gap, which no filter leaves out, says that events are missing.

        Args:
            kinds: only events of these kinds, such as `completed`; see `EventKind`.
            task: only tasks of this name, or of a pattern such as `shop:*`.
            queue: only tasks of this queue.
            after: cursor of the last event that you have handled. Without it, the stream begins at the present.
            hold: seconds for which events are published and kept after you stopped to listen, so that you can
                come back with a cursor and miss nothing; 30 to 600.

        Raises:
            ValueError: an argument is not valid.
        """
        from asynctasq.operations.events import EventStream

        return EventStream(
            self.driver,
            self._runtime.codec,
            kinds=kinds,
            task=task,
            queue=queue,
            after=after,
            hold=hold,
        )

    @property
    def outbox(self) -> "OutboxMessages":
        """The messages in the app's outbox: list, retry, delete.

        Raises:
            ConfigurationError: the app has no outbox.
        """
        from asynctasq.operations import OutboxMessages

        found = self._dispatcher.stores.outbox
        if found is None:
            raise ConfigurationError(
                "The app has no outbox. Set `outbox` to the database of your application."
            )
        return OutboxMessages(found, self._audit)

    async def workers(self) -> list[WorkerInfo]:
        """Return the live workers of the app's store, by id.

        Raises:
            CapabilityMissing: the driver does not register workers.
        """
        driver = await self.driver()
        store = require(driver, Capability.WORKERS, SupportsWorkers, purpose="Listing workers")
        return await store.workers()

    async def request_workers(
        self, ids: Sequence[str], request: "WorkerRequest"
    ) -> "list[WorkerRequest | None]":
        """Request of workers to be quiet, to run again, or to stop. They follow within a few seconds.

        A quiet worker takes no new messages and finishes the running ones. A request is for the present run of a
        worker: another worker that starts with the same id does not follow it.

        Args:
            ids: of workers in `workers()`.
            request: `WorkerRequest.QUIET`, `RUN` or `STOP`.

        Returns:
            The request that holds now for each worker: `STOP` if it was requested before. None for a worker that is
            not alive, or whose release takes no requests.

        Raises:
            CapabilityMissing: the driver keeps no requests.
            DriverError: the tables of the store are those of an earlier release.
        """
        from asynctasq.contracts.capabilities.worker_requests import SupportsWorkerRequests

        store = require(
            await self.driver(),
            Capability.WORKER_REQUESTS,
            SupportsWorkerRequests,
            purpose="Requesting something of workers",
        )
        answers = await store.request_workers(ids, request)
        await self._audit.done(
            f"workers.{request.name.lower()}",
            {"ids": list(ids)},
            {"followed": sum(answer is request for answer in answers)},
        )
        return answers

    async def _cancel(self, ids: Sequence[bytes]) -> Sequence[CancelOutcome]:
        return await cancel(await self._dispatcher.stores.default.connection(), ids)
