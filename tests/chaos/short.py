"""Storms that are short enough for every run of the tests."""

import random
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.faults.fault import Lanes
from tests.chaos.kinds import KINDS, Kind
from tests.chaos.report import Report
from tests.chaos.stores.store import Store
from tests.chaos.storm import Storm, new_seed

TASKS_PER_SECOND = 50


async def short_storm(store: Store, folder: Path) -> Report:
    """Run a few hundred tasks under all faults."""
    seed = new_seed()
    storm = Storm(store, folder, store.kinds(300, seed), store.faults(), seconds=8.0, seed=seed)
    return await storm.run(print)


QUICK = ("plain", "prioritized", "threaded", "once", "flaky", "unique", "progressing", "snoozing")
"""Kinds of tasks that need neither long nor a process."""


async def brief_storm(
    store: Store,
    folder: Path,
    lanes: Lanes | None = None,
    *,
    faults: int = 3,
    kinds: Sequence[Kind] | None = None,
) -> Report:
    """Run tasks under some faults of each lane, others in each run.

    Args:
        store: not started.
        folder: an empty one, for the ledger.
        lanes: of the faults, if not all of the store.
        faults: so many of each lane happen.
        kinds: of the tasks; by default two hundred, mixed.
    """
    seed = new_seed()
    chance = random.Random(seed)
    sampled = {
        name: chance.sample(list(lane), min(faults, len(lane)))
        for name, lane in (store.faults() if lanes is None else lanes).items()
    }
    mixed_kinds = store.kinds(200, seed) if kinds is None else kinds
    seconds = len(mixed_kinds) / TASKS_PER_SECOND
    return await Storm(store, folder, mixed_kinds, sampled, seconds=seconds, seed=seed).run(print)


def quick_kinds() -> list[Kind]:
    """Return eighty quick kinds of tasks, for stores whose brief storm takes too long for every run."""
    return [KINDS[name] for name in QUICK * 10]


async def calm_with_blocked_loops(store: Store, folder: Path) -> Report:
    """Run tasks without any fault, some of which block the event loop for longer than a lease."""
    kinds = [KINDS["blocking" if n % 50 == 10 else "plain"] for n in range(150)]
    return await Storm(store, folder, kinds, {}, seconds=3.0, seed=new_seed()).run(print)
