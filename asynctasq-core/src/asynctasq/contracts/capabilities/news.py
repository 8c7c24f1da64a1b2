"""NEWS: reports of messages that a driver's upkeep moved by itself."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from asynctasq.message import State
from asynctasq.records import record
from asynctasq.settlement import Reason

NEWS_KEPT = 1000
"""How many news an instance keeps for the next call, at most; older ones are dropped."""


@record
class News:
    """A message that upkeep moved: its lease ended without renewal, it expired, or its record was damaged.

    For example, a lease that ended makes `state=READY, reason=None`; with `max_lost` exceeded it makes
    `state=DEAD, reason=Reason.LOST`.
    """

    id: bytes
    queue: str
    task: str
    """Empty if the record is too damaged to say."""
    state: State
    """READY (its lease was lost), DEAD, or CANCELLED (its lease was lost while it was flagged)."""
    reason: Reason | None = None
    """LOST, EXPIRED or UNDECODABLE if it is dead; None otherwise."""
    attempts: int = 0
    lost: int = 0
    owner: str | None = None
    """The worker whose lease ended, where the driver knows it."""


@runtime_checkable
class SupportsNews(Protocol):
    """NEWS. Best effort: the news of a call that fails, or of a worker that dies, are lost."""

    def news(self) -> Sequence[News]:
        """Return the news since the last call, oldest first, and forget them.

        Core calls it after each `reserve`, on the instance that reserved. Does no I/O. Each event is reported
        at most once, usually by the instance whose call did the upkeep. An instance that is never asked keeps
        no more than `NEWS_KEPT`.
        """
        ...
