"""What a task may say of its own run, by raising it: not now, never, or again later.

    raise Snooze(300)                    # nothing failed: run me in five minutes
    raise Reject("no such customer")     # to the dead letters, whatever retries are left
    raise Retry(delay=10) from error     # failed; the next run in 10 s, whatever the policy says

They work in every mode, and may be raised from anywhere below `execute`, or in the constructor. An
`ExceptionGroup` that holds one of them means the same, unless it holds an error, too.
"""

from datetime import timedelta

from asynctasq.retry import SECONDS_LIMIT


def _seconds(duration: float | timedelta) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


class Snooze(Exception):
    """Run me later. Not a failure: no attempt is counted, and no hook of failure is called."""

    def __init__(self, seconds: float | timedelta) -> None:
        """Give the run back for that many seconds, or that `timedelta`.

        Raises:
            ValueError: not above 0 (the run would begin again at once, for ever), or more than any store
                can take.
        """
        seconds = _seconds(seconds)
        if not 0.0 < seconds <= SECONDS_LIMIT:
            raise ValueError(
                f"Snooze({seconds!r}): it has to be above 0, and finite: at most {SECONDS_LIMIT:,.0f}."
            )
        super().__init__(f"run again in {seconds:g} s")
        self.seconds = float(seconds)


class Reject(Exception):
    """This message is not worth another run: to the dead letters now, with the reason `rejected`.

    It has failed for good, so `failed` is called, with this exception.
    """

    def __init__(self, reason: str) -> None:
        """Reject for a reason, which becomes the error message of the dead letter."""
        super().__init__(reason)
        self.reason = reason


class Retry(Exception):
    """The run has failed; begin the next after `delay` seconds. `should_retry` is not asked.

    It counts as an attempt: when none is left the message is dead as usual.
    """

    def __init__(self, *, delay: float | timedelta | None = None) -> None:
        """Ask for another run, after `delay` (seconds or a `timedelta`) or, without it, as the policy says.

        Raises:
            ValueError: negative, or more than any store can take.
        """
        delay = None if delay is None else _seconds(delay)
        if delay is not None and not 0.0 <= delay <= SECONDS_LIMIT:
            raise ValueError(
                f"Retry(delay={delay!r}): it has to be at least 0, and finite: at most "
                f"{SECONDS_LIMIT:,.0f}."
            )
        super().__init__("the task asked for another run")
        self.delay = None if delay is None else float(delay)


for _outcome in (Snooze, Reject, Retry):
    _outcome.__module__ = (
        "asynctasq"  # as users know them: the names stand in dead letters and logs
    )
