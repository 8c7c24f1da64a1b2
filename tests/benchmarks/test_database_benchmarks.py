"""The benchmarks of PostgreSQL and MariaDB run: with tiny numbers, nothing about time, and no peers."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import mysql_bench, postgres_bench
from benchmarks.harness.bench import Bench
from benchmarks.harness.scale import TINY
from benchmarks.measurements.databases import database_bench, drain

pytestmark = pytest.mark.full

DEPTH = {"depth.reserve", "depth.settle", "depth.enqueue", "depth.both"}
SNAPSHOT = {"snapshot.reserve", "snapshot.slowest"}
CONNECTIONS = {"connections.with", "connections.without", "connections.ratio"}
IDLE = {"idle.cpu", "idle.transactions"}
DISPATCH = {f"dispatch.{way}.asynctasq_tasks" for way in ("bulk", "gather", "single")}
LATENCY = {"latency.soon", "latency.later"}
DEADLOCKS = {f"deadlocks.{each}" for each in ("seen", "server", "left", "speed")}
FIGURES: dict[ModuleType, dict[str, set[str]]] = {
    postgres_bench: {
        "connections": CONNECTIONS,
        "snapshot": SNAPSHOT,
        "depth": DEPTH,
        "idle": IDLE,
    },
    mysql_bench: {
        "dispatch": DISPATCH,
        "deadlocks": DEADLOCKS,
        "latency": LATENCY,
        "snapshot": SNAPSHOT,
        "depth": DEPTH,
    },
}
QUICK = {postgres_bench: "snapshot", mysql_bench: "deadlocks"}
"""The measurements that run without `--full`."""


@pytest.mark.parametrize("bench", FIGURES, ids=lambda bench: bench.STORE)
def test_measurements_give_their_figures(
    bench: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> None:
    file = tmp_path / "figures.json"
    names = list(FIGURES[bench]) if pytestconfig.getoption("full") else [QUICK[bench]]
    only = [part for name in names for part in ("--only", name)]
    bench.main(["--tiny", *only, "--json", str(file)])
    printed = capsys.readouterr().out
    session: dict[str, Any] = json.loads(file.read_text())
    figures = {each["key"]: each for each in session["figures"]}
    assert figures.keys() == set().union(*(FIGURES[bench][name] for name in names))
    for each in figures.values():
        assert each["values"]
        assert each["title"] in printed
    if bench is mysql_bench:
        assert figures["deadlocks.left"]["values"] == [0.0]
        assert figures["deadlocks.seen"]["values"] == [0.0]


@pytest.mark.parametrize(
    "opened",
    [database_bench.postgres_bench, database_bench.mysql_bench],
    ids=["PostgreSQL", "MariaDB"],
)
def test_bare_loop_handles_the_messages_of_the_driver(opened: Any, tmp_path: Path) -> None:
    session = Bench(TINY, tmp_path, environments=tmp_path)
    with opened(session) as bench:
        wall, cpu, server = drain.bare(bench, 250)
        assert not bench.left()
    assert wall > 0
    assert cpu > 0
    assert server >= 0
