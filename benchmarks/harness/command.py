"""The command line of `benchmarks/run.py`."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import comparison, machine, report
from benchmarks.harness.bench import ROOT, Bench
from benchmarks.harness.scale import FULL, QUICK, TINY
from benchmarks.harness.stores import STORES, Store
from benchmarks.measurements import bulk, depth, idle, latency, peers, start, worker

Measurement = Callable[[Bench, Sequence[Store]], None]

MEASUREMENTS: dict[str, Measurement] = {
    "worker": worker.measure,
    "bulk": bulk.measure,
    "latency": latency.measure,
    "idle": idle.measure,
    "depth": depth.measure,
    "start": start.measure,
    "peers": peers.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Measure; 1 if a bar was missed on a machine that was quiet."""
    asked = _parser().parse_args(arguments)
    scale = TINY if asked.tiny else QUICK if asked.quick else FULL
    stores = [STORES[asked.store]] if asked.store in STORES else list(STORES.values())
    asked.folder.mkdir(parents=True, exist_ok=True)
    load = machine.load_average()
    if load > machine.LOAD_TOO_HIGH:
        machine.warn(f"the load average is {load:.1f}: what others do here makes figures noisy.")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=asked.folder) as made:
        folder = Path(made)
        bench = Bench(scale, folder, environments=asked.environments)
        described = machine.describe(folder)
        for name in asked.only or MEASUREMENTS:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            bench.measurement = name
            MEASUREMENTS[name](bench, stores)
    session = session_of(bench, described)
    print(report.as_text(bench.figures))
    if session["load"]["noisy"]:
        machine.warn(
            f"{session['load']['noisy']} of {session['load']['runs']} runs were noisy: no results."
        )
    if asked.json is not None:
        asked.json.write_text(json.dumps(session, indent=1) + "\n")
    if asked.update_docs:
        report.publish(session, bench.figures)
    return int(any(figure.verdict == "missed" for figure in bench.figures))


def session_of(bench: Bench, described: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, and where."""
    loads = [run.load_before for run in bench.runs] or [machine.load_average()]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": described,
        "load": {
            "least": min(loads),
            "most": max(loads),
            "noisy": sum(run.noisy for run in bench.runs),
            "runs": len(bench.runs),
        },
        **bench.as_json(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run.py",
        description="Measure asynctasq: at least 100,000 tasks, five runs, medians.",
    )
    parser.add_argument("store", nargs="?", default="all", choices=[*STORES, "all"])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--tiny", action="store_true", help="only whether everything works")
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write {comparison.DOCUMENT.name}"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / ".bench",
        help="where files of the stores are made: on the disk that is to be measured",
    )
    parser.add_argument(
        "--environments", type=Path, default=ROOT / ".venvs", help="where peers are installed"
    )
    return parser
