"""Dispatching many tasks, against bare inserts of the same bytes."""

from collections.abc import Sequence

from benchmarks.harness.bench import Bench
from benchmarks.harness.figures import Figure
from benchmarks.harness.stores import Store

RATIO_BAR = 0.3


def measure(bench: Bench, stores: Sequence[Store]) -> None:
    for store in stores:
        row = 0
        if store.name == "sqlite":
            with bench.new_store(store) as url:
                row = round(bench.run("row_bytes", url=url)["row"])
        ours: list[tuple[float, float]] = []
        bare: list[tuple[float, float]] = []
        for _ in range(bench.scale.runs):
            ours.append(_bulk(bench, store))
            if row:
                bare.append(_bare(bench, row))
        _tell(bench, store, ours)
        if row:
            _compare(bench, ours, bare, row)


def _bulk(bench: Bench, store: Store) -> tuple[float, float]:
    tasks = bench.scale.tasks
    with bench.new_store(store) as url:
        answer = bench.run("bulk", url=url, tasks=tasks)
    return answer["cpu_seconds"] / tasks, answer["seconds"] / tasks


def _bare(bench: Bench, row: int) -> tuple[float, float]:
    tasks = bench.scale.tasks
    with bench.folder() as folder:
        answer = bench.run("bare_inserts", path=str(folder / "bare.db"), tasks=tasks, row=row)
    return answer["cpu_seconds"] / tasks, answer["seconds"] / tasks


def _tell(bench: Bench, store: Store, ours: Sequence[tuple[float, float]]) -> None:
    title = f"dispatch_many to {store.name}"
    cpu, speed = tuple(cpu * 1e6 for cpu, _ in ours), tuple(1 / wall for _, wall in ours)
    bench.add(Figure(f"bulk.cpu.{store.name}", f"{title}: processor time for a task", "µs", cpu))
    bench.add(Figure(f"bulk.speed.{store.name}", f"{title}: tasks a second", "/s", speed))


def _compare(
    bench: Bench,
    ours: Sequence[tuple[float, float]],
    bare: Sequence[tuple[float, float]],
    row: int,
) -> None:
    bench.add(
        Figure(
            "bulk.bare.sqlite",
            f"bare inserts of {row} bytes: rows a second",
            "/s",
            tuple(1 / wall for _, wall in bare),
        )
    )
    bench.add(
        Figure(
            "bulk.ratio.sqlite",
            "dispatch_many to sqlite: speed against bare inserts",
            "",
            tuple(their / our for (_, our), (_, their) in zip(ours, bare, strict=True)),
            at_least=RATIO_BAR,
        )
    )
    bench.add(
        Figure(
            "bulk.cpu_ratio.sqlite",
            "the same in processor time",
            "",
            tuple(their / our for (our, _), (their, _) in zip(ours, bare, strict=True)),
        )
    )
