"""The time by which a driver sends messages: that of this machine, which tests move."""

import time
from collections.abc import Callable


class Clock:
    """Two clocks of one opened driver."""

    def __init__(self, offset: Callable[[], float]) -> None:
        self._offset = offset

    def now(self) -> float:
        """Return the time in seconds since the Unix epoch."""
        return time.time() + self._offset()

    def steady(self) -> float:
        """Return a time in seconds that no correction of the machine's clock moves."""
        return time.monotonic() + self._offset()
