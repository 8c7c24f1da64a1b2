"""Time as a sandbox tells it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """The time in the stores of a sandbox. It stands still, unless a test moves it.

    Delays, retries and expiry follow it. Code that asks Python for the time does not.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """Make a clock that shows what time it really is now.

        Args:
            changed: told whenever it was moved.
        """
        self._changed = changed
        self._time = round(time.time(), 6)  # so that a datetime says the same

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        return self._time

    def now(self) -> datetime:
        """The same as an aware datetime, in UTC."""
        return datetime.fromtimestamp(self._time, UTC)

    def advance(self, by: float | timedelta) -> None:
        """Move ahead; nothing runs until the next `drain`.

        Args:
            by: seconds, or a timedelta.

        Raises:
            ValueError: negative: no store expects time to run backwards.
        """
        seconds = seconds_of(by)
        if seconds < 0.0:
            raise ValueError(f"The clock cannot be moved back ({by!r}).")
        self._time += seconds
        self._changed()

    def move_to(self, when: float | datetime) -> None:
        """Move ahead to that time; nothing happens if it has passed.

        Args:
            when: an aware datetime, or seconds since the Unix epoch.

        Raises:
            ValueError: a datetime without time zone.
        """
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise ValueError(f"{when!r} has no time zone: pass an aware datetime.")
            when = when.timestamp()
        self.advance(max(when - self._time, 0.0))


def seconds_of(duration: float | timedelta) -> float:
    """A duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
