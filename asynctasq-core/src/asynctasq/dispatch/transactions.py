"""Dispatches in a transaction of the application: the messages appear at its commit."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar, cast

from asynctasq.app_runtime import Runtime
from asynctasq.contracts.capabilities.transactions import Plan, SupportsTransactions
from asynctasq.contracts.driver import Enqueued
from asynctasq.dispatch.commit_notices import CommitNotices
from asynctasq.dispatch.enqueue_batcher import CHUNK_BYTES, CHUNK_MESSAGES, message_bytes
from asynctasq.dispatch.messages import MessageFactory, check_supported
from asynctasq.dispatch.observing import announce
from asynctasq.dispatch.portal import BlockingPortal
from asynctasq.dispatch.stores import Store, Stores
from asynctasq.dispatch.transaction_lookups import transactional
from asynctasq.dispatch.wrapping import wrapped
from asynctasq.message import Message
from asynctasq.records import record
from asynctasq.results import Handle
from asynctasq.tasks.base import BaseTask
from asynctasq.tasks.unconfirmed import keep_id
from asynctasq.transaction_adapters import Enlisted
from asynctasq.transaction_scope import scope_here

T = TypeVar("T")


@record
class EnqueueTarget:
    """The table that takes the messages of a transaction: a queue's own, or an outbox."""

    plan: Callable[[Sequence[Message]], Plan[list[Enqueued]]]
    """Plans the enqueue of messages."""
    wake: Callable[[Sequence[str]], Awaitable[None]]
    """Wakes those who wait for the messages of these queues; called after the commit."""
    is_store: bool = True
    """True if the store knows the messages from the commit on, and false if a relay sends them to it later."""
    prepare: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Awaited before the first plan in this process; None if nothing has to be done."""


def enqueue_target(store: Store, dialect: str) -> EnqueueTarget:
    """Return the table that takes messages of a store in a transaction of that dialect.

    Raises:
        CapabilityMissing: the driver cannot take part in transactions.
        TransactionError: its database is of another kind.
    """
    outbox = store.outbox
    if outbox is not None and outbox.is_needed_for(store.driver, dialect):
        outbox.check_dialect(dialect)
        plan = partial(outbox.plan, store.target)
        prepare = None if outbox.can_plan else outbox.prepare
        return EnqueueTarget(plan, outbox.committed, is_store=False, prepare=prepare)
    driver = transactional(
        store.driver,
        dialect,
        call="dispatch(transaction=...)",
        otherwise="dispatch after the commit",
    )
    return EnqueueTarget(driver.plan_enqueue, store.committed)


class TransactionDispatcher:
    """Dispatches tasks in transactions. It retries nothing and catches nothing."""

    def __init__(
        self,
        runtime: Runtime,
        stores: Stores,
        messages: MessageFactory,
        portal: BlockingPortal,
    ) -> None:
        """Connect the parts of a dispatch.

        Args:
            runtime: has the adapters and the observers.
            stores: plan the enqueue of messages.
            messages: makes the messages.
            portal: calls observers for code without an event loop.
        """
        self._runtime = runtime
        self._stores = stores
        self._messages = messages
        self._portal = portal
        self.notices = CommitNotices(runtime, portal)

    async def dispatch(self, task: BaseTask[T], enlisted: Enlisted) -> Handle[T]:
        """Enqueue a task at the commit. Raises as `BaseTask.dispatch` does."""
        store, message = self._prepared(task)
        try:
            message = await self._announced(message)
            [handle] = await self._send(store, [(task, message)], enlisted)
        except BaseException:
            keep_id(task, message.id)
            raise
        return handle

    def dispatch_sync(self, task: BaseTask[T], enlisted: Enlisted) -> Handle[T]:
        """Enqueue a task at the commit, in this thread. Raises as `BaseTask.dispatch_sync` does."""
        store, message = self._prepared(task)
        try:
            if self._runtime.observers.before_dispatch:
                message = self._portal.call(
                    partial(self._announced, message), instead="`await task.dispatch(...)`"
                )
            target = enqueue_target(store, enlisted.dialect)
            if target.prepare is not None:
                self._portal.call(target.prepare, instead="`await task.dispatch(...)`")
            plan = target.plan
            if target.is_store and store.plans_when_open:
                plan = cast("SupportsTransactions", store.planner_sync()).plan_enqueue
            with self._wrapped(store, [message]) as [message]:
                committed = self.notices.to_send(
                    target.wake, [message], store.publish_enqueued if target.is_store else None
                )
                answers = enlisted.run(plan([message]), committed)
        except BaseException:
            keep_id(task, message.id)
            raise
        if not enlisted.sees_commit:
            self.notices.observe([message])
        return _handle(store, task, message, answers[0], enlisted, target)

    async def dispatch_many(
        self,
        tasks: Iterable[BaseTask[T]],
        enlisted: Enlisted,
        *,
        on_progress: Callable[[int], object] | None,
    ) -> list[Handle[T]]:
        """Enqueue tasks at the commit, in chunks. Raises as `App.dispatch_many` does."""
        seen: list[tuple[BaseTask[T], Message]] = []
        handles: dict[int, Handle[T]] = {}
        chunks: dict[Store, _Chunk[T]] = {}

        async def ship(store: Store, chunk: "_Chunk[T]") -> None:
            made = await self._send(store, [seen[place] for place in chunk.places], enlisted)
            handles.update(zip(chunk.places, made, strict=True))
            if on_progress is not None:
                on_progress(len(handles))

        try:
            for place, task in enumerate(tasks):
                store, message = self._prepared(task)
                seen.append((task, message))
                message = await self._announced(message)
                seen[place] = task, message
                chunk = chunks.setdefault(store, _Chunk())
                if not chunk.add(place, message):
                    await ship(store, chunk)
                    chunks[store] = chunk = _Chunk()
                    chunk.add(place, message)
            for store, chunk in chunks.items():
                await ship(store, chunk)
        except BaseException:
            for task, message in seen:
                keep_id(task, message.id)
            raise
        return [handles[place] for place in range(len(seen))]

    def _prepared(self, task: BaseTask[T]) -> tuple[Store, Message]:
        store = self._stores.store_for(task)
        message = self._messages.make(task)
        try:
            check_supported(store.driver, message)
        except BaseException:
            keep_id(task, message.id)
            raise
        return store, message

    async def _announced(self, message: Message) -> Message:
        observers = self._runtime.observers
        if observers.before_dispatch:
            message = await announce(observers, message)
            self._messages.check_size(message)
        return message

    async def _send(
        self, store: Store, items: Sequence[tuple[BaseTask[T], Message]], enlisted: Enlisted
    ) -> list[Handle[T]]:
        """Run the plan of a chunk in the transaction, and return the handles of its tasks."""
        messages: Sequence[Message] = [message for _, message in items]
        target = enqueue_target(store, enlisted.dialect)
        if target.prepare is not None:
            await target.prepare()
        plan = target.plan
        if target.is_store and store.plans_when_open:
            plan = cast("SupportsTransactions", await store.planner()).plan_enqueue
        with self._wrapped(store, messages) as messages:
            committed = self.notices.to_send(
                target.wake, messages, store.publish_enqueued if target.is_store else None
            )
            answers = await enlisted.run_async(plan(messages), committed)
        if not enlisted.sees_commit:
            self.notices.observe(messages)
        return [
            _handle(store, task, message, answer, enlisted, target)
            for (task, _), message, answer in zip(items, messages, answers, strict=True)
        ]

    def _wrapped(
        self, store: Store, messages: Sequence[Message]
    ) -> AbstractContextManager[Sequence[Message]]:
        observers = self._runtime.observers
        if not observers.wrap_dispatch:
            return nullcontext(messages)
        check = partial(self._messages.check, store.driver)
        return wrapped(observers, messages, check, in_transaction=True)


class _Chunk(Generic[T]):
    """Places of tasks whose messages one plan enqueues."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self._bytes = 0

    def add(self, place: int, message: Message) -> bool:
        """Add a task by its place in the call; return False if the chunk is full."""
        size = message_bytes(message)
        if self.places and (len(self.places) >= CHUNK_MESSAGES or self._bytes + size > CHUNK_BYTES):
            return False
        self.places.append(place)
        self._bytes += size
        return True


def _handle(
    store: Store,
    task: BaseTask[T],
    message: Message,
    enqueued: Enqueued,
    enlisted: Enlisted,
    target: EnqueueTarget,
) -> Handle[T]:
    """Return the handle of a task, and note it in the enclosing block, in which it has no result."""
    # A message in an outbox is not in the store yet, which says nothing about its transaction.
    handle = store.handle_of(task, message, enqueued, committed=not target.is_store)
    scope = scope_here()
    if scope is not None and scope.transaction is enlisted.given:
        scope.dispatched.add(str(handle))
    return handle
