"""Measure asynctasq on RabbitMQ: `python benchmarks/rabbitmq_bench.py [--quick] [--only PART]`.

The rates are measured beside Celery and taskiq on one server, in turns: no-op tasks, confirms, late
acknowledgements, no results. Of these only the ratios count. The other parts measure the latency of an idle worker,
the time at which delayed tasks begin, and the growth of a worker's memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "benchmarks" / "programs"
PEERS = {
    "celery_tasks": ("celery", ("celery",)),
    "taskiq_rabbitmq": ("taskiq-aio-pika", ("taskiq", "taskiq-aio-pika", "uvloop")),
}
"""Programs: name of the environment, and what is in it."""
RATIOS = {"celery_tasks": 3.0, "taskiq_rabbitmq": 2.0, "bulk": 5.0}
"""How many times faster asynctasq has to be; the last one is bulk against one at a time."""
LATENCY_MS = {"classic": 3.0, "quorum": 8.0}
"""Longest median from the dispatch to the start of a task, by the type of the queue."""
IN_TIME = 0.95
"""Share of delayed tasks that begin within a second of their time, at least."""
GROWN_MIB = 3.0
"""Growth of memory that is noise."""
SECONDS = 900


@dataclass(frozen=True)
class Figure:
    """One figure, and its bar."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def is_missed(self) -> bool:
        """True if the figure is beyond its bar."""
        too_small = self.least is not None and self.value < self.least
        return too_small or (self.most is not None and self.value > self.most)

    def __str__(self) -> str:
        bar = ""
        if self.least is not None:
            bar = f", at least {self.least:g} wanted"
        elif self.most is not None:
            bar = f", at most {self.most:g} wanted"
        missed = " (missed)" if self.is_missed else ""
        return f"{self.name}: {self.value:.2f} {self.unit}{bar}{missed}"


def measured(python: Path | str, program: str, *arguments: str) -> dict[str, float]:
    """Run a program that other environments share; return its figures."""
    return _answer([str(python), str(PROGRAMS / f"{program}.py"), *arguments])


def ran(program: str, **parameters: object) -> dict[str, Any]:
    """Run a program of asynctasq; return its answer."""
    return _answer([sys.executable, "-m", f"benchmarks.programs.{program}", json.dumps(parameters)])


def _answer(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def new_url(url: str, queue_type: str = "classic") -> str:
    """Return the URL of a namespace that is empty."""
    return f"{url}?queue_type={queue_type}&namespace=bench-{uuid4().hex}"


def rates(url: str, asked: argparse.Namespace) -> list[Figure]:
    """Measure the rates beside those of the peers."""
    from benchmarks.harness.environments import installed

    tasks, runs = ("2000", 1) if asked.quick else ("10000", 3)
    pythons = {
        program: installed(asked.environments, name, packages, print)
        for program, (name, packages) in PEERS.items()
    }
    ratios: dict[str, list[float]] = {name: [] for name in RATIOS}
    for _ in range(runs):
        ours = measured(sys.executable, "rabbitmq_tasks", url, tasks, "classic")
        print(f"asynctasq: {ours['rate']:,.0f}/s, bulk dispatch {ours['bulk']:,.0f}/s")
        ratios["bulk"].append(ours["bulk"] / ours["single"])
        for program, python in pythons.items():
            theirs = measured(python, program, url, tasks)
            print(f"{PEERS[program][0]}: {theirs['rate']:,.0f}/s")
            ratios[program].append(ours["rate"] / theirs["rate"])
    return [
        Figure(name, statistics.median(found), "times", least=RATIOS[name])
        for name, found in ratios.items()
    ]


def latency(url: str, asked: argparse.Namespace) -> list[Figure]:
    """Measure the time from the dispatch to the start of a task on an idle worker."""
    samples = 60 if asked.quick else 300
    figures: list[Figure] = []
    for queue_type, most in LATENCY_MS.items():
        where = new_url(url, queue_type)
        answer = ran("latency_inside", url=where, samples=samples, bare=None)
        found = sorted(each * 1e3 for each in answer["seconds"])
        figures += [
            Figure(
                f"latency on {queue_type} queues, median", found[len(found) // 2], "ms", most=most
            ),
            Figure(f"latency on {queue_type} queues, p95", found[len(found) * 95 // 100], "ms"),
        ]
    return figures


def delays(url: str, asked: argparse.Namespace) -> list[Figure]:
    """Measure when tasks with random delays begin."""
    figures: list[Figure] = []
    for queue_type in LATENCY_MS:
        where = new_url(url, queue_type)
        late = ran("rabbitmq_delays", url=where, delays=300, seed=asked.seed)["late"]
        share = sum(each <= 1.0 for each in late) / len(late)
        figures += [
            Figure(
                f"early of 300 delays on {queue_type} queues", sum(x < 0 for x in late), "", most=0
            ),
            Figure(
                f"within a second of their time on {queue_type} queues", share, "", least=IN_TIME
            ),
            Figure(
                f"median of their lateness on {queue_type} queues", statistics.median(late), "s"
            ),
        ]
    return figures


def memory(url: str, asked: argparse.Namespace) -> list[Figure]:
    """Measure the memory of a worker after many tasks, and after many more."""
    few, many = (5_000, 20_000) if asked.quick else (20_000, 120_000)
    where = new_url(url)
    ran("fill", url=where, tasks=many, warm=0)
    first, last = ran("growth", url=where, after=[few, many])["mib"]
    name = f"growth of memory over {many - few:,} tasks"
    return [Figure(name, last - first, "MiB", most=GROWN_MIB)]


PARTS: Mapping[str, Callable[[str, argparse.Namespace], list[Figure]]] = {
    "rates": rates,
    "latency": latency,
    "delays": delays,
    "memory": memory,
}


def main(arguments: list[str]) -> int:
    """Measure; return 1 if a bar was missed."""
    from tests.servers.rabbitmq import rabbitmq_server

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tasks and runs")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure only this part")
    parser.add_argument("--seed", type=int, default=14, help="of the delays")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venvs")
    asked = parser.parse_args(arguments)
    figures: list[Figure] = []
    with rabbitmq_server() as url:
        for name in asked.only or PARTS:
            found = PARTS[name](url, asked)
            print(*found, sep="\n", flush=True)
            figures += found
    return int(any(each.is_missed for each in figures))


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    sys.exit(main(sys.argv[1:]))
