"""When to run again, and after how long. Pure: nothing here does I/O or keeps state."""

from collections.abc import Callable
from enum import StrEnum

from asynctasq.records import record

SECONDS_LIMIT = 1e10
"""Some 300 years: a longer duration is a mistake, and no store could add it to its time."""


class RetryStrategy(StrEnum):
    """How the delay grows from one retry to the next."""

    FIXED = "fixed"
    EXPONENTIAL = "exponential"


class OnMissing(StrEnum):
    """The outcome of an attempt whose task has a model without a row."""

    RETRY = "retry"
    """The attempt fails with `ModelNotFound`, and is retried as after any other error."""
    FAIL = "fail"
    """The attempt fails with `ModelNotFound`, for good."""
    SKIP = "skip"
    """The task is complete without being run; its result is None."""
    NONE = "none"
    """The task runs, with None where the model stood."""


@record
class RunPolicy:
    """The options of a dispatch that a worker needs to run it. They travel with the message.

    A retry therefore follows the options of its dispatch, not the defaults of the worker's release.
    """

    timeout: float | None = None
    """Seconds that one attempt may take; None for no limit."""
    retry_delay: float = 60.0
    """Seconds before the first retry."""
    retry_strategy: RetryStrategy = RetryStrategy.FIXED
    retry_factor: float = 2.0
    """By which the delay grows with each retry, if exponential."""
    retry_cap: float = 3600.0
    """Seconds; no delay is longer, if exponential."""
    retry_jitter: float = 0.1
    """Share of the delay by which it is shortened or lengthened at random, if exponential."""
    on_missing: OnMissing = OnMissing.RETRY
    """When a model among the arguments has no row any more."""


def retries_left(attempt: int, max_attempts: int) -> bool:
    """Return True if another run is allowed after run number `attempt` (0 is the first) has failed."""
    return attempt + 1 < max_attempts


def retry_delay(policy: RunPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait after the run number `attempt` (0 is the first) has failed.

    `random` returns a number in [0, 1), as `random.random` does.
    """
    if policy.retry_strategy is RetryStrategy.FIXED:
        return _bounded(policy.retry_delay)
    try:
        grown = policy.retry_delay * float(policy.retry_factor) ** attempt
    except OverflowError:
        grown = policy.retry_cap if policy.retry_delay else 0.0
    spread = 1.0 + policy.retry_jitter * (2.0 * random() - 1.0)
    return _bounded(min(min(grown, policy.retry_cap) * spread, policy.retry_cap))


def _bounded(seconds: float) -> float:
    """Return a delay that every store can add to its time, whatever the policy says."""
    return min(seconds, SECONDS_LIMIT) if seconds >= 0.0 else 0.0  # NaN is not
