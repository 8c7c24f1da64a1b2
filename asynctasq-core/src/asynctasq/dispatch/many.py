"""Dispatching many tasks in chunks, to one or several stores."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from asynctasq.dispatch.bulk import Bulk
from asynctasq.dispatch.messages import MessageFactory, check_supported
from asynctasq.dispatch.observing import announce, announce_done
from asynctasq.dispatch.stores import Store, Stores
from asynctasq.dispatch.unknown_outcome import with_ids
from asynctasq.errors import DriverError
from asynctasq.message import Message
from asynctasq.plugins.observers import Observers
from asynctasq.results import Handle
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.unconfirmed import Batch, keep_id

T = TypeVar("T")


class ManyDispatch(Generic[T]):
    """One call of `dispatch_many`."""

    def __init__(
        self,
        stores: Stores,
        messages: MessageFactory,
        observers: Observers,
        *,
        on_progress: Callable[[int], object] | None,
    ) -> None:
        """Prepare the call.

        Args:
            stores: accept the messages.
            messages: makes the messages.
            observers: called before and after each dispatch.
            on_progress: called after each chunk with the number of tasks that the stores have accepted.
        """
        self._stores = stores
        self._messages = messages
        self._observers = observers
        self._on_progress = on_progress
        self._bulks: dict[Store, Bulk[T]] = {}
        self._order: list[Bulk[T]] = []
        self._batch = Batch()
        self._accepted = 0
        self._stopped_at: tuple[BaseTask[T], Message] | None = None
        """The task that raised before it was in a chunk."""
        self._unknown: list[bytes] = []
        """Ids of messages that the stores have not confirmed, after an error."""
        self._announced: list[Message] = []
        """The messages that the stores have accepted, if `after_dispatch` has observers."""

    async def run(self, tasks: Iterable[BaseTask[T]]) -> list[Handle[T]]:
        """Dispatch the tasks; returns their handles in order. Raises as `App.dispatch_many` does."""
        try:
            await self._add(tasks)
            for bulk in self._bulks.values():
                await bulk.finish()
            for message in self._announced:
                await announce_done(self._observers, message)
        except DriverError as error:
            await self._give_up()
            drivers = [bulk.driver for bulk in self._bulks.values()]
            with_unknown = with_ids(error, self._unknown, drivers)
            with_unknown.add_note(self._progress())
            raise with_unknown from error.__cause__
        except BaseException as error:
            await self._give_up()
            error.add_note(self._progress())
            raise
        if len(self._bulks) == 1:
            return self._order[0].handles
        handles = {bulk: iter(bulk.handles) for bulk in self._bulks.values()}
        return [next(handles[bulk]) for bulk in self._order]

    async def _add(self, tasks: Iterable[BaseTask[T]]) -> None:
        store_for, make, bulks, order = (
            self._stores.store_for, self._messages.make, self._bulks, self._order,
        )  # fmt: skip
        is_observed = bool(self._observers.before_dispatch)
        # One loop: a coroutine for each task would cost more than the rest of the work.
        for task in tasks:
            store = store_for(task)
            message = make(task)
            try:
                bulk = bulks.get(store) or await self._bulk(store)
                check_supported(bulk.driver, message)
                if is_observed:
                    message = await announce(self._observers, message)
                    self._messages.check_size(message)
                if not bulk.add(task, message):
                    await bulk.ship()
                    bulk.add(task, message)
            except BaseException:
                self._stopped_at = task, message
                raise
            order.append(bulk)

    async def _bulk(self, store: Store) -> Bulk[T]:
        made: Bulk[T] = Bulk(
            store,
            await store.connection(),
            batch=self._batch,
            sent=self._sent,
            observers=self._observers,
            messages=self._messages,
        )
        self._bulks[store] = made
        return made

    def _sent(self, chunk: Sequence[Message]) -> None:
        self._accepted += len(chunk)
        if self._observers.after_dispatch:
            self._announced.extend(chunk)
        if self._on_progress is not None:
            self._on_progress(self._accepted)

    async def _give_up(self) -> None:
        """Wait for the chunks that are being sent, and let all tasks keep their ids."""
        bulks = self._bulks.values()
        await asyncio.gather(*(bulk.settle() for bulk in bulks), return_exceptions=True)
        self._batch.has_failed = True
        for bulk in bulks:
            for task, message in bulk.unconfirmed():
                self._keep(task, message)
        if self._stopped_at is not None:
            self._keep(*self._stopped_at)

    def _keep(self, task: BaseTask[T], message: Message) -> None:
        keep_id(task, message.id)
        self._unknown.append(message.id)

    def _progress(self) -> str:
        return f"{self._accepted} tasks had been dispatched before this error."
