"""The two drivers of the model test: made, asked the same, and seen to agree after every step."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar, cast

from hypothesis.stateful import RuleBasedStateMachine, invariant

from asynctasq.conformance.full_store import FullStore
from asynctasq.conformance.model.comparison import agree, all_pages, by_id
from asynctasq.conformance.model.strategies import IDS, OWNERS, QUEUES
from asynctasq.contracts.capabilities import (
    Capability,
    DeadLetter,
)
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.errors import ConfigurationError
from asynctasq.message import Lease, State
from asynctasq.records import record

T = TypeVar("T")

STALE_LEASES = 3
"""That are played with, beside the current ones."""
NEEDED = Capability.FENCED | Capability.COUNTED | Capability.FIFO | Capability.EXACT_COUNT


@record
class Leased:
    """A lease that both drivers gave for the same message."""

    expected: Lease
    """The memory driver's."""
    actual: Lease
    """That of the driver under test."""
    owner: str


class DriverPair(RuleBasedStateMachine):
    """A memory driver, and two instances of the driver under test that share a store."""

    capabilities: Capability
    """The capabilities that are tested: those of the driver, unless a subclass limits them."""

    def make_driver(self) -> Driver:
        """Return an unopened driver on an empty store."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        subject = cast("FullStore", self.make_driver())
        if not hasattr(self, "capabilities"):
            self.capabilities = subject.capabilities
        if NEEDED not in self.capabilities:
            raise ConfigurationError(
                f"The model test compares exactly, and so needs {NEEDED}; "
                f"{type(subject).__qualname__} lacks {NEEDED & ~self.capabilities}."
            )
        self._oracle = MemoryDriver()
        self._clones = [subject, subject.clone()]
        self._loop = asyncio.new_event_loop()
        try:
            for driver in (self._oracle, *self._clones):
                self._run(driver.open())
        except BaseException:  # hypothesis tears down only what was made
            self._loop.close()
            raise
        self._began_at = self._oracle._store.now()
        self._leases: list[Leased] = []
        """The newest first."""

    def teardown(self) -> None:
        """Close both drivers; the driver under test must leave no task behind."""
        for driver in (self._oracle, *self._clones):
            self._run(driver.close())
        left = asyncio.all_tasks(self._loop)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        assert not left, f"tasks left behind: {left}"

    def _has(self, capability: Capability) -> bool:
        return capability in self.capabilities

    def _run(self, call: Coroutine[object, object, T]) -> T:
        return self._loop.run_until_complete(call)

    def _both(
        self, call: Callable[[FullStore], Coroutine[object, object, T]], clone: int = 0
    ) -> tuple[T, T]:
        return self._run(call(self._oracle)), self._run(call(self._clones[clone]))

    def _compare(
        self,
        what: str,
        call: Callable[[FullStore], Coroutine[object, object, object]],
        clone: int = 0,
    ) -> None:
        agree(what, *self._both(call, clone))

    def _pool(self) -> list[Leased]:
        """Return the current leases, and the newest stale ones."""
        current: list[Leased] = []
        stale: list[Leased] = []
        for leased in self._leases:
            entry = self._oracle._store.entries.get(leased.expected.id)
            holds = entry is not None and entry.state is State.LEASED
            known = holds and entry is not None and entry.token == leased.expected.token
            (current if known else stale).append(leased)
        return current + stale[:STALE_LEASES]

    def _chosen(self, choices: list[int], *states: State) -> list[bytes]:
        """Ids of messages that are in such states where there are any; otherwise any ids."""
        found = self._run(self._oracle.find(IDS))
        there = [s.message.id for state in states for s in found if s and s.state is state]
        return [there[n % len(there)] if there and n < 10 else IDS[n % len(IDS)] for n in choices]

    @invariant()
    def everything_that_can_be_seen_agrees(self) -> None:
        agree("state", *self._both(self._picture))

    async def _picture(self, driver: FullStore) -> dict[str, object]:
        seen: dict[str, object] = {"count": [await driver.count(queue) for queue in QUEUES]}
        if self._has(Capability.INSPECT):
            seen["find"] = await driver.find(IDS)
            seen["queues"] = await driver.queues()
        if self._has(Capability.RESULTS):
            outcomes = await driver.results(IDS)
            seen["results"] = outcomes
            unended = [each for each, end in zip(IDS, outcomes, strict=True) if end is None]
            seen["known"] = await driver.known(unended)
        if self._has(Capability.PROGRESS):
            seen["progress"] = await driver.progress(IDS)
        if self._has(Capability.DEAD_LETTERS):
            seen["dead_letters"] = await dead_letters(driver)
        if self._has(Capability.CANCEL):
            requests = [await driver.cancel_requests(owner) for owner in OWNERS]
            seen["cancel_requests"] = [sorted(lease.id for lease in found) for found in requests]
        if self._has(Capability.PAUSE):
            seen["paused"] = sorted(await driver.paused())
        if self._has(Capability.WORKERS):
            seen["workers"] = await driver.workers()
        return seen


async def dead_letters(driver: FullStore) -> dict[bytes, DeadLetter]:
    """All of them, read in pages."""
    found = await all_pages(lambda cursor: driver.dead_letters(limit=5, cursor=cursor))
    times = [letter.died_at for letter in found]
    assert times == sorted(times, reverse=True), "dead letters are not newest first"
    return by_id(found)
