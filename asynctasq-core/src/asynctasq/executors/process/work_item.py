"""One work item of the process executor."""

import asyncio
from typing import TYPE_CHECKING

from asynctasq.contracts.executor import Call
from asynctasq.executors.process.frames import Frame

if TYPE_CHECKING:
    from asynctasq.executors.process.child import ChildProcess


class WorkItem:
    """An order, and a future for its end."""

    __slots__ = (
        "begun_at",
        "call",
        "child",
        "done",
        "limit",
        "number",
        "order",
        "outcome",
        "remembered",
        "timed_out",
        "timer",
        "urgent",
        "waits_for",
    )

    def __init__(
        self, number: int, order: bytes, call: Call, limit: float | None, *, urgent: bool
    ) -> None:
        """Create a work item for the running loop.

        Args:
            number: unique in the executor.
            order: packed order.
            call: call of the message.
            limit: seconds after its start at which the child is killed.
            urgent: True if it finishes an attempt, and so runs before items that begin one.
        """
        self.number = number
        self.order = order
        self.call = call
        self.limit = limit
        self.urgent = urgent
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Cancelled together with the caller; `outcome` is set if the item has ended."""
        self.outcome: Frame | Exception | None = None
        """Kind and fields of the reply, or the error that replaces it."""
        self.child: ChildProcess | None = None
        """The child that runs or ran it."""
        self.remembered = False
        """True if its child keeps the failed task for its `failed` hook."""
        self.waits_for: list[bytes] = []
        """Messages for whose results the task waits."""
        self.begun_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.timed_out = False

    def settle(self, outcome: Frame | Exception) -> None:
        """Set the outcome. Only the first call has an effect."""
        if self.timer is not None:
            self.timer.cancel()
        if self.outcome is None:
            self.outcome = outcome
            if not self.done.done():
                self.done.set_result(None)
