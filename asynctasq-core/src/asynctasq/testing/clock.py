"""The clock of a sandbox."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """The clock of a sandbox. It moves only when a test moves it.

    Delays, retries and expiry follow this clock; `time.time()` and `datetime.now()` do not.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """Make a clock that starts at the current time.

        Args:
            changed: called after each move.
        """
        self._changed = changed
        self._time = round(time.time(), 6)  # a datetime has no more digits

    def time(self) -> float:
        """Return the time in seconds since the Unix epoch."""
        return self._time

    def now(self) -> datetime:
        """Return the time as an aware datetime in UTC."""
        return datetime.fromtimestamp(self._time, UTC)

    def advance(self, by: float | timedelta) -> None:
        """Move the clock forward. No task runs before the next `drain`.

        Args:
            by: seconds or a timedelta.

        Raises:
            ValueError: `by` is negative.
        """
        seconds = seconds_of(by)
        if seconds < 0.0:
            raise ValueError(f"by must not be negative, got {by!r}: the clock only moves forward.")
        self._time += seconds
        self._changed()

    def move_to(self, when: float | datetime) -> None:
        """Move the clock forward to a time. A time in the past changes nothing.

        Args:
            when: an aware datetime or seconds since the Unix epoch.

        Raises:
            ValueError: `when` is a datetime without a time zone.
        """
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise ValueError(f"when must be an aware datetime, got {when!r}. Add a time zone.")
            when = when.timestamp()
        self.advance(max(when - self._time, 0.0))


def seconds_of(duration: float | timedelta) -> float:
    """Convert a duration to seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
