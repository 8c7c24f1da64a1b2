"""The durations of leases: the defaults that depend on the lease, and how they must fit each other."""

from collections.abc import Callable, Iterator

DEFAULT_STALL_SECONDS = 600.0


def heartbeat_of(interval: float | None, lease: float) -> float:
    """Return the seconds between two renewals of a lease, for the interval that was set."""
    return lease / 3 if interval is None else interval


def stall_of(limit: float | None, lease: float) -> float:
    """Return the seconds for which an event loop may be blocked, for the limit that was set."""
    return max(DEFAULT_STALL_SECONDS, lease) if limit is None else limit


def heartbeat_problem(heartbeat: float, lease: float) -> str:
    """Return the problem of an interval between renewals; empty if there is none."""
    if heartbeat <= lease / 2:
        return ""
    return (
        f"heartbeat_interval must be at most half of lease, so that leases survive a late renewal; "
        f"got {heartbeat:g} and {lease:g} s. Lower heartbeat_interval, or raise lease."
    )


def stall_problem(stall: float, lease: float) -> str:
    """Return the problem of a limit for blocked loops; empty if there is none."""
    if stall >= lease:
        return ""
    return (
        f"stall_limit must be at least lease, because leases last that long anyway; got {stall:g} and "
        f"{lease:g} s. Raise stall_limit, or lower lease."
    )


_PROBLEMS: tuple[tuple[str, Callable[[float, float], str]], ...] = (
    ("heartbeat_interval", heartbeat_problem),
    ("stall_limit", stall_problem),
)


def duration_problems(
    heartbeat_interval: float | None, stall_limit: float | None, lease: float
) -> Iterator[tuple[str, str]]:
    """Yield the name of each duration that does not fit the lease, and its problem."""
    heartbeat, stall = heartbeat_of(heartbeat_interval, lease), stall_of(stall_limit, lease)
    for (name, problem_of), seconds in zip(_PROBLEMS, (heartbeat, stall), strict=True):
        problem = problem_of(seconds, lease)
        if problem:
            yield name, problem
