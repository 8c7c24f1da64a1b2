"""The rule for outages: how a store notices that nobody kept leases, and what it does then.

Workers cannot renew leases while their store is unavailable, and a clock that jumps ends all leases
at once. In both cases the workers still run their tasks. So a store keeps the time of its last
`reserve` or `extend`. A call that finds that time too old starts a pause: until its end the store
takes no lease back, and every worker that is alive gets the time to renew.
"""

from asynctasq.records import record

REFRESHED = 7 / 16
"""Share of a lease. A mark that is nearer to the end of its pause was refreshed in it: a new one is half a
lease away from it, and a refreshed one at least an eighth nearer."""


@record
class UpkeepMark:
    """The time of a store's last upkeep call, and the end of its latest pause.

    Both are in the driver's unit of time (any unit will do), by the store's clock.
    """

    at: float
    paused_until: float = 0.0

    def is_paused(self, now: float) -> bool:
        """Return whether ended leases must be left alone."""
        return now < self.paused_until


def next_mark(
    mark: UpkeepMark | None, *, now: float, lease: float, any_leases: bool = False
) -> UpkeepMark:
    """Return the mark after a `reserve` or an `extend`; the same object if nothing has to be stored.

    A mark that is older than half of `lease` means an outage, or a jump of the clock. The exception is
    a mark that no call has refreshed since it found an outage, whose pause is over: a lone worker that
    calls less often than that would otherwise never take a lease back. A mark that was refreshed during
    the pause is nearer to its end, so that a second outage right after the first is noticed.

    Args:
        mark: as stored; None if the store has none yet.
        now: the store's time, `clock_offset` included.
        lease: of the call.
        any_leases: whether the store holds leases; read only where `mark` is None.
    """
    if mark is None:
        return UpkeepMark(now, now + lease / 2 if any_leases else 0.0)
    if mark.at > now:  # the clock was set back
        return UpkeepMark(now, min(mark.paused_until, now + lease / 4))
    age = now - mark.at
    pause_is_over = mark.at <= mark.paused_until <= now
    refreshed = mark.paused_until - mark.at < lease * REFRESHED
    if age > lease / 2 and (refreshed or not pause_is_over):
        return UpkeepMark(now, max(mark.paused_until, now + lease / 2))
    if pause_is_over or age >= lease / 8:
        return UpkeepMark(now, mark.paused_until)
    return mark
