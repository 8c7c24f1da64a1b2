"""The cost of observers: `python benchmarks/observers.py [tasks]`.

CPU of dispatching and running a task that does nothing, on the memory driver: with no observer, with one
at every hook, and with a wrapper. Measured in turns; the medians count.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from statistics import median

import asynctasq
from asynctasq import App, Worker, hookimpl, task
from asynctasq.contracts.executor import AttemptResult, Call, Wrapper
from asynctasq.plugins.observers import OBSERVER_HOOKS

ROUNDS = 5


@task
async def nothing(number: int) -> None:
    """Do nothing."""


class Watches:
    """Implements every hook."""


class WatchesAsync:
    """Implements every hook, in coroutines."""


class Wraps:
    """Stands around every run."""

    @hookimpl
    def wrap_execute(self, call_next: Wrapper) -> Wrapper:
        """Change nothing."""

        async def around(call: Call) -> AttemptResult:
            return await call_next(call)

        return around


def _sync(hook: str) -> Callable[..., None]:
    def observe(self: object, context: object) -> None:
        pass

    observe.__name__ = hook
    return observe


def _async(hook: str) -> Callable[..., object]:
    async def observe(self: object, context: object) -> None:
        pass

    observe.__name__ = hook
    return observe


for _hook in OBSERVER_HOOKS:
    setattr(Watches, _hook, hookimpl(_sync(_hook)))
    setattr(WatchesAsync, _hook, hookimpl(_async(_hook)))

PLUGINS: dict[str, type | None] = {
    "no observer": None,
    "one at every hook": Watches,
    "one at every hook, async": WatchesAsync,
    "a wrapper": Wraps,
}


async def microseconds(plugin: type | None, count: int) -> float:
    """CPU for each task, all threads together."""
    app = App({"driver": "memory"})
    if plugin is not None:
        app.plugins.register(plugin())
    async with app:
        started = time.process_time()
        await app.dispatch_many(nothing(number) for number in range(count))
        await Worker(app=app, burst=True, handle_signals=False).start()
        return (time.process_time() - started) / count * 1e6


def main(count: int) -> None:
    """Measure, and print."""
    logging.disable(logging.WARNING)
    print(
        f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, Python {sys.version.split()[0]}"
    )
    taken: dict[str, list[float]] = {name: [] for name in PLUGINS}
    for _ in range(ROUNDS):
        for name, plugin in PLUGINS.items():
            taken[name].append(asynctasq.run(microseconds(plugin, count)))
    without = median(taken["no observer"])
    for name, each in taken.items():
        print(f"{name:<26} {median(each):6.1f} us a task  {median(each) - without:+6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
