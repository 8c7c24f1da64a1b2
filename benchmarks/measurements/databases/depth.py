"""The cost of calls with many messages and outcomes in the tables, and beside a long transaction."""

import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.harness.figures import shown
from benchmarks.harness.side_by_side import OURS
from benchmarks.measurements.databases.database_bench import DatabaseBench, MySQLBench

DEPTHS = {"full": (10_000, 1_000_000), "quick": (10_000, 100_000), "tiny": (1_000, 2_000)}
CALLS = {"reserve": "reserve of 100", "settle": "settle of 100", "enqueue": "enqueue of 1,000"}
DEPTH_BAR, SNAPSHOT_BAR = 1.15, 2.0
PROCESSES, WORKERS = 4, 4


def depth(bench: DatabaseBench) -> None:
    """Compare the calls on a shallow store and on a deep one, which take turns."""
    shallow, deep = DEPTHS[bench.scale.name]
    databases = [bench.fresh(database="shallow"), bench.fresh(database="deep")]
    bench.bench.run(OURS, way="bulk", url=databases[1].url, tasks=1)
    bench.add_outcomes(databases[1], deep)
    answer = bench.bench.run(
        "depth", urls=[each.url for each in databases], depths=[shallow, deep],
        rounds=bench.scale.depth_rounds,
    )  # fmt: skip
    totals = [0.0, 0.0]
    for call, words in CALLS.items():
        one, other = (statistics.median(each[call]) for each in answer["wall"])
        if call != "enqueue":
            totals = [totals[0] + one, totals[1] + other]
        bench.add(
            f"depth.{call}",
            f"{words}: time at {deep:,} waiting and finished against {shallow:,} waiting", "",
            [other / one], note=f"{shown(one * 1e3)} and {shown(other * 1e3)} ms",
        )  # fmt: skip
    bench.add(
        "depth.both", "reserve and settle together: the same", "", [totals[1] / totals[0]],
        at_most=DEPTH_BAR,
    )  # fmt: skip


def snapshot(bench: DatabaseBench) -> None:
    """Measure reserves while a transaction of another process stays open."""
    tasks = bench.scale.tasks
    alone, beside = (_reserves(bench, tasks, with_snapshot=each) for each in (False, True))
    last = len(beside) // 10 or 1
    usual, late = statistics.median(alone), statistics.median(beside[-last:])
    bench.add(
        "snapshot.reserve", f"reserve beside a transaction that was open for {tasks:,} tasks: time", "times",
        [late / usual], at_most=SNAPSHOT_BAR, note=f"{shown(usual * 1e3)} and {shown(late * 1e3)} ms",
    )  # fmt: skip
    bench.add("snapshot.slowest", "the same, the slowest reserve", "ms", [1e3 * max(beside)])


def _reserves(bench: DatabaseBench, tasks: int, *, with_snapshot: bool) -> Sequence[float]:
    bench.fill(tasks + tasks // 10)
    bench.analyse()
    if not with_snapshot:
        answer = bench.bench.run("leasing", url=bench.url, tasks=tasks)
    else:
        with bench.open_snapshot():
            answer = bench.bench.run("leasing", url=bench.url, tasks=tasks)
    reserves: list[float] = answer["reserves"]
    return reserves


def deadlocks(bench: MySQLBench) -> None:
    """Run sixteen workers on one queue, and count dead-locks of the server and warnings of the workers."""
    tasks = bench.scale.tasks
    bench.fill(tasks)
    bench.analyse()
    before = bench.status("Innodb_deadlocks")
    with ThreadPoolExecutor(PROCESSES) as threads:
        started = [
            threads.submit(bench.bench.run, OURS, way="crowd", url=bench.url, workers=WORKERS)
            for _ in range(PROCESSES)
        ]
        answers = [each.result() for each in started]
    workers = PROCESSES * WORKERS
    warnings = [text for answer in answers for text in answer["warnings"]]
    for text in dict.fromkeys(warnings):
        bench.bench.say(text)
    bench.add(
        "deadlocks.seen", f"{workers} workers, {tasks:,} tasks: warnings logged by the workers", "",
        [float(len(warnings))], at_most=0.0,
    )  # fmt: skip
    bench.add(
        "deadlocks.server", "the same: dead-locks in the server", "",
        [bench.status("Innodb_deadlocks") - before],
    )  # fmt: skip
    bench.add("deadlocks.left", "the same: tasks left", "", [float(bench.left())], at_most=0.0)
    bench.add(
        "deadlocks.speed", "the same: tasks a second", "/s",
        [tasks / max(answer["seconds"] for answer in answers)],
    )  # fmt: skip
