"""The stores of a sandbox: the memory driver, one for each app, whose time is the sandbox's."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Protocol, Self

from asynctasq.app import App
from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.drivers.memory.driver import MemoryDriver
from asynctasq.drivers.memory.outcomes import Outcomes
from asynctasq.drivers.memory.store import Store
from asynctasq.errors import DriverError
from asynctasq.message import Lease, Message, State
from asynctasq.testing.clock import Clock


class LastingOutcomes(Outcomes):
    """Kept for ever: a clock that jumps a day should not cost a test its results."""

    ttl_least = inf


class SandboxStore(Store):
    """A store by the sandbox's clock."""

    outcomes_class = LastingOutcomes
    clock: Clock

    def now(self) -> float:
        return self.clock.time()


class Watcher(Protocol):
    """Who is told of what happens in such a store: its sandbox."""

    async def accepted(
        self, store: "SandboxDriver", messages: Sequence[Message]
    ) -> Mapping[bytes, Exception]:
        """New messages were enqueued; returns by id what is to be raised to who dispatched them."""
        ...

    def cancel_requested(self, message_id: bytes) -> None:
        """A running message was cancelled."""
        ...

    def is_anyone_working(self) -> bool:
        """Whether tasks are being run, or have been a moment ago."""
        ...


class SandboxDriver(MemoryDriver):
    """A store of one app. It can do what the app's own driver can do, and no more."""

    store_class = SandboxStore
    waiting_hint = "In a sandbox nothing runs by itself: `await box.drain()` runs the tasks."
    """Said of a task that waits, when the wait for its result is over."""

    _store: SandboxStore

    def __init__(self, app: App, watcher: Watcher, clock: Clock) -> None:
        super().__init__(dead_letter_ttl=inf)
        self._store.clock = clock
        self.description = "a sandbox for tests"
        self.app = app
        self._watcher = watcher
        self._untold: dict[bytes, Exception | None] = {}

    def clone(self) -> Self:
        clone = super().clone()
        clone.app = self.app
        clone.capabilities = self.capabilities
        clone._watcher = self._watcher
        clone._untold = {}
        return clone

    def like(self, template: Driver) -> Self:
        """A clone that lacks what another driver lacks."""
        clone = self.clone()
        clone.capabilities = MemoryDriver.capabilities & template.capabilities
        return clone

    def time_moved(self) -> None:
        """Wake those who wait for work."""
        with self._store.lock:
            self._store.waiting_for_work.wake_all()

    def empty(self) -> None:
        """Delete all messages and outcomes."""
        with self._store.lock:
            self._store.empty()

    def queue_names(self) -> list[str]:
        """Of the queues that there have been: by name, the default one last, as a worker serves them."""
        default = self.app.settings.default_queue
        with self._store.lock:
            return sorted(self._store.queues, key=lambda name: (name == default, name))

    def next_due(self) -> float:
        """When the next scheduled message falls due; infinity if there is none."""
        with self._store.lock:
            return self._store.scheduled.next_time()

    def next_run_of(self, ids: Sequence[bytes]) -> float:
        """When the first of these messages that has been running before runs again."""
        with self._store.lock:
            entries = [self._store.entries.get(each) for each in ids]
            return min(
                (
                    entry.due_at
                    for entry in entries
                    if entry is not None and entry.state is State.SCHEDULED and entry.token
                ),
                default=inf,
            )

    def note_progress(self, lease: Lease, progress: bytes) -> None:
        """What a running task reports."""
        with self._store.lock:
            self._store.set_progress([(lease, progress)])

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        if len(messages) == 1 and messages[0].id in self._untold:
            failure = self._untold.pop(messages[0].id)
            if failure is not None:
                raise failure
            return [Enqueued(messages[0].id, created=True)]
        answers = await super().enqueue(messages)
        new = [each for each, answer in zip(messages, answers, strict=True) if answer.created]
        failures = await self._watcher.accepted(self, new)
        if failures:
            if len(messages) > 1:  # the app sends them again one by one, to learn which it was
                self._untold |= {message.id: failures.get(message.id) for message in new}
            raise next(iter(failures.values()))
        return answers

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        outcomes = await super().cancel(ids)
        for message_id, outcome in zip(ids, outcomes, strict=True):
            if outcome is CancelOutcome.REQUESTED:
                self._watcher.cancel_requested(message_id)
        return outcomes

    async def wait_results(self, ids: Sequence[bytes], *, timeout: float) -> None:
        if not self._store.workers and not self._watcher.is_anyone_working():
            raise DriverError(
                "A result is awaited in a sandbox, where nothing runs the task: await "
                "`sandbox.drain()` first, or let the sandbox be inline."
            )
        await super().wait_results(ids, timeout=timeout)
