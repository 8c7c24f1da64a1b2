"""Storms that are short enough for every run of the tests."""

import random
from pathlib import Path

from tests.chaos.faults.fault import Lanes
from tests.chaos.kinds import KINDS, mixed
from tests.chaos.report import Report
from tests.chaos.stores.store import Store
from tests.chaos.storm import Storm, new_seed


async def short_storm(store: Store, folder: Path) -> Report:
    """Run a few hundred tasks under all faults."""
    seed = new_seed()
    storm = Storm(store, folder, mixed(300, seed), store.faults(), seconds=8.0, seed=seed)
    return await storm.run(print)


BRIEF = ("plain", "prioritized", "threaded", "once", "flaky", "unique", "progressing", "snoozing")
"""Kinds of tasks that need neither long nor a process."""


async def brief_storm(store: Store, folder: Path, faults: Lanes) -> Report:
    """Run eighty tasks under a few faults, for stores whose short storm takes too long for every run."""
    kinds = [KINDS[name] for name in BRIEF * 10]
    return await Storm(store, folder, kinds, faults, seconds=3.0, seed=new_seed()).run(print)


async def sampled_storm(store: Store, folder: Path, *, faults: int) -> Report:
    """Run tasks under some faults of each lane, others in each run."""
    seed = new_seed()
    chance = random.Random(seed)
    lanes = {
        name: chance.sample(list(lane), min(faults, len(lane)))
        for name, lane in store.faults().items()
    }
    storm = Storm(store, folder, mixed(200, seed), lanes, seconds=4.0, seed=seed)
    return await storm.run(print)


async def calm_with_blocked_loops(store: Store, folder: Path) -> Report:
    """Run tasks without any fault, some of which block the event loop for longer than a lease."""
    kinds = [KINDS["blocking" if n % 50 == 10 else "plain"] for n in range(150)]
    return await Storm(store, folder, kinds, {}, seconds=3.0, seed=new_seed()).run(print)
