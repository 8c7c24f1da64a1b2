"""Dispatch no-op tasks to a store, for others to run."""

import asynctasq
from benchmarks.programs.protocol import answer, asked
from benchmarks.tasks import noop


async def fill(url: str, *, tasks: int, warm: int = 0) -> None:
    """Dispatch the measured tasks, and the warm-up tasks in the queue `warm`."""
    asynctasq.init({"driver": url})
    await asynctasq.dispatch_many([noop(number) for number in range(tasks)])
    await asynctasq.dispatch_many([noop(number).on_queue("warm") for number in range(warm)])


if __name__ == "__main__":
    asked_for = asked()
    asynctasq.run(fill(asked_for["url"], tasks=asked_for["tasks"], warm=asked_for["warm"]))
    answer()
