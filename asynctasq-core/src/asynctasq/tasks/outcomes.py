"""Exceptions by which a task decides about its own run: later, never again, or once more.

    raise Snooze(300)                    # nothing failed: run again in five minutes
    raise Reject("no such customer")     # dead letter now, although retries are left
    raise Retry(delay=10) from error     # failed: retry in 10 s instead of the delay of the options

They work in every mode, and may be raised from any code that `execute` calls, or in the constructor. An
`ExceptionGroup` that contains one of them means the same, unless it also contains an error.
"""

from datetime import timedelta

from asynctasq.retry import SECONDS_LIMIT


def _seconds(duration: float | timedelta) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


class Snooze(Exception):
    """Run the task again later. This is not a failure: no attempt is counted, and no failure hook runs."""

    def __init__(self, seconds: float | timedelta) -> None:
        """Run again after that many seconds, or after a `timedelta`.

        Raises:
            ValueError: the delay is 0 or negative (the task would run again at once, forever), or longer
                than a store can hold.
        """
        seconds = _seconds(seconds)
        if not 0.0 < seconds <= SECONDS_LIMIT:
            raise ValueError(
                f"Snooze(): seconds must be greater than 0 and at most {SECONDS_LIMIT:,.0f}, got {seconds!r}."
            )
        super().__init__(f"run again in {seconds:g} s")
        self.seconds = float(seconds)


class Reject(Exception):
    """Make the task a dead letter now, with the reason `rejected`.

    This is its final failure, so `failed` is called with this exception.
    """

    def __init__(self, reason: str) -> None:
        """Reject the task; the reason becomes the error message of the dead letter."""
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """Fail this run, and retry after `delay` seconds without a call of `should_retry`.

    The run counts as an attempt: if it was the last one, the message is dead as usual.
    """

    def __init__(self, *, delay: float | timedelta | None = None) -> None:
        """Retry after `delay` (seconds or a `timedelta`); without it, the options of the task decide.

        Raises:
            ValueError: the delay is negative, or longer than a store can hold.
        """
        delay = None if delay is None else _seconds(delay)
        if delay is not None and not 0.0 <= delay <= SECONDS_LIMIT:
            raise ValueError(
                f"Retry(): delay must be at least 0 and at most {SECONDS_LIMIT:,.0f}, got {delay!r}."
            )
        super().__init__("the task asked for another run")
        self.delay = None if delay is None else float(delay)


for _outcome in (Snooze, Reject, Retry):
    _outcome.__module__ = "asynctasq"  # the public path, which dead letters and logs show
