"""The rule for outages: how a store notices that leases could not be renewed, and how it reacts.

Workers cannot renew leases while their store is unavailable, and a clock that jumps ends all leases
at once. In both cases the workers still run their tasks. So a store keeps the time of its last
`reserve` or `extend`. A call that finds that time too old starts a pause: until its end, the store
reclaims no lease, and every live worker has time to renew its leases. Nor does an `extend` release
a lease that it does not name: after a jump it looks old although its delivery may be on its way.
"""

import math
from collections.abc import Callable, Iterable

from asynctasq.driverkit.numbers import check_lease
from asynctasq.records import record

LONGEST_GAP = 15.0
"""Seconds without a call after which there is an outage, however long the lease of the next caller is."""
LONGEST_LEASE = 3600.0
"""Seconds. A deadline further after the mark was set by a worker of a release that keeps no mark."""
_SHARE = 4 / 9
"""Share of the rest of a lease. A living worker needs less to renew it; at most half of the lease."""


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
    mark: UpkeepMark | None,
    *,
    now: float,
    lease: float,
    any_leases: bool = False,
    deadlines: Callable[[], Iterable[float]] = tuple,
    second: float = 1.0,
) -> UpkeepMark:
    """Return the mark after a `reserve` or an `extend`; the same object if nothing has to be stored.

    A mark that is older than half of `lease`, or than 15 s, means an outage, or a jump of the clock. The
    exception is a mark that no call has refreshed since the pause after an outage ended, unless leases that
    were held at its time have ended since: a lone worker that calls less often than that would otherwise never
    reclaim a lease.

    A clock that was set back by more than that starts a pause, too. Leases would last longer: see `set_back_by`.

    Args:
        mark: as stored; None if the store has none yet.
        now: the store's time, `clock_offset` included.
        lease: of the call.
        any_leases: whether the store holds leases; read only where `mark` is None.
        deadlines: returns when the leases of each owner end; called only where an outage is found. Owners
            whose leases are longer than that of the call get time to renew them, too.
        second: length of a second in the driver's unit of time.
    """
    if mark is None:
        return UpkeepMark(now, now + lease / 2 if any_leases else 0.0)
    age = now - mark.at
    half, longest = lease / 2, LONGEST_GAP * second
    gap = min(half, longest)
    if age < 0:  # the clock was set back
        pause = half if -age > half else gap if -age > gap else -math.inf
        return UpkeepMark(now, max(now + pause, min(mark.paused_until, now + half)))
    # At the first call after a pause, every living worker has renewed its leases. The exception is a pause that
    # another outage cut short: owners renewed before that outage, and their leases have ended in it.
    is_first_after_pause = mark.at <= mark.paused_until <= now
    if age > gap:
        horizon = min(now + age, mark.at + LONGEST_LEASE * second)
        ends = [end for end in deadlines() if mark.at < end < horizon]
        if not is_first_after_pause or any(end <= now for end in ends):
            pause = half if age > half else gap
            if lease >= second:  # shorter ones are for tests that want no pause
                # Workers with more left than twice the length of the outage have time to renew anyway.
                pause = max(pause, (max(ends, default=mark.at) - mark.at) * _SHARE)
            return UpkeepMark(now, max(mark.paused_until, now + pause))
    if is_first_after_pause or age >= gap / 4:
        return UpkeepMark(now, mark.paused_until)
    return mark


def set_back_by(mark: UpkeepMark | None, now: float) -> float:
    """Return by how much the clock was set back since the mark was stored; 0.0 if it was not.

    A driver subtracts it from the deadline of every lease: otherwise a worker that died while the clock was
    ahead would keep its leases until the clock gets there again.
    """
    return 0.0 if mark is None else max(mark.at - now, 0.0)


class Outages:
    """The rule as one object, for a store that reads its mark, and writes it, in the same step as its leases.

    Create it from the numbers that the store keeps (none at first), and store `numbers` afterwards.
    """

    def __init__(self, *numbers: float) -> None:
        self._mark = UpkeepMark(*numbers) if numbers else None

    @property
    def numbers(self) -> tuple[float, ...]:
        """Numbers for the store to keep; none before the first call of a worker."""
        return () if self._mark is None else (self._mark.at, self._mark.paused_until)

    def note_call(
        self,
        *,
        now: float,
        lease: float,
        any_leases: bool = False,
        deadlines: Callable[[], Iterable[float]] = tuple,
    ) -> bool:
        """Record a `reserve` or an `extend`; return whether ended leases may be reclaimed.

        Args:
            now: the store's time, `clock_offset` included.
            lease: of the call.
            any_leases: whether the store holds leases; read only where it has kept no numbers. Pass it
                if leases may be older than the rule, as those of an earlier release of the driver.
            deadlines: returns when the leases of each owner end, in seconds, as for `next_mark`.

        Raises:
            DriverError: `lease` is not a finite number.
        """
        check_lease(lease)
        self._mark = next_mark(
            self._mark, now=now, lease=lease, any_leases=any_leases, deadlines=deadlines
        )
        return not self._mark.is_paused(now)
