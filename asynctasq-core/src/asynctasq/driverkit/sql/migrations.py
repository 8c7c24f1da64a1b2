"""The steps that bring the tables of a store from one version to the next.

Version `n` is reached by the first `n` steps. A step is never changed once it was released.
"""

from collections.abc import Sequence

from asynctasq.errors import DriverError
from asynctasq.records import record


@record
class Step:
    """The statements that lead to one version."""

    name: str
    statements: Sequence[str]


def pending_steps(
    steps: Sequence[Step], current: int, *, store: str, usable_from: int | None = None
) -> Sequence[Step]:
    """Return the steps that a store still needs, in order.

    Args:
        steps: all that this release knows.
        current: the version of the tables in the store; 0 if there are none.
        store: the store in words, for the error.
        usable_from: as a newer release noted it in the store: releases that need at least this version
            can use the tables as they are. None if there is no such note.

    Raises:
        DriverError: the tables were changed by a newer release, and this one cannot use them.
    """
    needed = len(steps)
    if current > needed and (usable_from is None or usable_from > needed):
        raise DriverError(
            f"{store} must have tables of version {needed} or older, got version {current}, which a "
            f"newer release made. Upgrade asynctasq."
        )
    return steps[current:]


def check_version(store: str, current: int, needed: int, *, purpose: str) -> None:
    """Check that the tables of a store are new enough for a feature.

    Args:
        store: the store in words, for the error.
        current: the version of its tables.
        needed: the version that has a place for the feature.
        purpose: the feature as a verb, for the error.

    Raises:
        DriverError: they are not.
    """
    if current < needed:
        raise DriverError(
            f"{store} must have tables of version {needed} to {purpose}, got version {current}. Run "
            "`asynctasq migrate`."
        )
