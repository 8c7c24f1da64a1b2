"""Tasks in children that wait for results, and a warning when they hold all children."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from asynctasq.executors.process.work_item import WorkItem
from asynctasq.message import id_to_text

logger = logging.getLogger("asynctasq")

STALL_SECONDS = 3.0
"""Time for which all children may hold waiting tasks before a warning."""


class ChildWaits:
    """The waits of tasks in children; a child cannot run another task while its task waits."""

    def __init__(
        self,
        running: Callable[[], Iterable[WorkItem | None]],
        waiting: Callable[[], Iterable[WorkItem]],
    ) -> None:
        """Create the object for the running loop.

        Args:
            running: returns the work item of each child, None for an idle child.
            waiting: returns the work items that need a child.
        """
        self._running = running
        self._waiting = waiting
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._reported: set[int] = set()
        self._behind: dict[WorkItem, bytes] = {}
        """Work items that need a child while all are held, and a message for which a running task waits."""

    def note(self, item: WorkItem, message_id: bytes, *, begins: bool) -> None:
        """Note that the task of a work item begins or ends to wait for a message."""
        if begins:
            item.waits_for.append(message_id)
        elif message_id in item.waits_for:
            item.waits_for.remove(message_id)
        item.call.note_wait(message_id, begins=begins)
        if begins and self._timer is None:
            self._timer = self._loop.call_later(STALL_SECONDS, self._check)

    def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        running = list(self._running())
        held = [item for item in running if item is not None and item.waits_for]
        if held:
            self._timer = self._loop.call_later(STALL_SECONDS, self._check)
        outer_of: dict[bytes, WorkItem] = {}
        if len(held) == len(running):
            outer_of = {message_id: item for item in held for message_id in item.waits_for}
        self._note_behind(outer_of)
        for inner in self._waiting():
            outer = outer_of.get(inner.call.delivery.message.id)
            if outer is not None and outer.number not in self._reported:
                self._reported = {item.number for item in outer_of.values()}
                _warn(outer, inner)
                return

    def _note_behind(self, outer_of: Mapping[bytes, WorkItem]) -> None:
        """Note that tasks without a child wait for the messages that the running tasks wait for.

        Otherwise the worker would not know that their slots do not help these messages.
        """
        waiting = set(self._waiting())
        for item, message_id in list(self._behind.items()):
            if item not in waiting or message_id not in outer_of:
                del self._behind[item]
                item.call.note_wait(message_id, begins=False)
        for item in waiting - self._behind.keys() if outer_of else ():
            self._behind[item] = message_id = next(iter(outer_of))
            item.call.note_wait(message_id, begins=True)


def _warn(outer: WorkItem, inner: WorkItem) -> None:
    logger.warning(
        "No child process is free: all run tasks that wait for results. Task %s of %s waits for "
        "task %s of %s, which needs a child process too. Raise process_pool_size, or run the inner "
        "tasks in their own queue with their own worker",
        id_to_text(outer.call.delivery.message.id),
        outer.call.definition.name,
        id_to_text(inner.call.delivery.message.id),
        inner.call.definition.name,
    )
