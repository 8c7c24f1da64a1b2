"""The checks of all themes, in the order in which a driver is best written."""

from types import ModuleType

from asynctasq.conformance import (
    bounds,
    cancel,
    concurrency,
    crash,
    damage,
    dead_letters,
    due,
    enqueue,
    expiry,
    inspect,
    keys,
    lease,
    lifetime,
    listings,
    news,
    order,
    outage,
    pause,
    progress,
    purge,
    races,
    real_time,
    results,
    schema,
    settle,
    unique,
    wait,
    workers,
)
from asynctasq.conformance.check import Check

THEMES: tuple[ModuleType, ...] = (
    lifetime,
    enqueue,
    due,
    lease,
    outage,
    settle,
    order,
    expiry,
    wait,
    concurrency,
    races,
    results,
    progress,
    cancel,
    unique,
    keys,
    dead_letters,
    inspect,
    listings,
    pause,
    purge,
    workers,
    news,
    schema,
    bounds,
    damage,
    crash,
    real_time,
)


def all_checks() -> list[Check]:
    """Every check; names are unique.

    Raises:
        ValueError: two checks have one name.
    """
    checks = [
        value for theme in THEMES for value in vars(theme).values() if isinstance(value, Check)
    ]
    names = [check.name for check in checks]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"two checks are called {', '.join(twice)}")
    return checks
