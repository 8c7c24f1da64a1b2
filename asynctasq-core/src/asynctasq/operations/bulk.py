"""Changes of all tasks that match a filter: a page at a time, at a bounded rate, until all that were there are done."""

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from time import monotonic

from asynctasq.contracts.capabilities import Capability, Snapshot, SupportsInspect
from asynctasq.contracts.capabilities.move import Changes, SupportsMove
from asynctasq.contracts.driver import Driver
from asynctasq.message import CancelOutcome, State
from asynctasq.operations.batches import batch_size
from asynctasq.operations.filters import TaskFilter, driver_pattern, seconds, task_check
from asynctasq.operations.paging import LEAST_READ
from asynctasq.records import record
from asynctasq.uncancelled import uncancelled

WAITING = (State.READY, State.SCHEDULED)
"""The states of tasks that can be moved, reordered and put off."""
CANCELLABLE = (State.BLOCKED, *WAITING, State.RUNNING)


@record
class BulkCounts:
    """Numbers of tasks that a call for many tasks has dealt with so far."""

    done: int = 0
    interrupted: int = 0
    """Cancelled while they ran: their workers interrupt them."""
    skipped: int = 0
    """Began or ended before it was their turn."""
    failed: int = 0
    """Still wait as they were, because their records in the store are damaged."""

    @property
    def total(self) -> int:
        """The number of tasks whose turn it was."""
        return self.done + self.interrupted + self.skipped + self.failed


Act = Callable[[Sequence[bytes]], Awaitable[tuple[BulkCounts, Sequence[bytes]]]]
"""Acts on some tasks; returns what was done, and the IDs of those that failed."""
Progress = Callable[[BulkCounts], object]


def check_filter(wanted: TaskFilter, *, everything: bool) -> TaskFilter:
    """Return a filter. One without a condition is often a mistake, so `everything` must say that it is meant.

    Raises:
        ValueError: there is no condition, or there are some and `everything` is set.
    """
    given = any(value is not None for value in wanted.values())
    if given is everything:
        raise ValueError(
            "everything=True cannot be combined with conditions. Leave one out."
            if given
            else "Pass a condition such as queue or task, or everything=True for all tasks."
        )
    return wanted


def check_states(states: Collection[State], allowed: Collection[State]) -> list[State]:
    """Return states in the order in which they are walked.

    Raises:
        ValueError: one of them is not allowed, or there is none.
    """
    refused = [state for state in states if state not in list(allowed)]
    if refused or not states:
        raise ValueError(
            f"states must be of {', '.join(allowed)}, got {', '.join(refused) or '()'}."
        )
    return [state for state in allowed if state in list(states)]


async def bulk(
    driver: Driver,
    store: SupportsInspect,
    act: Act,
    *,
    states: Sequence[State],
    wanted: TaskFilter,
    is_wanted: Callable[[Snapshot], bool] | None,
    per_second: float | None,
    on_progress: Progress | None,
) -> BulkCounts:
    """Call `act` for the tasks that match, and return what was done.

    Tasks that were enqueued after the beginning are left alone. A cancellation takes effect after the current batch was
    done and reported. An error gets a note that says how many tasks were done before.

    Raises:
        ValueError: the rate is not greater than 0.
    """
    if per_second is not None and not per_second > 0:
        raise ValueError(f"per_second must be greater than 0, got {per_second}.")
    size = batch_size(per_second)
    counts = BulkCounts()
    started = monotonic()
    wanted = await up_to_now(driver, wanted)
    failed: set[bytes] = set()
    async with aclosing(_batches(store, _walk(states), wanted, is_wanted, failed, size)) as batches:
        async for ids in batches:
            try:
                (answer, damaged), cancelled = await uncancelled(act(ids))
            except Exception as error:
                done = counts.done + counts.interrupted
                error.add_note(f"{done} tasks were done before this error.")
                raise
            failed.update(damaged)
            counts = _sum(counts, answer)
            if on_progress is not None:
                on_progress(counts)
            if cancelled:
                raise asyncio.CancelledError
            await asyncio.sleep(0)  # a store in this process never waits
            if per_second is not None:
                await asyncio.sleep(started + counts.total / per_second - monotonic())
    return counts


async def count_matching(
    driver: Driver, store: SupportsInspect, states: Sequence[State], wanted: TaskFilter
) -> int:
    """Count the tasks that match, by the counts of the store where they suffice."""
    others = [value for name, value in wanted.items() if name != "queue" and value is not None]
    if not others and Capability.EXACT_COUNT in driver.capabilities:
        queue = wanted.get("queue")
        if queue is None:
            infos = await store.queues()
            return sum(getattr(info, state.value) for info in infos for state in states)
        counts = await driver.count(queue)
        return sum(getattr(counts, state.value) or 0 for state in states)
    total = 0
    for state in states:
        async for page in _pages(store, state, wanted, LEAST_READ):
            total += len(page)
    return total


def cancelling(cancel: Callable[[Sequence[bytes]], Awaitable[Sequence[CancelOutcome]]]) -> Act:
    """Return the act that cancels tasks."""

    async def act(ids: Sequence[bytes]) -> tuple[BulkCounts, Sequence[bytes]]:
        outcomes = list(await cancel(ids))
        done = outcomes.count(CancelOutcome.CANCELLED)
        interrupted = outcomes.count(CancelOutcome.REQUESTED)
        return BulkCounts(done, interrupted, len(ids) - done - interrupted), ()

    return act


def editing(mover: SupportsMove, store: SupportsInspect, changes: Changes) -> Act:
    """Return the act that changes tasks. It finds out why some were refused."""

    async def act(ids: Sequence[bytes]) -> tuple[BulkCounts, Sequence[bytes]]:
        answers = await mover.edit(ids, changes)
        refused = [one for one, done in zip(ids, answers, strict=True) if not done]
        found = await store.find(refused) if refused else []
        failed = [
            message_id
            for message_id, snapshot in zip(refused, found, strict=True)
            if snapshot is not None and snapshot.state in list(WAITING)
        ]
        skipped = len(refused) - len(failed)
        return BulkCounts(len(ids) - len(refused), 0, skipped, len(failed)), failed

    return act


def differs(changes: Changes) -> Callable[[Snapshot], bool]:
    """Return a check whether changes of queue or priority change anything, so that no task is counted twice."""

    def check(found: Snapshot) -> bool:
        message = found.message
        return changes.queue not in (None, message.queue) or changes.priority not in (
            None,
            message.priority,
        )

    return check


async def up_to_now(driver: Driver, wanted: TaskFilter) -> TaskFilter:
    """Return a filter that leaves out what is enqueued from now on, by the store's clock."""
    now = time.time()
    if Capability.SCHEDULES in driver.capabilities:
        from asynctasq.contracts.capabilities.schedules import SupportsSchedules

        if isinstance(driver, SupportsSchedules):
            now = (await driver.claim_schedules(limit=0, hold=1.0)).now
    until = seconds(wanted.get("until"))
    bounded: TaskFilter = {**wanted, "until": now if until is None else min(until, now)}
    return bounded


def _walk(states: Sequence[State]) -> list[State]:
    """Return the states to walk in turn. Ready tasks come once more at last: scheduled ones may be due meanwhile."""
    walked = list(states)
    if State.READY in walked and (State.SCHEDULED in walked or State.BLOCKED in walked):
        walked.append(State.READY)
    if State.RUNNING in walked:  # what began meanwhile
        walked.remove(State.RUNNING)
        walked.append(State.RUNNING)
    return walked


async def _batches(
    store: SupportsInspect,
    states: Sequence[State],
    wanted: TaskFilter,
    is_wanted: Callable[[Snapshot], bool] | None,
    failed: Collection[bytes],
    size: int,
) -> AsyncGenerator[list[bytes], None]:
    """Yield IDs of tasks that match, but not of those that have failed."""
    filtered = task_check(wanted.get("task")) is not None
    for state in states:
        async for page in _pages(store, state, wanted, LEAST_READ if filtered else size):
            ids = [
                found.message.id
                for found in page
                if not found.cancelling
                and (is_wanted is None or is_wanted(found))
                and found.message.id not in failed
            ]
            for start in range(0, len(ids), size):
                yield ids[start : start + size]


async def _pages(
    store: SupportsInspect, state: State, wanted: TaskFilter, size: int
) -> AsyncIterator[list[Snapshot]]:
    check = task_check(wanted.get("task"))
    cursor: str | None = None
    while True:
        page = await store.browse(
            state,
            queue=wanted.get("queue"),
            task=driver_pattern(wanted.get("task")),
            since=seconds(wanted.get("since")),
            until=seconds(wanted.get("until")),
            limit=size,
            cursor=cursor,
        )
        yield [found for found in page.items if check is None or check(found)]
        cursor = page.cursor
        if cursor is None:
            return


def _sum(one: BulkCounts, other: BulkCounts) -> BulkCounts:
    return replace(
        one,
        done=one.done + other.done,
        interrupted=one.interrupted + other.interrupted,
        skipped=one.skipped + other.skipped,
        failed=one.failed + other.failed,
    )
