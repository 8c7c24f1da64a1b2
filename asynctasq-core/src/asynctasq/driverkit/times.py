"""Times and durations as whole microseconds, and how long outcomes are kept at least."""

from asynctasq.errors import DriverError

FOREVER = 1 << 60
"""Microseconds. No process waits for the end of such a time, and a sum of two still fits into 64 bits."""
OUTCOME_TTL_LEAST = 60.0
"""Seconds. Each outcome is kept for at least this time, so that a repeated enqueue finds its ID known."""


def micros(seconds: float, *, forever: int = FOREVER) -> int:
    """Return seconds as whole microseconds, between `-forever` and `forever`.

    Args:
        seconds: a time since the Unix epoch, or a duration; it may be infinite.
        forever: the most that the store can keep and calculate with.

    Raises:
        DriverError: `seconds` is NaN.
    """
    try:
        whole = round(seconds * 1e6)
    except OverflowError:  # infinite, or an integer that is too large for a float
        return forever if seconds > 0 else -forever
    except ValueError:
        raise DriverError(f"A time or a duration must be a number, got {seconds!r}.") from None
    return min(max(whole, -forever), forever)


def kept_for(result_ttl: float) -> float:
    """Return for how many seconds an outcome is kept whose `result_ttl` was given."""
    return max(result_ttl, OUTCOME_TTL_LEAST)


def seconds(microseconds: float) -> float:
    """Return microseconds, as `micros` makes them, as seconds."""
    return microseconds / 1e6
