"""From dispatch to start on an idle worker."""

from collections.abc import Sequence

from benchmarks.harness.bench import Bench, worker_command
from benchmarks.harness.figures import Figure, percentiles
from benchmarks.harness.stores import Store

INSIDE_BAR_MS = 3.0
ACROSS_BAR_MS = 25.0


def measure(bench: Bench, stores: Sequence[Store]) -> None:
    for store in stores:
        with bench.new_store(store) as url, bench.folder() as folder:
            answer = bench.run(
                "latency_inside",
                url=url,
                samples=bench.scale.latency_samples,
                bare=str(folder / "bare.db") if store.name == "sqlite" else None,
            )
        _tell(bench, store, "inside", "in one process", answer["seconds"], INSIDE_BAR_MS)
        if answer["commits"]:
            _tell_commits(bench, store, answer["commits"])
        if store.shared:
            _tell(bench, store, "across", "across processes", across(bench, store), ACROSS_BAR_MS)


def _tell_commits(bench: Bench, store: Store, seconds: Sequence[float]) -> None:
    """Add the time of a bare synced commit, for which every dispatch waits."""
    samples = [each * 1e3 for each in seconds]
    bench.add(
        Figure(
            f"latency.commit.{store.name}",
            "of which one synced commit, measured beside it on a bare SQLite file",
            "ms",
            tuple(samples),
            percentiles=percentiles(samples),
        )
    )


def across(bench: Bench, store: Store) -> list[float]:
    with (
        bench.new_store(store) as url,
        bench.started(worker_command(url)) as process,
    ):
        answer = bench.run(
            "latency_across", beside=[process.pid], url=url, samples=bench.scale.latency_samples
        )
    seconds: list[float] = answer["seconds"]
    return seconds


def _tell(
    bench: Bench, store: Store, key: str, where: str, seconds: Sequence[float], bar: float
) -> None:
    samples = [each * 1e3 for each in seconds]
    bench.add(
        Figure(
            f"latency.{key}.{store.name}",
            f"dispatch to start, idle worker, {store.name}, {where}",
            "ms",
            tuple(samples),
            at_most=bar,
            percentiles=percentiles(samples),
        )
    )
