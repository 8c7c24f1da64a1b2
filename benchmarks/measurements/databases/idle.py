"""A worker without tasks: how soon it starts the next one, and what it costs meanwhile."""

import time

from benchmarks.harness import machine
from benchmarks.harness.figures import percentiles
from benchmarks.harness.side_by_side import OURS
from benchmarks.measurements.databases.database_bench import (
    GYLO,
    PGQUEUER,
    DatabaseBench,
    MySQLBench,
    PostgresBench,
)

SOON = "dispatch to start, idle worker"
LONG_IDLE_SECONDS = 12.0
"""Longer than a worker on MySQL looks for work at its highest rate, and until its pauses are longest."""
LONG_IDLE_SAMPLES = {"full": 8, "quick": 4, "tiny": 1}


def latency_on_postgres(bench: PostgresBench) -> None:
    """Compare the latency with that of the fastest peers."""
    samples: dict[str, list[float]] = {OURS: [], GYLO: [], PGQUEUER: []}
    for _ in range(3):
        for name, taken in samples.items():
            taken.extend(_latencies(bench, name, bench.scale.latency_samples // 3 or 1))
    for name, title in ((OURS, "asynctasq"), (GYLO, "gylo"), (PGQUEUER, "PgQueuer")):
        bench.add(
            f"latency.{name}", f"{SOON}, {title}", "ms", samples[name],
            percentiles=percentiles(samples[name]), at_most=3.0 if name == OURS else None,
        )  # fmt: skip


def latency_on_mysql(bench: MySQLBench) -> None:
    """Measure the latency soon after the last work, and long after it."""
    soon = _latencies(bench, OURS, bench.scale.latency_samples)
    tiny = bench.scale.name == "tiny"
    later = _latencies(
        bench, OURS, LONG_IDLE_SAMPLES[bench.scale.name],
        idle_seconds=0.0 if tiny else LONG_IDLE_SECONDS,
    )  # fmt: skip
    bench.add("latency.soon", SOON, "ms", soon, percentiles=percentiles(soon), at_most=30.0)
    bench.add(
        "latency.later", f"{SOON}, {LONG_IDLE_SECONDS:.0f} seconds after the last work", "ms", later,
        percentiles=percentiles(later), at_most=250.0,
    )  # fmt: skip


def _latencies(
    bench: DatabaseBench, name: str, samples: int, *, idle_seconds: float = 0.0
) -> list[float]:
    bench.fresh(name)
    parameters: dict[str, object] = {"idle_seconds": idle_seconds} if idle_seconds else {}
    with bench.consumer(name) as process, bench.bench.folder() as folder:
        answer = bench.bench.run(
            name, python=bench.python(name), beside=[process], way="latency", url=bench.url,
            samples=samples, path=str(folder / "starts"), **parameters,
        )  # fmt: skip
    return [seconds * 1e3 for seconds in answer["seconds"]]


def idle_on_postgres(bench: PostgresBench) -> None:
    """Measure a worker that has nothing to do."""
    with bench.without_autovacuum():
        _idle(bench, "transactions", at_most=1.0)


def idle_on_mysql(bench: MySQLBench) -> None:
    """Measure a worker that has had nothing to do for some time."""
    with bench.query_log():
        _idle(bench, "looks for work", at_most=4.0)


def _idle(bench: DatabaseBench, counted: str, *, at_most: float) -> None:
    bench.fresh()
    seconds = max(bench.scale.idle_seconds, 0.2)
    with bench.consumer(OURS) as process:
        time.sleep(2.0 if bench.scale.name == "tiny" else LONG_IDLE_SECONDS)
        begun, before = time.monotonic(), machine.cpu_seconds(process)
        transactions = bench.transactions()
        time.sleep(seconds)
        executed = bench.transactions() - transactions
        used = machine.cpu_seconds(process) - before
        elapsed = time.monotonic() - begun
    bench.add("idle.cpu", "idle worker: processor time", "%", [100 * used / elapsed], at_most=1.0)
    bench.add(
        "idle.transactions",
        f"idle worker: {counted} a second",
        "/s",
        [executed / elapsed],
        at_most=at_most,
    )
