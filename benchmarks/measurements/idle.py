"""A worker with nothing to do: its processor time and memory; and memory after many tasks."""

import time
from collections.abc import Sequence

from benchmarks.harness import machine
from benchmarks.harness.bench import Bench, worker_command
from benchmarks.harness.figures import Figure
from benchmarks.harness.stores import Store

CPU_BAR_PERCENT = 1.0
MEMORY_BAR_MIB = 60.0
GROWTH_BAR_MIB = 1.0
"""The growth that the allocator may cause; 5 bytes a task."""


def measure(bench: Bench, stores: Sequence[Store]) -> None:
    for store in stores:
        _at_rest(bench, store)
        if store.shared:  # else the store's own memory, with results and outcomes, would be in it
            _growth(bench, store)


def _at_rest(bench: Bench, store: Store) -> None:
    seconds = bench.scale.idle_seconds
    with bench.new_store(store) as url:
        bench.run("fill", url=url, tasks=10, warm=0)  # so that it has worked before it rests
        with bench.started(worker_command(url)) as process:
            time.sleep(min(3.0, 2 + seconds))
            begun, before = time.monotonic(), machine.cpu_seconds(process.pid)
            time.sleep(seconds)
            used = machine.cpu_seconds(process.pid) - before
            percent = 100 * used / (time.monotonic() - begun)
            memory = machine.resident_mib(process.pid)
    bench.add(
        Figure(
            f"idle.cpu.{store.name}",
            f"idle worker on {store.name}: processor time",
            "%",
            (percent,),
            at_most=CPU_BAR_PERCENT,
        )
    )
    bench.add(
        Figure(
            f"idle.memory.{store.name}",
            f"idle worker on {store.name}: memory",
            "MiB",
            (memory,),
            at_most=MEMORY_BAR_MIB,
        )
    )


def _growth(bench: Bench, store: Store) -> None:
    first, last = bench.scale.growth
    with bench.new_store(store) as url:
        bench.run("fill", url=url, tasks=last, warm=0)
        early, late = bench.run("growth", url=url, after=[first, last])["mib"]
    bench.add(
        Figure(
            f"growth.{store.name}",
            f"growth of a worker on {store.name} from {first:,} to {last:,} tasks",
            "MiB",
            (late - early,),
            at_most=GROWTH_BAR_MIB,
            note=f"{early:.1f} to {late:.1f} MiB",
        )
    )
