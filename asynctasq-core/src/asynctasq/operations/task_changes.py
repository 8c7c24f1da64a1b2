"""The calls of `App.tasks` that count and change many tasks."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Unpack

from asynctasq.contracts.capabilities import Capability, SupportsCancel, SupportsInspect, require
from asynctasq.contracts.capabilities.move import Changes, SupportsMove
from asynctasq.contracts.driver import Driver
from asynctasq.message import PRIORITY_HIGHEST, PRIORITY_LOWEST, CancelOutcome, State
from asynctasq.operations.audit import Audit
from asynctasq.operations.bulk import (
    CANCELLABLE,
    WAITING,
    BulkCounts,
    Progress,
    bulk,
    cancelling,
    check_filter,
    check_states,
    count_matching,
    differs,
    editing,
)
from asynctasq.operations.filters import TaskFilter, seconds
from asynctasq.operations.transfer import ImportCounts, exported, imported
from asynctasq.tasks.option_values import check_queue_name

_COUNTED = (*CANCELLABLE, State.DEAD)


class TaskChanges:
    """Calls of `Tasks` that count and change many tasks."""

    _driver: Callable[[], Awaitable[Driver]]
    _audit: Audit
    _cancel: Callable[[Sequence[bytes]], Awaitable[Sequence[CancelOutcome]]]

    async def count(self, states: Collection[State] = WAITING, **wanted: Unpack[TaskFilter]) -> int:
        """Count the tasks that `page` lists.

        A filter by anything but the queue makes the call read all tasks of these states, a page at a time.

        Raises:
            ValueError: a state is not valid.
        """
        driver = await self._driver()
        store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Counting tasks")
        return await count_matching(driver, store, check_states(states, _COUNTED), wanted)

    async def edit(
        self,
        task_ids: Iterable[str],
        *,
        queue: str | None = None,
        priority: int | None = None,
        due_at: datetime | float | None = None,
        expires: float | None = None,
    ) -> list[bool]:
        """Change tasks that wait; return which of them were changed, in order. None changes nothing.

        A task that runs, has ended or is not known stays as it is, and its answer is False.

        Args:
            task_ids: the ids of tasks.
            queue: the new queue.
            priority: the new priority, 0 to 9; 9 runs first.
            due_at: the new time: an aware datetime, or seconds since the Unix epoch. One that has passed means now.
            expires: seconds after its time within which the task must start.

        Raises:
            ValueError: an id is not a UUID, or a value is not valid.
        """
        changes = _changes(queue, priority, seconds(due_at), expires)
        mover = await self._mover(await self._driver())
        return await self._audit.in_batches(
            "tasks.edit",
            task_ids,
            lambda batch: mover.edit(batch, changes),
            lambda changed: "changed" if changed else "unchanged",
        )

    async def cancel_all(
        self,
        states: Collection[State] = WAITING,
        *,
        everything: bool = False,
        per_second: float | None = None,
        on_progress: Progress | None = None,
        **wanted: Unpack[TaskFilter],
    ) -> BulkCounts:
        """Cancel all tasks that match, a batch at a time, and return what was done.

        A task that begins before its turn is interrupted. Tasks that are enqueued after the beginning of the call are
        left alone. A cancellation or an error ends the call between two batches, and the call can be repeated.

        Args:
            states: of BLOCKED, READY, SCHEDULED and RUNNING.
            everything: True to cancel all tasks, without conditions.
            per_second: most tasks to cancel in a second; None for no limit.
            on_progress: called after each batch with what was done so far.
            **wanted: see `TaskFilter`.

        Raises:
            ValueError: a state or the rate is not valid, or there is no condition.
        """
        driver = await self._driver()
        require(driver, Capability.CANCEL, SupportsCancel, purpose="Cancelling tasks")
        store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Selecting tasks")
        work = partial(
            bulk,
            driver,
            store,
            cancelling(self._cancel),
            states=check_states(states, CANCELLABLE),
            wanted=check_filter(wanted, everything=everything),
            is_wanted=None,
            per_second=per_second,
        )
        return await self._reported("tasks.cancel_all", states, wanted, work, on_progress)

    async def move_all(
        self,
        to: str,
        states: Collection[State] = WAITING,
        *,
        everything: bool = False,
        per_second: float | None = None,
        on_progress: Progress | None = None,
        **wanted: Unpack[TaskFilter],
    ) -> BulkCounts:
        """Move all waiting tasks that match to the queue `to`, as `cancel_all` cancels them.

        A task that begins before its turn stays in its queue.

        Args:
            to: the name of a queue.
            states: READY, SCHEDULED, or both.
            everything: True to move all tasks, without conditions.
            per_second: most tasks to move in a second; None for no limit.
            on_progress: called after each batch with what was done so far.
            **wanted: see `TaskFilter`.

        Raises:
            ValueError: the name, a state or the rate is not valid, or there is no condition.
        """
        changes = _changes(to, None, None, None)
        wanted = check_filter(wanted, everything=everything)
        return await self._edit_all(
            "tasks.move_all", changes, states, per_second, on_progress, wanted
        )

    async def reprioritize_all(
        self,
        priority: int,
        states: Collection[State] = WAITING,
        *,
        everything: bool = False,
        per_second: float | None = None,
        on_progress: Progress | None = None,
        **wanted: Unpack[TaskFilter],
    ) -> BulkCounts:
        """Give all waiting tasks that match another priority, as `move_all` moves them.

        Args:
            priority: 0 to 9; 9 runs first.
            states: READY, SCHEDULED, or both.
            everything: True to change all tasks, without conditions.
            per_second: most tasks to change in a second; None for no limit.
            on_progress: called after each batch with what was done so far.
            **wanted: see `TaskFilter`.

        Raises:
            ValueError: the priority, a state or the rate is not valid, or there is no condition.
        """
        changes = _changes(None, priority, None, None)
        wanted = check_filter(wanted, everything=everything)
        return await self._edit_all(
            "tasks.reprioritize_all", changes, states, per_second, on_progress, wanted
        )

    async def export(self, queue: str, *, dead: bool = False) -> AsyncIterator[str]:
        """Yield the waiting tasks of a queue as JSON lines, which `import_` reads. The queue stays as it is.

        A task whose record in the store is damaged has a line that says so.

        Args:
            queue: the name of a queue.
            dead: whether dead letters follow.

        Raises:
            ValueError: the name is not valid.
        """
        check_queue_name(queue)
        async for line in exported(await self._driver(), queue, dead=dead):
            yield line

    async def import_(
        self, lines: Iterable[str | bytes], *, queue: str | None = None
    ) -> ImportCounts:
        """Dispatch the tasks of exported lines, a batch at a time, and return what was done.

        They keep their IDs, so that a repeated import adds nothing in a store that knows IDs (IDEMPOTENT). Due times
        and expiry stay what they were, and attempts start from 0. Dead letters stay dead.

        Args:
            lines: with the first line of the export, such as an open file.
            queue: the queue for all of them; None to keep theirs.

        Raises:
            ValueError: the lines are no export, or one of a later release.
        """
        if queue is not None:
            check_queue_name(queue)
        done = await imported(await self._driver(), lines, queue=queue)
        counts = {"added": done.added, "skipped": done.skipped, "failed": len(done.failed)}
        await self._audit.done("tasks.import", {} if queue is None else {"queue": queue}, counts)
        return done

    async def _edit_all(
        self,
        what: str,
        changes: Changes,
        states: Collection[State],
        per_second: float | None,
        on_progress: Progress | None,
        wanted: TaskFilter,
    ) -> BulkCounts:
        driver = await self._driver()
        store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Selecting tasks")
        work = partial(
            bulk,
            driver,
            store,
            editing(await self._mover(driver), store, changes),
            states=check_states(states, WAITING),
            wanted=wanted,
            is_wanted=differs(changes),
            per_second=per_second,
        )
        new = {"queue": changes.queue, "priority": changes.priority}
        return await self._reported(what, states, wanted, work, on_progress, **new)

    async def _reported(
        self,
        what: str,
        states: Collection[State],
        wanted: TaskFilter,
        work: Callable[..., Awaitable[BulkCounts]],
        on_progress: Progress | None,
        **new: object,
    ) -> BulkCounts:
        """Do some work, and report what was done, also if an error or a cancellation has ended it early."""
        latest = BulkCounts()

        def note(counts: BulkCounts) -> None:
            nonlocal latest
            latest = counts
            if on_progress is not None:
                on_progress(counts)

        try:
            return await work(on_progress=note)
        finally:
            if latest.total:
                given = {name: value for name, value in wanted.items() if value is not None}
                values = {f"new_{name}": value for name, value in new.items() if value is not None}
                target = {"states": [each.value for each in states], **given, **values}
                await self._audit.done(what, target, asdict(latest))

    async def _mover(self, driver: Driver) -> SupportsMove:
        return require(driver, Capability.MOVE, SupportsMove, purpose="Changing waiting tasks")


def _changes(
    queue: str | None, priority: int | None, due_at: float | None, expires: float | None
) -> Changes:
    """Return changes that are valid.

    Raises:
        ValueError: a value is not.
    """
    if queue is not None:
        check_queue_name(queue)
    if priority is not None and not PRIORITY_LOWEST <= priority <= PRIORITY_HIGHEST:
        raise ValueError(
            f"priority must be between {PRIORITY_LOWEST} and {PRIORITY_HIGHEST}, got {priority}."
        )
    return Changes(queue, priority, due_at, expires)
