"""A worker that empties a queue, beside a bare loop, peers and the other database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.harness.databases import postgres
from benchmarks.harness.side_by_side import OURS, Sample, per_task, ratios
from benchmarks.measurements.databases.database_bench import (
    GYLO,
    PGQUEUER,
    PROCRASTINATE,
    SAQ,
    DatabaseBench,
    MySQLBench,
    PostgresBench,
)

FAST_PEER, SLOW_PEER = 12_000, 700
"""Tasks that a peer may run in a second of the time that it gets."""
SERVER_BAR = 1.6


@dataclass(frozen=True)
class Way:
    """One of those that take turns."""

    title: str
    measure: Callable[[], Sample]
    bar: float | None = None
    """How many times as fast we have to be."""
    samples: list[Sample] = field(default_factory=list[Sample])

    def times(self, place: int) -> list[float]:
        """Return one of the times of all samples."""
        return [sample[place] for sample in self.samples]


def drain_on_postgres(bench: PostgresBench) -> None:
    """Compare with peers on tables that were analysed, and with ourselves on tables that were not."""
    tasks, fast, slow = bench.scale.tasks, bench.peer_tasks(FAST_PEER), bench.peer_tasks(SLOW_PEER)
    ways = {
        "ours": Way("asynctasq", lambda: ours(bench, tasks)),
        "never_analysed": Way(
            "asynctasq, tables never analysed", lambda: ours_never_analysed(bench, tasks)
        ),
        "bare": Way("bare loop of asyncpg", lambda: bare(bench, tasks), bar=0.5),
        "pgqueuer": Way("PgQueuer", lambda: peer(bench, PGQUEUER, "bulk", fast), bar=1.5),
        "gylo": Way("gylo", lambda: peer(bench, GYLO, "bulk", fast), bar=1.5),
        "procrastinate": Way(
            "procrastinate", lambda: peer(bench, PROCRASTINATE, "bulk", slow), bar=20.0
        ),
        "saq": Way("SAQ", lambda: peer(bench, SAQ, "gather", slow), bar=20.0),
    }
    take_turns(bench, ways)
    report(bench, ways, [key for key in ways if key != "never_analysed"])
    bench.add(
        "drain.never_analysed", "drain, asynctasq: tables never analysed against analysed", "times",
        ratios(ways["never_analysed"].times(0), ways["ours"].times(0)), at_least=0.85,
    )  # fmt: skip
    _add_server_ratio(bench, ways)


def drain_on_mysql(bench: MySQLBench) -> None:
    """Compare with a bare loop, and with us on PostgreSQL in the same minutes."""
    tasks = bench.scale.tasks
    with postgres() as server:
        other = PostgresBench(bench.bench, server)
        ways = {
            "ours": Way("asynctasq", lambda: ours(bench, tasks)),
            "bare": Way("bare loop of aiomysql", lambda: bare(bench, tasks), bar=0.35),
            "postgres": Way("asynctasq on PostgreSQL", lambda: ours(other, tasks), bar=0.3),
        }
        take_turns(bench, ways)
    report(bench, ways, list(ways))
    _add_server_ratio(bench, ways)


def take_turns(bench: DatabaseBench, ways: Mapping[str, Way]) -> None:
    """Measure each way once, then each again."""
    for _ in range(bench.scale.runs):
        for way in ways.values():
            way.samples.append(way.measure())


def report(bench: DatabaseBench, ways: Mapping[str, Way], shown: Sequence[str]) -> None:
    """Add the figures of each way, and how many times as fast we were."""
    for key in shown:
        title = ways[key].title
        wall, cpu, server = (ways[key].times(place) for place in range(3))
        bench.add(
            f"drain.speed.{key}", f"drain, {title}: tasks a second", "/s", [1 / w for w in wall]
        )
        bench.add(
            f"drain.worker.{key}", f"drain, {title}: worker's processor time a task", "µs",
            [c * 1e6 for c in cpu],
        )  # fmt: skip
        bench.add(
            f"drain.server.{key}", f"drain, {title}: server's processor time a task", "µs",
            [s * 1e6 for s in server],
        )  # fmt: skip
        if key != "ours":
            bench.add(
                f"drain.ratio.{key}", f"drain, asynctasq against {title}", "times",
                ratios(ways["ours"].times(0), wall), at_least=ways[key].bar,
            )  # fmt: skip


def _add_server_ratio(bench: DatabaseBench, ways: Mapping[str, Way]) -> None:
    bench.add(
        "drain.server_ratio", "drain: server's processor time, asynctasq against the bare loop", "times",
        ratios(ways["bare"].times(2), ways["ours"].times(2)), at_most=SERVER_BAR,
    )  # fmt: skip


def ours(bench: DatabaseBench, tasks: int) -> Sample:
    """Run tasks from tables that were analysed."""
    bench.fill(tasks)
    bench.analyse()
    return per_task(bench.program(OURS, "drain"), tasks)


def ours_never_analysed(bench: PostgresBench, tasks: int) -> Sample:
    """Run tasks from tables without statistics."""
    bench.fill(tasks)
    if bench.is_analysed():
        raise RuntimeError("The server analysed the table of messages by itself. Measure again.")
    return per_task(bench.program(OURS, "drain"), tasks)


def bare(bench: DatabaseBench, tasks: int) -> Sample:
    """Run the bare loop on messages of ours."""
    bench.fill(tasks)
    bench.analyse()
    answer = bench.program(bench.bare, "drain")
    if answer["done"] != tasks:
        raise RuntimeError(f"The bare loop handled {answer['done']} of {tasks} messages.")
    return per_task(answer, tasks)


def peer(bench: PostgresBench, name: str, fill: str, tasks: int) -> Sample:
    """Run tasks of a peer from tables that were analysed."""
    bench.fresh(name)
    bench.program(name, fill, tasks=tasks)
    bench.analyse()
    return per_task(bench.program(name, "drain", tasks=tasks), tasks)
