"""Pauses between attempts, as one value that every retry loop shares."""

import random

from asynctasq.records import record

_MOST_DOUBLINGS = 64
"""Beyond this, a power may overflow; every useful pause has reached its limit long before."""


@record
class Backoff:
    """Pauses in seconds that grow from `first` to `longest`.

    For example, `Backoff(0.5, 30.0)` pauses for 0.5, 1, 2, 4, 8, 16 and then 30 seconds.
    """

    first: float
    longest: float
    jitter: float = 0.0
    """Share of a pause by which it is shortened or lengthened at random."""
    factor: float = 2.0
    """Growth from one pause to the next."""

    def pause(self, failures: int) -> float:
        """Return the pause after so many failures in a row; 0 if nothing has failed."""
        if failures < 1:
            return 0.0
        seconds = min(self.first * self.factor ** min(failures - 1, _MOST_DOUBLINGS), self.longest)
        if self.jitter:
            seconds *= 1.0 - self.jitter + 2 * self.jitter * random.random()
        return seconds
