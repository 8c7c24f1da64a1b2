"""Measure asynctasq on RabbitMQ beside Celery and taskiq: `python benchmarks/rabbitmq_bench.py [--quick]`.

All run on one server, in turns: no-op tasks, confirms, late acknowledgements, no results. Only the ratios count.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "benchmarks" / "programs"
PEERS = {
    "celery_tasks": ("celery", ("celery",)),
    "taskiq_rabbitmq": ("taskiq-aio-pika", ("taskiq", "taskiq-aio-pika", "uvloop")),
}
"""Programs: name of the environment, and what is in it."""
BARS = {"celery_tasks": 3.0, "taskiq_rabbitmq": 2.0, "bulk": 5.0}
"""How many times faster asynctasq has to be; the last one is bulk against one at a time."""


def measured(python: Path | str, program: str, *arguments: str) -> dict[str, float]:
    """Run a program; return its figures."""
    command = [str(python), str(PROGRAMS / f"{program}.py"), *arguments]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
    figures: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return figures


def main(arguments: list[str]) -> int:
    """Measure; return 1 if a bar was missed."""
    from benchmarks.harness.environments import installed
    from tests.servers.rabbitmq import rabbitmq_server

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer tasks and runs")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venvs")
    asked = parser.parse_args(arguments)
    tasks, runs = ("2000", 1) if asked.quick else ("10000", 3)
    pythons = {
        program: installed(asked.environments, name, packages, print)
        for program, (name, packages) in PEERS.items()
    }
    ratios: dict[str, list[float]] = {name: [] for name in BARS}
    with rabbitmq_server() as url:
        for _ in range(runs):
            ours = measured(sys.executable, "rabbitmq_tasks", url, tasks, "classic")
            print(f"asynctasq: {ours['rate']:,.0f}/s, bulk dispatch {ours['bulk']:,.0f}/s")
            ratios["bulk"].append(ours["bulk"] / ours["single"])
            for program, python in pythons.items():
                theirs = measured(python, program, url, tasks)
                print(f"{PEERS[program][0]}: {theirs['rate']:,.0f}/s")
                ratios[program].append(ours["rate"] / theirs["rate"])
    missed = 0
    for name, found in ratios.items():
        ratio = statistics.median(found)
        missed += ratio < BARS[name]
        print(f"{name}: {ratio:.1f} times, at least {BARS[name]} wanted")
    return int(missed > 0)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    sys.exit(main(sys.argv[1:]))
