"""A worker that runs no-op tasks: its processor time for each, and its speed against a bare loop."""

from collections.abc import Sequence

from benchmarks.harness.bench import Bench
from benchmarks.harness.figures import Figure
from benchmarks.harness.stores import Store

CPU_BARS = {"memory": 35.0}
"""Microseconds for a task."""
RATIO_BAR = 0.3
WARM = 1_000


def measure(bench: Bench, stores: Sequence[Store]) -> None:
    for store in stores:
        if store.name == "sqlite":
            _against_bare_loop(bench, store)
        else:
            _alone(bench, store)


def _alone(bench: Bench, store: Store) -> None:
    answers = [worker(bench, store, bench.scale.tasks) for _ in range(bench.scale.runs)]
    _tell(bench, store, answers)


def worker(bench: Bench, store: Store, tasks: int) -> tuple[float, float]:
    """Seconds of processor and clock for a task, in a worker on a new store."""
    warm = min(WARM, tasks)
    with bench.new_store(store) as url:
        if store.shared:
            bench.run("fill", url=url, tasks=tasks, warm=warm)
        answer = bench.run("worker", url=url, tasks=tasks, warm=warm, filled=store.shared)
    return answer["cpu_seconds"] / tasks, answer["seconds"] / tasks


def bare_loop(bench: Bench, tasks: int, body: int) -> tuple[float, float]:
    """Measure the same work in a bare loop on SQLite."""
    tasks = max(100, tasks // 100 * 100)
    with bench.folder() as folder:
        answer = bench.run(
            "bare_loop", path=str(folder / "bare.db"), tasks=tasks, warm=min(WARM, tasks), body=body
        )
    return answer["cpu_seconds"] / tasks, answer["seconds"] / tasks


def _against_bare_loop(bench: Bench, store: Store) -> None:
    with bench.new_store(store) as url:
        body = round(bench.run("row_bytes", url=url)["body"])
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    for _ in range(bench.scale.runs):
        ours.append(worker(bench, store, bench.scale.tasks))
        bare.append(bare_loop(bench, bench.scale.tasks, body))
    _tell(bench, store, ours)
    bench.add(
        Figure(
            "worker.bare.sqlite",
            "bare loop on SQLite: tasks a second",
            "/s",
            tuple(1 / wall for _, wall in bare),
        )
    )
    bench.add(
        Figure(
            "worker.ratio.sqlite",
            "worker on sqlite: speed against the bare loop",
            "",
            tuple(their / our for (_, our), (_, their) in zip(ours, bare, strict=True)),
            at_least=RATIO_BAR,
        )
    )
    bench.add(
        Figure(
            "worker.cpu_ratio.sqlite",
            "the same in processor time",
            "",
            tuple(their / our for (our, _), (their, _) in zip(ours, bare, strict=True)),
        )
    )


def _tell(bench: Bench, store: Store, answers: Sequence[tuple[float, float]]) -> None:
    bench.add(
        Figure(
            f"worker.cpu.{store.name}",
            f"worker on {store.name}: processor time for a task",
            "µs",
            tuple(cpu * 1e6 for cpu, _ in answers),
            at_most=CPU_BARS.get(store.name),
        )
    )
    bench.add(
        Figure(
            f"worker.speed.{store.name}",
            f"worker on {store.name}: tasks a second",
            "/s",
            tuple(1 / wall for _, wall in answers),
        )
    )
