"""The cost of calls when many messages wait."""

import statistics
from collections.abc import Sequence

from benchmarks.harness.bench import Bench
from benchmarks.harness.figures import Figure, shown
from benchmarks.harness.stores import Store

BAR = 1.25
CALLS = {"reserve": "reserve of 100", "settle": "settle of 100", "enqueue": "enqueue of 1,000"}
BARRED = ("reserve", "enqueue")


def measure(bench: Bench, stores: Sequence[Store]) -> None:
    small, large = bench.scale.depths
    for store in stores:
        with bench.new_store(store) as shallow, bench.new_store(store) as deep:
            answer = bench.run(
                "depth",
                urls=[shallow, deep],
                depths=[small, large],
                rounds=bench.scale.depth_rounds,
            )
        for call, words in CALLS.items():
            for clock, title in (("cpu", "processor time"), ("wall", "time")):
                one, other = (statistics.median(each[call]) for each in answer[clock])
                bench.add(
                    Figure(
                        f"depth.{call}.{clock}.{store.name}",
                        f"{words}, {store.name}: {title} at {large:,} waiting against {small:,}",
                        "",
                        (other / one,),
                        at_most=BAR if call in BARRED else None,
                        note=f"{shown(one * 1e3)} and {shown(other * 1e3)} ms",
                    )
                )
