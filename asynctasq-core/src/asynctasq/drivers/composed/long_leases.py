"""Leases that last longer than the queue can keep them.

Shortly before the limit, a note in the state store says that the message runs, the queue gets a copy that it holds
back, and only then it removes the message. From now on, the note stands for the lease. A worker that receives the
copy finds the note, and has the queue hold the copy back again.
"""

import logging
from collections.abc import Sequence

from asynctasq.contracts.capabilities.state import Mark, Note, NoteKind
from asynctasq.drivers.composed.leases import Held, HeldLeases
from asynctasq.drivers.composed.parts import LimitsLeases, QueueDriver, StateDriver
from asynctasq.errors import DriverError
from asynctasq.message import Lease
from asynctasq.settlement import LeaseState, Release, Settled

COPY_SECONDS = 900.0
"""Seconds for which the queue holds a copy back, and for which a note is kept at least."""
_MARGIN = 900.0
"""Seconds before the limit at which copies are sent. Several extensions of a lease fall into this time."""

log = logging.getLogger("asynctasq")


def copy_delay(queue: QueueDriver) -> float:
    """Return the seconds for which the queue holds back a copy of a message that runs."""
    return COPY_SECONDS if queue.longest_delay is None else min(COPY_SECONDS, queue.longest_delay)


def _note(held: Held, ttl: float) -> Note:
    return Note(held.delivery.message.id, NoteKind.RUNNING, held.owner.encode(), ttl)


class LongLeases:
    """Notes that stand for leases of the queue."""

    def __init__(self, queue: QueueDriver, state: StateDriver, held: HeldLeases) -> None:
        self._queue = queue
        self._state = state
        self._held = held
        self._longest = queue.longest_lease if isinstance(queue, LimitsLeases) else None

    async def renew(self, noted: Sequence[Held], lease: float) -> list[LeaseState]:
        """Renew notes, and return the states of the leases for which they stand.

        A lease is lost if its note has run out, or if another copy of the message has ended.

        Raises:
            DriverUnavailable: the state store gave no answer. The call may be repeated.
        """
        if not noted:
            return []
        marks = await self._state.marks([each.delivery.message.id for each in noted])
        is_held = [mark in {Mark.RUNNING, Mark.FLAGGED} for mark in marks]
        notes = [
            _note(each, max(lease, COPY_SECONDS))
            for each, one in zip(noted, is_held, strict=True)
            if one
        ]
        if notes:
            await self._state.note(notes)
        return [LeaseState.HELD if one else LeaseState.LOST for one in is_held]

    async def replace_old(self, leases: Sequence[Lease], lease: float, now: float) -> list[Lease]:
        """Let notes stand for the leases that the queue cannot keep much longer; return those that are lost.

        If it fails, the next extension of the leases tries again.

        Args:
            leases: of the queue.
            lease: seconds until the next extension must have come.
            now: the time of the steady clock.
        """
        if self._longest is None:
            return []
        margin = min(max(_MARGIN, 2 * lease), self._longest / 2)
        old = self._held.begin_copying(leases, older_than=now - self._longest + margin)
        if not old:
            return []
        try:
            await self._state.note([_note(each, max(lease, COPY_SECONDS)) for each in old])
            delay = copy_delay(self._queue)
            answers = await self._queue.settle(
                [Release(each.delivery.lease, delay) for each in old]
            )
        except DriverError as error:
            log.warning(
                "Could not renew %d leases beyond the limit of the queue; trying again: %s",
                len(old),
                error,
            )
            return []
        lost: list[Held] = []
        for each, answer in zip(old, answers, strict=True):
            if answer is Settled.DONE:
                each.is_noted = True
            elif answer is Settled.LOST:
                lost.append(each)
        await self._forget(lost)
        return [each.delivery.lease for each in lost]

    async def _forget(self, lost: Sequence[Held]) -> None:
        """Remove notes about messages that this process does not run any more."""
        if not lost:
            return
        try:
            await self._state.note([_note(each, 0.0) for each in lost])
        except DriverError as error:  # the notes run out
            log.warning("Could not remove %d notes about running tasks: %s", len(lost), error)
