"""`App.tasks`: find, inspect, change and cancel tasks."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Unpack

from asynctasq.contracts.capabilities import (
    Capability,
    Outcome,
    Page,
    Snapshot,
    SupportsInspect,
    SupportsProgress,
    SupportsResults,
    require,
)
from asynctasq.contracts.driver import Driver
from asynctasq.errors import AsynctasqError, ResultUnknown
from asynctasq.message import CancelOutcome, Message, State, id_from_text, id_to_text, time_of_id
from asynctasq.operations.audit import Audit, counted
from asynctasq.operations.filters import TaskFilter, driver_pattern, seconds, task_check
from asynctasq.operations.paging import all_items, check_limit, filled_page
from asynctasq.operations.task_changes import TaskChanges
from asynctasq.operations.views import (
    Arguments,
    TaskDetails,
    TaskInfo,
    info_of_outcome,
    info_of_snapshot,
)
from asynctasq.serializers.codec import Codec

WAITING_OR_RUNNING = (State.LEASED, State.READY, State.SCHEDULED, State.BLOCKED)
"""The states that a listing shows by default, in this order."""
KNOWN_SECONDS = 60.0
"""Every store remembers a task for at least this long after its end."""
_LISTED = (*WAITING_OR_RUNNING, State.DEAD)


class Tasks(TaskChanges):
    """The tasks in a store.

    Each call raises `CapabilityMissing` if the driver does not support it, and `DriverError` if the store
    refused or could not be reached.
    """

    def __init__(
        self,
        driver: Callable[[], Awaitable[Driver]],
        codec: Codec,
        cancel: Callable[[Sequence[bytes]], Awaitable[Sequence[CancelOutcome]]],
        audit: Audit,
    ) -> None:
        self._driver = driver
        self._audit = audit
        self._codec = codec
        self._cancel = cancel

    async def page(
        self,
        states: Collection[State] = WAITING_OR_RUNNING,
        *,
        limit: int = 100,
        cursor: str | None = None,
        **wanted: Unpack[TaskFilter],
    ) -> Page[TaskInfo]:
        """Return up to `limit` tasks: running ones first, then ready, scheduled, blocked and dead ones.

        Within a state, the store chooses the order; it is the same for every page. A task that changes
        its state while you read pages may be on two of them, or on none. A pattern for `task` that begins
        with a wildcard makes the call read all tasks of these states.

        Args:
            states: any states but COMPLETED and CANCELLED.
            limit: at least 1.
            cursor: the cursor of the page before.
            **wanted: see `TaskFilter`.

        Raises:
            ValueError: the limit, the cursor or a state is not valid.
        """
        check_limit(limit)
        driver = await self._driver()
        store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Listing tasks")
        order = _in_order(states)
        if Capability.DEPENDENCIES not in driver.capabilities and set(states) != {State.BLOCKED}:
            order = [state for state in order if state is not State.BLOCKED]
        first, place = _read_cursor(cursor, order)
        found: list[Snapshot] = []
        for number in range(first, len(order)):
            part = await filled_page(
                partial(_read, store, order[number], wanted),
                task_check(wanted.get("task")),
                limit=limit - len(found),
                cursor=place,
            )
            found += part.items
            if part.cursor is not None:
                return _page(found, f"{order[number]}:{part.cursor}")
            if len(found) >= limit and number + 1 < len(order):
                return _page(found, f"{order[number + 1]}:")
            place = None
        return _page(found, None)

    def each(
        self, states: Collection[State] = WAITING_OR_RUNNING, **wanted: Unpack[TaskFilter]
    ) -> AsyncIterator[TaskInfo]:
        """Iterate over all tasks that `page` returns, page by page."""
        return all_items(
            lambda limit, cursor: self.page(states, limit=limit, cursor=cursor, **wanted)
        )

    async def get(self, task_id: str) -> TaskDetails:
        """Return one task with its arguments; with its result instead if it has finished.

        Raises:
            ResultUnknown: it was never dispatched, or finished and was forgotten.
            ValueError: the id is not a UUID.
        """
        message_id = id_from_text(task_id)
        driver = await self._driver()
        store = require(driver, Capability.INSPECT, SupportsInspect, purpose="Showing a task")
        for _ in range(2):  # it may end between the two calls
            [snapshot] = await store.find([message_id])
            outcome = await _outcome(driver, message_id)
            if snapshot is not None:
                return await self._details(driver, snapshot, outcome)
            if outcome is not None:
                return self._finished(outcome)
        raise ResultUnknown(
            f"No task {id_to_text(message_id)} is in this store: {_why(message_id)}"
        )

    async def cancel(self, task_ids: Iterable[str]) -> Sequence[CancelOutcome]:
        """Cancel waiting tasks at once, interrupt running ones, and return the outcomes in order.

        Raises:
            ValueError: an id is not a UUID.
        """
        ids = [id_from_text(task_id) for task_id in task_ids]
        outcomes = list(await self._cancel(ids))
        await self._audit.done(
            "tasks.cancel",
            {"ids": [id_to_text(each) for each in ids]},
            counted(outcome.value for outcome in outcomes),
        )
        return outcomes

    async def _details(
        self, driver: Driver, snapshot: Snapshot, outcome: Outcome | None
    ) -> TaskDetails:
        info = info_of_snapshot(snapshot)
        if outcome is not None and outcome.state is snapshot.state:  # it is dead
            info = replace(info, reason=outcome.reason, finished_at=outcome.finished_at)
        unreadable: dict[str, str] = {}
        arguments: Arguments | None = None
        try:
            arguments = read_arguments(self._codec, snapshot.message)
        except AsynctasqError as error:
            unreadable["arguments"] = str(error)
        progress: object = None
        if isinstance(driver, SupportsProgress) and Capability.PROGRESS in driver.capabilities:
            [stored] = await driver.progress([snapshot.message.id])
            progress = self._read("progress", stored, unreadable)
        return TaskDetails(info, arguments, None, progress, unreadable)

    def _finished(self, outcome: Outcome) -> TaskDetails:
        unreadable: dict[str, str] = {}
        result = self._read("result", outcome.result, unreadable)
        return TaskDetails(info_of_outcome(outcome), None, result, None, unreadable)

    def _read(self, name: str, stored: bytes | None, unreadable: dict[str, str]) -> object:
        if stored is None:
            return None
        try:
            return self._codec.decode_result(stored)
        except AsynctasqError as error:
            unreadable[name] = str(error)
            return None


def read_arguments(codec: Codec, message: Message) -> Arguments:
    """Decode the arguments in a body.

    Raises:
        BodyError: they cannot be read here.
    """
    envelope = codec.open_call(message.body)
    positional, named = codec.decode_arguments(envelope, envelope.references)
    return Arguments(tuple(positional), named)


def _why(message_id: bytes) -> str:
    """Return why a store does not know a task, judged by the time at which its ID was made."""
    made_at = time_of_id(message_id)
    age = inf if made_at is None else time.time() - made_at
    if age < KNOWN_SECONDS:  # outcomes are kept longer than that
        return "it was never dispatched here, or it was purged."
    made = "" if made_at is None else f" Its ID was made {_ago(age)} ago."
    return (
        f"it was never dispatched here, or it has ended and its outcome was forgotten (option "
        f"`result_ttl`, an hour by default).{made}"
    )


def _ago(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


async def _outcome(driver: Driver, message_id: bytes) -> Outcome | None:
    if isinstance(driver, SupportsResults) and Capability.RESULTS in driver.capabilities:
        return (await driver.results([message_id]))[0]
    return None


async def _read(
    store: SupportsInspect, state: State, wanted: TaskFilter, limit: int, cursor: str | None
) -> Page[Snapshot]:
    return await store.browse(
        state,
        queue=wanted.get("queue"),
        task=driver_pattern(wanted.get("task")),
        since=seconds(wanted.get("since")),
        until=seconds(wanted.get("until")),
        limit=limit,
        cursor=cursor,
    )


def _page(found: Sequence[Snapshot], cursor: str | None) -> Page[TaskInfo]:
    return Page([info_of_snapshot(snapshot) for snapshot in found], cursor)


def _in_order(states: Collection[State]) -> list[State]:
    refused = set(states) - set(_LISTED)
    if refused:
        raise ValueError(
            f"states must be states of unfinished or dead tasks, got {min(refused)}. Of finished tasks, only "
            "outcomes are kept."
        )
    return [state for state in _LISTED if state in states]


def _read_cursor(cursor: str | None, order: Sequence[State]) -> tuple[int, str | None]:
    """Return the index of the state to continue with, and the cursor in it."""
    if cursor is None:
        return 0, None
    state, _, place = cursor.partition(":")
    if state not in list(order):
        raise ValueError(
            f"cursor must come from the previous page of the same listing, got {cursor!r}. Pass the same "
            f"states, too."
        )
    return order.index(State(state)), place or None
