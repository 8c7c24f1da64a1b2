"""The time that commands and workers take to start."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.harness.bench import Bench, environment
from benchmarks.harness.figures import Figure
from benchmarks.harness.stores import Store

IMPORT_BAR_MS = 120.0
LIST_BAR_MS = 400.0
ABSENT = ("click", "django", "pydantic", "redis", "rich", "sqlalchemy", "sqlite3", "starlette")
IMPORT = """
import sys, time
begun = time.perf_counter()
import asynctasq
print(time.perf_counter() - begun, *{name.partition(".")[0] for name in sys.modules})
"""


def measure(bench: Bench, stores: Sequence[Store]) -> None:
    starts = bench.scale.starts
    imports = [_imported(bench) for _ in range(starts)]
    lists = [_listed(bench) for _ in range(starts)]
    loaded = sorted(set().union(*(modules for _, modules in imports)) & set(ABSENT))
    bench.add(
        Figure(
            "start.import",
            "import asynctasq, in a new process",
            "ms",
            tuple(seconds * 1e3 for seconds, _ in imports),
            at_most=IMPORT_BAR_MS,
        )
    )
    bench.add(
        Figure(
            "start.modules",
            "heavy modules that it brings",
            "",
            (float(len(loaded)),),
            at_most=0.0,
            note=", ".join(loaded) or "none",
        )
    )
    bench.add(
        Figure(
            "start.list",
            "asynctasq plugins list",
            "ms",
            tuple(wall * 1e3 for wall, _ in lists),
            at_most=LIST_BAR_MS,
        )
    )
    bench.add(
        Figure(
            "start.list.cpu",
            "asynctasq plugins list: processor time",
            "ms",
            tuple(cpu * 1e3 for _, cpu in lists),
        )
    )


def _imported(bench: Bench) -> tuple[float, set[str]]:
    with bench.watched("import"):
        out = _output([sys.executable, "-c", IMPORT])
    seconds, *modules = out.split()
    return float(seconds), set(modules)


def _listed(bench: Bench) -> tuple[float, float]:
    command = [sys.executable, "-m", "asynctasq.cli", "plugins", "list"]
    with bench.watched("plugins list"):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        _output(command)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _output(command: Sequence[str]) -> str:
    env = environment()
    return subprocess.run(command, stdout=subprocess.PIPE, env=env, text=True, check=True).stdout
