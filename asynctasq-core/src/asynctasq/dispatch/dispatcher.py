"""The dispatcher of an app: enqueues tasks and returns their handles."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from asynctasq.app_runtime import Runtime
from asynctasq.dispatch.driver_override import are_drivers_overridden
from asynctasq.dispatch.many import ManyDispatch
from asynctasq.dispatch.messages import MessageFactory, check_supported
from asynctasq.dispatch.observing import announce, announce_done
from asynctasq.dispatch.portal import BlockingPortal
from asynctasq.dispatch.stores import Stores
from asynctasq.dispatch.transactions import TransactionDispatcher
from asynctasq.dispatch.unknown_outcome import with_ids
from asynctasq.dispatch.wrapping import wrapped
from asynctasq.errors import DriverError
from asynctasq.interpreter import tuned_interpreter
from asynctasq.message import id_from_text, id_to_text
from asynctasq.results import Handle
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.decorator import FunctionTask
from asynctasq.tasks.unconfirmed import keep_id
from asynctasq.transaction_adapters import Enlisted, no_statements
from asynctasq.transaction_scope import outside_of_blocks, scope_here, transaction_for

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")
AnyDefinition: TypeAlias = FunctionTask[..., T] | type[BaseTask[T]]
"""A task function or a task class."""


class Dispatcher:
    """Dispatches tasks to the stores of one app."""

    def __init__(
        self, runtime: Runtime, stores: Stores, messages: MessageFactory, portal: BlockingPortal
    ) -> None:
        """Connect the parts of a dispatch.

        Args:
            runtime: has the observers.
            stores: accept the messages.
            messages: makes the messages.
            portal: runs dispatches for code without an event loop.
        """
        self.stores = stores
        self.messages = messages
        self.transactions = TransactionDispatcher(runtime, stores, messages, portal)
        self._runtime = runtime
        self._portal = portal

    async def dispatch(self, task: BaseTask[T], *, transaction: object = None) -> Handle[T]:
        """Enqueue a task. Raises as `BaseTask.dispatch` does."""
        if transaction is not None or scope_here() is not None:
            enlisted = self._enlisted(transaction)
            if not are_drivers_overridden():
                return await self.transactions.dispatch(task, enlisted)
            await enlisted.run_async(no_statements())
        store = self.stores.store_for(task)
        message = self.messages.make(task)
        try:
            connection = store.opened() or await store.connection()
            check_supported(connection.driver, message)
            observers = self._runtime.bound_observers or self._runtime.observers
            if observers.before_dispatch:
                message = await announce(observers, message)
                self.messages.check_size(message)
            if observers.wrap_dispatch:
                check = partial(self.messages.check, connection.driver)
                with wrapped(observers, [message], check) as [message]:
                    enqueued = await connection.batcher.send(message)
            else:
                enqueued = await connection.batcher.send(message)
            if observers.after_dispatch:
                await announce_done(observers, message)
        except DriverError as error:
            keep_id(task, message.id)
            raise with_ids(error, [message.id], [store.driver]) from error.__cause__
        except BaseException:  # for example a cancellation after the message was sent
            keep_id(task, message.id)
            raise
        return store.handle_of(task, message, enqueued)

    def dispatch_sync(self, task: BaseTask[T], *, transaction: object = None) -> Handle[T]:
        """Enqueue a task from code without an event loop. Raises as `BaseTask.dispatch_sync` does."""
        if transaction is not None or scope_here() is not None:
            enlisted = self._enlisted(transaction)
            if not are_drivers_overridden():
                return self.transactions.dispatch_sync(task, enlisted)
            enlisted.run(no_statements())
        return self._portal.call(
            lambda: outside_of_blocks(self.dispatch(task)),
            instead="`await task.dispatch()`",
            undelivered=lambda handle: keep_id(task, id_from_text(handle)),
        )

    async def dispatch_many(
        self,
        tasks: Iterable[BaseTask[T]],
        *,
        on_progress: Callable[[int], object] | None = None,
        transaction: object = None,
    ) -> list[Handle[T]]:
        """Enqueue tasks in chunks. Raises as `App.dispatch_many` does."""
        if transaction is not None or scope_here() is not None:
            enlisted = self._enlisted(transaction)
            if not are_drivers_overridden():
                return await self.transactions.dispatch_many(
                    tasks, enlisted, on_progress=on_progress
                )
            await enlisted.run_async(no_statements())
        with tuned_interpreter():
            many: ManyDispatch[T] = ManyDispatch(
                self.stores, self.messages, self._runtime.observers, on_progress=on_progress
            )
            return await many.run(tasks)

    async def schedule(
        self, task: BaseTask[Any], name: str, options: Mapping[str, object]
    ) -> "datetime":
        """Store the schedule of a task. Raises as `BaseTask.schedule` does."""
        from asynctasq.dispatch.scheduling import put_schedule

        return await put_schedule(self.stores, self.messages, task, name, options)

    def _enlisted(self, given: object) -> Enlisted:
        """Return the transaction of a call, which is the given one or that of the enclosing block."""
        return self._runtime.transactions.enlist(transaction_for(given))

    @overload
    def handle(self, task_id: str) -> Handle[Any]: ...
    @overload
    def handle(self, task_id: str, task: AnyDefinition[T] | None) -> Handle[T]: ...
    def handle(self, task_id: str, task: AnyDefinition[Any] | None = None) -> Handle[Any]:
        """Return the handle of a task that was dispatched earlier. Raises as `App.handle` does."""
        source = self.stores.store_of(task).source
        return Handle.of(id_to_text(id_from_text(task_id)), source)
