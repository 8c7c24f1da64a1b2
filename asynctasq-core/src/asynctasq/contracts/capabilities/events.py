"""EVENTS: a stream of what happens to messages, for as long as there is a listener."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.records import record

LISTENING_SECONDS = 30.0
"""A call of `events` counts as listening for so long, unless it asks for a longer time."""
LONGEST_HOLD = 600.0
"""Seconds for which one call counts as listening, at most."""
EVENTS_KEPT_FOR = 600.0
"""Seconds for which a batch is kept, unless the bounds below are reached earlier."""
BATCHES_KEPT = 100_000
"""Batches that are kept, at most. Then the oldest are dropped."""
BATCH_BYTES_KEPT = 64 << 20
"""Bytes of all batches that are kept, at most. Then the oldest are dropped."""
BATCH_BYTES = 4 << 20
"""Bytes of one batch, at most."""


@record
class EventBatch:
    """A batch as it was published."""

    cursor: str
    """The position after this batch."""
    data: bytes


@record
class EventPage:
    """Batches after a position."""

    batches: Sequence[EventBatch]
    cursor: str
    """The position after the last of these batches."""
    gap: bool = False
    """True if batches may be missing between the position and the first of these.

    They were dropped, or there was no listener for a while, so that none were published.
    """


@runtime_checkable
class SupportsEvents(Protocol):
    """EVENTS. Batches are made by core, and only while there is a listener.

    The batches of a namespace have one order, in which every listener gets them. A batch that is published after
    another one was returned by `events` never comes before it.
    """

    async def listening(self) -> bool:
        """Return whether there is a listener. A cheap call, which may also delete some old batches."""
        ...

    async def publish(self, batch: bytes, count: int) -> None:
        """Add a batch of at most `BATCH_BYTES`, which holds `count` events, and drop some old ones."""
        ...

    async def events(
        self,
        after: str | None,
        *,
        limit: int = 100,
        timeout: float = 0.0,
        hold: float = LISTENING_SECONDS,
    ) -> EventPage:
        """Return batches after a position: at once if there are any, and after `timeout` seconds in any case.

        The call may be cancelled, like `wait`.

        Args:
            after: from a page or a batch. None begins at the present: the page is empty and comes at once.
            limit: number of batches, at most. With 0, the call only counts as listening, and comes at once.
            timeout: seconds.
            hold: seconds for which the call counts as listening from its begin; at most `LONGEST_HOLD`.

        Raises:
            InvalidCursor: `after` is not a position of this driver.
        """
        ...
