"""The kinds of tasks of a storm: how many there are of each, and how each may end."""

import random
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from asynctasq import OnConflict, Unique, UniqueUntil
from asynctasq.records import record
from tests.chaos.inside import tasks

QUEUES = ("high", "default", "low")
OWN_QUEUES = ("own-0", "own-1", "own-2")
"""One for each member of the fleet, which serves it alone."""


class End(StrEnum):
    """The end of a message. Those of dead letters have the names of their reasons."""

    EFFECT = "completed"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    LOST = "lost"
    UNDECODABLE = "undecodable"


@record
class Kind:
    """A kind of task."""

    name: str
    share: float
    """Per cent of all tasks; at least one task."""
    make: Callable[[int], Any]
    ends: frozenset[str] = frozenset({End.EFFECT})
    """The correct ends, regardless of faults of workers and store."""
    options: Callable[[random.Random], Mapping[str, Any]] = lambda _: {}
    """Options of a dispatch."""
    in_process: bool = False
    """True for tasks in a child process, which may die before the task's code starts."""


def _unique(chance: random.Random) -> Mapping[str, Any]:
    until = chance.choice([UniqueUntil.SETTLED, UniqueUntil.STARTED])
    return {"unique": Unique(f"skip-{chance.randrange(40)}", until=until)}


def _replace(chance: random.Random) -> Mapping[str, Any]:
    unique = Unique(f"replace-{chance.randrange(10)}", on_conflict=OnConflict.REPLACE)
    return {"unique": unique, "delay": 1.0}


def _delayed(chance: random.Random) -> Mapping[str, Any]:
    return {"delay": chance.uniform(0.1, 8.0)}


def _prioritized(chance: random.Random) -> Mapping[str, Any]:
    return {"priority": chance.randrange(10)}


def _expiring(chance: random.Random) -> Mapping[str, Any]:
    return {"expires": chance.uniform(0.05, 2.0)}


_KINDS = (
    Kind("plain", 37, tasks.plain),
    Kind("delayed", 10, tasks.plain, options=_delayed),
    Kind("prioritized", 9, tasks.plain, options=_prioritized),
    Kind("threaded", 9, tasks.threaded),
    Kind("once", 8, tasks.once, ends=frozenset({End.EFFECT, End.LOST})),
    Kind("flaky", 6, tasks.flaky),
    Kind("unique", 5, tasks.plain, options=_unique),
    Kind("progressing", 4, tasks.progressing),
    Kind("replacing", 3, tasks.plain, ends=frozenset({End.EFFECT, End.REPLACED}), options=_replace),
    Kind("snoozing", 3, tasks.snoozing),
    Kind("computing", 2, tasks.computing, in_process=True),
    Kind("computing_async", 1, tasks.computing_async, in_process=True),
    Kind("sleeper", 1, tasks.sleeper, ends=frozenset({End.CANCELLED})),
    Kind(
        "expiring",
        1,
        tasks.plain,
        ends=frozenset({End.EFFECT, End.EXPIRED}),
        options=_expiring,
    ),
    Kind("hopeless", 0.5, tasks.hopeless),  # once it has been cured
    Kind("rejected", 0.5, tasks.rejected, ends=frozenset({End.REJECTED})),
    # These cost a process or the time of a whole worker, so they are few.
    Kind("blocking", 0.01, tasks.blocking),
    Kind("hogging", 0.01, tasks.hogging),
    Kind("exits_worker", 0.01, tasks.exits_worker),
    Kind("exits_child", 0.005, tasks.exits_child, ends=frozenset({End.FAILED}), in_process=True),
    Kind("killed_child", 0.005, tasks.killed_child, in_process=True),
    Kind("growing_child", 0.005, tasks.growing_child, in_process=True),
    Kind("hanging", 0.005, tasks.hanging, ends=frozenset({End.FAILED}), in_process=True),
)
KINDS: Mapping[str, Kind] = {each.name: each for each in _KINDS}


def mixed(number: int, seed: int) -> list[Kind]:
    """Mix so many tasks in random order, at least one of each kind."""
    kinds = [each for each in _KINDS for _ in range(max(1, round(number * each.share / 100)))]
    random.Random(seed).shuffle(kinds)
    return kinds
