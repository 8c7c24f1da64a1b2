"""Dispatch in bulk, by concurrent calls, one after the other, and over many connections."""

from collections.abc import Mapping

from benchmarks.harness.side_by_side import OURS, ratios
from benchmarks.measurements.databases.database_bench import (
    GYLO,
    PGQUEUER,
    PROCRASTINATE,
    SAQ,
    DatabaseBench,
    PostgresBench,
)

APPS = 16
NAMES = {OURS: "asynctasq", PGQUEUER: "PgQueuer", GYLO: "gylo", PROCRASTINATE: "procrastinate", SAQ: "SAQ"}  # fmt: skip
WAYS = {
    "bulk": ("dispatch in bulk", (PGQUEUER, GYLO, PROCRASTINATE), {PGQUEUER: 1.5}),
    "gather": ("dispatch, gather of a hundred", (PGQUEUER, SAQ), {PGQUEUER: 3.0}),
    "single": ("dispatch, one after the other", (PGQUEUER, GYLO, PROCRASTINATE, SAQ), {}),
}
"""For each way its title, the peers that have it, and how many times as fast we have to be."""
BEST_PEER_BAR = 0.95


def dispatch_on_postgres(bench: PostgresBench) -> None:
    """Compare each way of dispatching with those peers that have it."""
    for way, (title, peers, bars) in WAYS.items():
        tasks = bench.scale.tasks if way == "bulk" else max(300, bench.scale.tasks // 20)
        walls: dict[str, list[float]] = {name: [] for name in (OURS, *peers)}
        for _ in range(bench.scale.runs):
            for name, found in walls.items():
                few = tasks if name == OURS else max(300, tasks // 5)
                found.append(_seconds(bench, name, way, few))
        for name, found in walls.items():
            bench.add(
                f"dispatch.{way}.{name}", f"{title}, {NAMES[name]}: tasks a second", "/s",
                [1 / wall for wall in found],
            )  # fmt: skip
        for name in bars:
            bench.add(
                f"dispatch.{way}.ratio", f"{title}, asynctasq against {NAMES[name]}", "times",
                ratios(walls[OURS], walls[name]), at_least=bars[name],
            )  # fmt: skip
        if not bars:
            _add_best(bench, way, title, walls)


def _add_best(bench: DatabaseBench, way: str, title: str, walls: Mapping[str, list[float]]) -> None:
    best = [
        min(each) for each in zip(*(walls[name] for name in walls if name != OURS), strict=True)
    ]
    bench.add(
        f"dispatch.{way}.ratio", f"{title}, asynctasq against the best of them", "times",
        ratios(walls[OURS], best), at_least=BEST_PEER_BAR,
    )  # fmt: skip


def dispatch_on_mysql(bench: DatabaseBench) -> None:
    """Measure each way of dispatching."""
    for way, (title, _, _) in WAYS.items():
        tasks = bench.scale.tasks if way == "bulk" else max(300, bench.scale.tasks // 20)
        walls = [_seconds(bench, OURS, way, tasks) for _ in range(bench.scale.runs)]
        bench.add(
            f"dispatch.{way}.{OURS}", f"{title}: tasks a second", "/s", [1 / w for w in walls]
        )


def connections(bench: PostgresBench) -> None:
    """Measure many connections that dispatch while no worker sleeps, against no notifications at all."""
    tasks = max(2 * APPS, bench.scale.tasks // 10)
    walls: dict[str, list[float]] = {"": [], "?listen=false": []}
    for _ in range(bench.scale.runs):
        for options, found in walls.items():
            bench.fresh()
            answer = bench.program(
                OURS, "connections", url=bench.url + options, tasks=tasks, apps=APPS
            )
            found.append(answer["seconds"] / tasks)
    for key, options, title in (
        ("with", "", ""),
        ("without", "?listen=false", ", no notifications"),
    ):
        bench.add(
            f"connections.{key}", f"dispatch over {APPS} connections{title}: tasks a second", "/s",
            [1 / wall for wall in walls[options]],
        )  # fmt: skip
    bench.add(
        "connections.ratio", "the same, with notifications against without", "times",
        ratios(walls[""], walls["?listen=false"]), at_least=BEST_PEER_BAR,
    )  # fmt: skip


def _seconds(bench: DatabaseBench, name: str, way: str, tasks: int) -> float:
    bench.fresh(name)
    seconds: float = bench.program(name, way, tasks=tasks)["seconds"]
    return seconds / tasks
