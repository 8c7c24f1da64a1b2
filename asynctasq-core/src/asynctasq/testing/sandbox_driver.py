"""The stores of a sandbox: a memory driver for each app, with the clock of the sandbox."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Protocol, Self

from asynctasq.app import App
from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.driver import Driver, Enqueued
from asynctasq.drivers.memory.brokered import StateStore
from asynctasq.drivers.memory.driver import MemoryDriver
from asynctasq.drivers.memory.outcomes import Outcomes
from asynctasq.errors import DriverError
from asynctasq.message import Lease, Message, State
from asynctasq.testing.clock import Clock


class LastingOutcomes(Outcomes):
    """Outcomes that never expire, so that a test can move the clock and still read results."""

    ttl_least = inf


class SandboxStore(StateStore):
    """A store with the clock of the sandbox."""

    outcomes_class = LastingOutcomes
    clock: Clock

    def now(self) -> float:
        return self.clock.time()


class Watcher(Protocol):
    """Receives events of a store: the sandbox."""

    async def accepted(
        self, store: "SandboxDriver", messages: Sequence[Message]
    ) -> Mapping[bytes, Exception]:
        """Handle new messages; return exceptions to raise from `dispatch`, by message ID."""
        ...

    def cancel_requested(self, message_id: bytes) -> None:
        """Handle the cancellation of a running message."""
        ...

    def is_draining(self) -> bool:
        """Check whether tasks are running or were running a moment ago."""
        ...


class SandboxDriver(MemoryDriver):
    """A store for one app, with the capabilities of the app's own driver."""

    store_class = SandboxStore
    waiting_hint = "Tasks in a sandbox run only in `await sandbox.drain()`."
    """Hint in the error of a result that timed out."""

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
        """Return a clone with the capabilities of another driver."""
        clone = self.clone()
        clone.capabilities = MemoryDriver.capabilities & template.capabilities
        return clone

    def time_moved(self) -> None:
        """Wake workers that wait for messages."""
        with self._store.lock:
            self._store.waiting_for_work.wake_all()

    def empty(self) -> None:
        """Delete all messages and outcomes."""
        with self._store.lock:
            self._store.empty()

    def queue_names(self) -> list[str]:
        """List all queues by name, with the default queue last, as a worker does."""
        default = self.app.settings.default_queue
        with self._store.lock:
            return sorted(self._store.queues, key=lambda name: (name == default, name))

    def next_due(self) -> float:
        """Return the time of the next scheduled message, or infinity."""
        with self._store.lock:
            return self._store.scheduled.next_time()

    def next_run_of(self, ids: Sequence[bytes]) -> float:
        """Return the time of the next retry of these messages, or infinity."""
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
        """Store the progress of a running task."""
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
            if len(messages) > 1:  # the app enqueues them again one by one to find the failed one
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
        if not self._store.workers and not self._watcher.is_draining():
            raise DriverError(
                "Cannot wait for a result in a sandbox while no task runs. Call `await sandbox.drain()` "
                "first, or use Sandbox(inline=True)."
            )
        await super().wait_results(ids, timeout=timeout)
