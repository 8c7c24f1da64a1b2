"""The composed driver: a queue that holds messages, and a state store that holds everything else."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Self, cast

from asynctasq.contracts.capabilities import (
    FULL_STORE,
    CancelOutcome,
    Capability,
    News,
    SupportsNews,
)
from asynctasq.contracts.capabilities.deaths import SupportsDeaths
from asynctasq.contracts.capabilities.discard import SupportsDiscard
from asynctasq.contracts.capabilities.state import Mark, Note, NoteKind
from asynctasq.contracts.capabilities.worker_requests import Requests
from asynctasq.contracts.driver import (
    BYTES_AT_ONCE,
    DRIVER_API_VERSION,
    Driver,
    DriverDefaults,
    Enqueued,
    QueueCounts,
)
from asynctasq.driverkit.continued_calls import ContinuedCalls
from asynctasq.driverkit.numbers import check_lease
from asynctasq.drivers.composed.delegating import StateCalls
from asynctasq.drivers.composed.enqueueing import enqueue_in_both
from asynctasq.drivers.composed.leases import (
    HeldLeases,
    is_of_queue,
    lease_of_queue,
    lease_of_state,
    original,
)
from asynctasq.drivers.composed.long_leases import LongLeases
from asynctasq.drivers.composed.marks import settle_if_possible, sort_delivered
from asynctasq.drivers.composed.parts import DelaysByQueue, QueueDriver, StateDriver
from asynctasq.drivers.composed.placing import Limits, capabilities_of
from asynctasq.drivers.composed.schedule_calls import ScheduleCalls
from asynctasq.drivers.composed.settling import settle_of_queue
from asynctasq.errors import ConfigurationError, DriverError
from asynctasq.message import Delivery, Lease, Message, State
from asynctasq.settlement import LeaseState, Reason, Release, Settled, Settlement

FLAG_SECONDS = 14 * 86_400.0
"""Seconds for which a request to cancel is kept: the longest time for which SQS keeps a message."""
PROGRESS_SECONDS = 86_400.0
"""Seconds for which the progress of a message of the queue is kept after its last report."""
_WITHOUT_NEWS = {"lost_lease_is_news": "the queue does not report leases that ended"}
RESUMED_SECONDS = 0.5
"""Pause between two looks at whether a queue was resumed."""
CLOSE_SECONDS = 2.0
"""Longest time for which `close` waits for calls of waits that were cancelled."""


def compose(queue: Driver, state: Driver) -> "ComposedDriver":
    """Return an unopened driver of a queue and its state store, both unopened.

    Raises:
        ConfigurationError: the queue needs no state store, or one of the two cannot be composed.
    """
    if FULL_STORE in queue.capabilities:
        raise ConfigurationError(
            f"state must be left out for the driver {queue.description}, which needs none. Remove "
            f"`state`, or set `driver` to a queue such as sqs or rabbitmq."
        )
    if not isinstance(queue, SupportsDeaths):
        raise ConfigurationError(
            f"A driver beside `state` must have the method reserve_and_deaths, but "
            f"{type(queue).__qualname__} has none. Remove `state`, or use another driver."
        )
    if Capability.STATE not in state.capabilities or FULL_STORE not in state.capabilities:
        raise ConfigurationError(
            f"state must be a full store with the capability STATE, got {type(state).__qualname__}. "
            f"Use redis, postgres, mysql, sqlite or memory."
        )
    return ComposedDriver(cast("QueueDriver", queue), cast("StateDriver", state))


class ComposedDriver(StateCalls, ScheduleCalls, DriverDefaults):
    """A queue, made complete by a state store.

    A message lives in one of the two. Those that ask for what the queue lacks go to the state store, which
    handles them as always; see `placing`. All others go to the queue, and only their ends are recorded in the
    state store, before the queue removes them.
    """

    api_version = DRIVER_API_VERSION

    def __init__(
        self, queue: QueueDriver, state: StateDriver, held: HeldLeases | None = None
    ) -> None:
        """Compose two unopened drivers; see `compose`, which checks them."""
        self.queue = queue
        self.state = state
        self.capabilities = capabilities_of(queue.capabilities, state.capabilities)
        self.description = f"{queue.description} with state in {state.description}"
        self.max_message_bytes = state.max_message_bytes
        self.default_lease = queue.default_lease
        self.remedies = getattr(queue, "remedies", {})
        self.clock_is_movable = queue.clock_is_movable and state.clock_is_movable
        self.known_failures = {} if isinstance(queue, SupportsNews) else _WITHOUT_NEWS
        self._held = HeldLeases() if held is None else held
        self._calls = ContinuedCalls()
        self._long_leases = LongLeases(queue, state, self._held)
        self._limits = Limits(
            queue.longest_delay,
            queue.max_message_bytes,
            Capability.PRIORITY in queue.capabilities,
            queue.longest_delay_of if isinstance(queue, DelaysByQueue) else None,
        )

    @property
    def clock_offset(self) -> float:
        """Seconds added to the clocks of both stores."""
        return self.state.clock_offset

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self.queue.clock_offset = self.state.clock_offset = seconds

    def _now(self) -> float:
        return time.time() + self.clock_offset

    def _steady(self) -> float:
        return time.monotonic() + self.clock_offset

    def clone(self) -> Self:
        return type(self)(self.queue.clone(), self.state.clone(), self._held)

    async def open(self) -> None:
        await self.state.open()
        try:
            await self.queue.open()
        except BaseException:
            await self.state.close()
            raise
        self.max_message_bytes = self.state.max_message_bytes  # some stores ask their server for it

    async def store_version(self) -> str:
        """Return the versions of the queue and of the state store."""
        calls = [getattr(each, "store_version", None) for each in (self.queue, self.state)]
        found: list[str] = [await call() for call in calls if call is not None]
        return " and ".join(filter(None, found))

    async def close(self) -> None:
        await self._calls.finish(CLOSE_SECONDS)
        await self.queue.close()
        await self.state.close()

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        return await enqueue_in_both(
            self.queue, self.state, messages, limits=self._limits, now=self._now()
        )

    # Leases.

    async def reserve(
        self, queues: Mapping[str, int], *, limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        """Reserve from the state store first. The queue fills what is left."""
        check_lease(lease)
        own, paused = await asyncio.gather(
            self.state.reserve(queues, limit=limit, owner=owner, lease=lease), self.state.paused()
        )
        deliveries = [replace(each, lease=lease_of_state(each.lease)) for each in own]
        if sum(len(each.message.body) for each in own) >= BYTES_AT_ONCE:
            return deliveries
        taken = [each.message.queue for each in own]
        room = {
            name: most - taken.count(name) for name, most in queues.items() if name not in paused
        }
        if not room or len(own) >= limit:
            return deliveries
        try:
            return deliveries + await self._reserve_from_queue(room, limit - len(own), owner, lease)
        except DriverError:
            if deliveries:  # the next call finds out whether the queue is still away
                return deliveries
            raise

    async def _reserve_from_queue(
        self, room: Mapping[str, int], limit: int, owner: str, lease: float
    ) -> list[Delivery]:
        since = self._steady()
        delivered, deaths = await self.queue.reserve_and_deaths(
            room, limit=limit, owner=owner, lease=lease
        )
        kept = await sort_delivered(self.queue, self.state, delivered, deaths, self._held.news)
        self._held.add(kept, owner, since)
        return [replace(each, lease=lease_of_queue(each.lease)) for each in kept]

    async def wait(self, queues: Sequence[str], *, timeout: float) -> None:
        """Return when one of the two stores may have something to reserve."""
        paused = await self._calls.run(self.state.paused())
        waits = [asyncio.create_task(self.state.wait(queues, timeout=timeout))]
        served = [name for name in queues if name not in paused]
        if served:
            waits.append(asyncio.create_task(self.queue.wait(served, timeout=timeout)))
        if len(served) < len(queues):
            waits.append(asyncio.create_task(self._resumed(frozenset(queues) & paused)))
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        for each in done:
            each.result()

    async def _resumed(self, queues: frozenset[str]) -> None:
        """Return when one of these queues is no longer paused: the queue's driver knows no pauses."""
        while queues <= await self._calls.run(self.state.paused()):  # noqa: ASYNC110  the store does not push this
            await asyncio.sleep(RESUMED_SECONDS)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        answers: dict[int, Settled] = {}
        of_queue: dict[int, Settlement] = {}
        of_state: dict[int, Settlement] = {}
        for place, each in enumerate(settlements):
            chosen = of_queue if is_of_queue(each.lease) else of_state
            chosen[place] = replace(each, lease=original(each.lease))
        answers |= self._held.take_answers(settlements, of_state)
        of_state = {place: each for place, each in of_state.items() if place not in answers}
        if of_state:
            found = await self.state.settle(list(of_state.values()))
            answers |= dict(zip(of_state, found, strict=True))
        if of_queue:
            try:
                found = await self._settle_of_queue(list(of_queue.values()))
            except DriverError:
                self._held.keep_answers(settlements, answers)
                raise
            answers |= dict(zip(of_queue, found, strict=True))
        return [answers[place] for place in range(len(settlements))]

    async def _settle_of_queue(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return await settle_of_queue(
            self.queue,
            self.state,
            self._held,
            settlements,
            limits=self._limits,
            now=self._now(),
        )

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        """Extend leases in both stores. An error of one does not keep the other from it."""
        check_lease(lease)
        of_state = [original(each) for each in leases if not is_of_queue(each)]
        noted, of_queue = self._held.split(original(each) for each in leases if is_of_queue(each))
        found = await asyncio.gather(
            self.state.extend(owner, of_state, lease=lease),
            self._long_leases.renew(noted, lease),
            self._extend_in_queue(owner, of_queue, lease),
            return_exceptions=True,
        )
        states: list[list[LeaseState]] = []
        for each in found:
            if isinstance(each, BaseException):
                raise each
            states.append(each)
        in_state, by_note, in_queue = states
        state_answers = dict(zip(of_state, in_state, strict=True))
        queue_answers = dict(zip(of_queue, in_queue, strict=True))
        queue_answers |= {
            each.delivery.lease: one for each, one in zip(noted, by_note, strict=True)
        }
        self._held.drop(each for each, one in queue_answers.items() if one is LeaseState.LOST)
        return [
            (queue_answers if is_of_queue(each) else state_answers)[original(each)]
            for each in leases
        ]

    async def _extend_in_queue(
        self, owner: str, leases: Sequence[Lease], lease: float
    ) -> list[LeaseState]:
        states = await self.queue.extend(owner, leases, lease=lease)
        held = [
            each for each, one in zip(leases, states, strict=True) if one is not LeaseState.LOST
        ]
        lost = await self._long_leases.replace_old(held, lease, self._steady())
        return [
            LeaseState.LOST if each in lost else one
            for each, one in zip(leases, states, strict=True)
        ]

    async def count(self, queue: str, *, bound: int | None = None) -> QueueCounts:
        one, other = await asyncio.gather(
            self.queue.count(queue, bound=bound), self.state.count(queue, bound=bound)
        )
        return QueueCounts(
            _sum(one.ready, other.ready, bound),
            _sum(one.scheduled, other.scheduled, bound),
            _sum(one.blocked, other.blocked, bound),
            _sum(one.leased, other.leased, bound),
            _sum(one.dead, other.dead, bound),
        )

    def news(self) -> list[News]:
        """Return what the upkeep of both stores did. The queue may know nothing of leases that ended."""
        found: list[News] = []
        if isinstance(self.state, SupportsNews):
            found += self.state.news()
        if isinstance(self.queue, SupportsNews):
            # Other deaths are news when the state store has recorded them.
            found += [
                each
                for each in self.queue.news()
                if each.state is not State.DEAD or each.reason is Reason.UNDECODABLE
            ]
        while self._held.news:
            found.append(self._held.news.popleft())
        return found

    # Calls about messages that may be in the queue.

    async def set_progress(self, updates: Sequence[tuple[Lease, bytes]]) -> None:
        own = [(original(lease), word) for lease, word in updates if not is_of_queue(lease)]
        notes = [
            Note(lease.id, NoteKind.PROGRESS, word, PROGRESS_SECONDS)
            for lease, word in updates
            if is_of_queue(lease) and self._held.get(original(lease)) is not None
        ]
        if own:
            await self.state.set_progress(own)
        if notes:
            await self.state.note(notes)

    async def cancel(self, ids: Sequence[bytes]) -> list[CancelOutcome]:
        """Cancel messages of the state store, and flag all others: REQUESTED, even if they are unknown."""
        return await self.state.flag(ids, ttl=FLAG_SECONDS)

    async def cancel_requests(self, owner: str) -> list[Lease]:
        return await self._cancels(owner, await self.state.cancel_requests(owner))

    async def requests(self, owner: str) -> Requests:
        found = await self._requesting.requests(owner)
        return Requests(await self._cancels(owner, found.cancels), found.worker)

    async def _cancels(self, owner: str, of_state: Sequence[Lease]) -> list[Lease]:
        """Add the leases of the queue whose messages are flagged to those of the state store."""
        requests = [lease_of_state(each) for each in of_state]
        held = self._held.of_owner(owner)
        marks = await self.state.marks([each.id for each in held]) if held else []
        requests += [
            lease_of_queue(each)
            for each, mark in zip(held, marks, strict=True)
            if mark is Mark.FLAGGED
        ]
        return requests

    async def known(self, ids: Sequence[bytes]) -> list[bool]:
        """Return True for each id: a message may wait in the queue, which cannot be searched."""
        return [True] * len(ids)

    async def end_owner(self, owner: str) -> None:
        """End the leases of a worker whose process has died, as far as this process knows them."""
        await self.state.end_owner(owner)
        leases = self._held.of_owner(owner)
        noted, of_queue = self._held.split(leases)
        if noted:
            await self._settle_of_queue([Release(each.delivery.lease) for each in noted])
        found = [each.delivery for one in of_queue if (each := self._held.get(one)) is not None]
        kept = await sort_delivered(self.queue, self.state, found, [], self._held.news)
        await settle_if_possible(self.queue, [Release(each.lease) for each in kept])
        self._held.drop(leases)

    async def discard_queues(self, queues: Collection[str]) -> None:
        """Delete queues from the queue's driver, if it can."""
        if isinstance(self.queue, SupportsDiscard):
            await self.queue.discard_queues(queues)


def _sum(one: int | None, other: int | None, bound: int | None) -> int | None:
    if one is None or other is None:
        return None
    return one + other if bound is None else min(one + other, bound)
