"""One order on its way through the process executor."""

import asyncio
from typing import TYPE_CHECKING

from asynctasq.contracts.executor import Call
from asynctasq.executors.process.frames import Frame

if TYPE_CHECKING:
    from asynctasq.executors.process.child import ChildProcess


class WorkItem:
    """An order, and whoever waits for its end."""

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
        """Make one for the running loop.

        Args:
            number: unique within the executor.
            order: packed.
            call: what it is about.
            limit: seconds after its begin at which the child is killed.
            urgent: it ends an attempt, and so goes before those that begin one.
        """
        self.number = number
        self.order = order
        self.call = call
        self.limit = limit
        self.urgent = urgent
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Cancelled with whoever awaits it; `outcome` tells whether it is over."""
        self.outcome: Frame | Exception | None = None
        """Kind and fields of the reply, or why there is none."""
        self.child: ChildProcess | None = None
        """Who has it, or has done it."""
        self.remembered = False
        """Its child keeps the failed task for its `failed` hook."""
        self.waits_for: list[bytes] = []
        """Messages for whose results the task waits."""
        self.begun_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.timed_out = False

    def settle(self, outcome: Frame | Exception) -> None:
        """Tell its outcome. The first one counts."""
        if self.timer is not None:
            self.timer.cancel()
        if self.outcome is None:
            self.outcome = outcome
            if not self.done.done():
                self.done.set_result(None)
