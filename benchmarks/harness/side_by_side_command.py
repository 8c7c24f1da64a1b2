"""The command line of the benchmarks that measure peers beside us on one server."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from benchmarks.harness import comparison, machine, report
from benchmarks.harness.bench import ROOT, Bench
from benchmarks.harness.command import session_of
from benchmarks.harness.scale import FULL, QUICK, TINY
from benchmarks.harness.side_by_side import SideBySide

B = TypeVar("B", bound=SideBySide)


@dataclass(frozen=True)
class Comparison(Generic[B]):
    """A benchmark: how its server is started, what is measured there, and where the figures go."""

    program: str
    description: str | None
    opened: Callable[[Bench], AbstractContextManager[B]]
    measurements: Mapping[str, Callable[[B], None]]
    marks: tuple[str, str]
    """The lines of the document around the figures."""


def run(measured: Comparison[B], arguments: Sequence[str]) -> int:
    """Measure; return 1 if a bar was missed on a machine that was quiet."""
    asked = _parser(measured).parse_args(arguments)
    scale = TINY if asked.tiny else QUICK if asked.quick else FULL
    if asked.runs is not None:
        scale = replace(scale, runs=asked.runs)
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        bench = Bench(scale, folder, environments=asked.environments)
        described = machine.describe(folder)
        with measured.opened(bench) as side_by_side:
            described["packages"] |= side_by_side.versions()
            for name in asked.only or measured.measurements:
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                bench.measurement = name
                measured.measurements[name](side_by_side)
    session = session_of(bench, described)
    print(report.as_text(bench.figures))
    if asked.json is not None:
        asked.json.write_text(json.dumps(session, indent=1) + "\n")
    if asked.update_docs:
        begin, end = measured.marks
        report.publish(session, bench.figures, begin=begin, end=end)
    return int(any(figure.verdict == "missed" for figure in bench.figures))


def marks(store: str, program: str) -> tuple[str, str]:
    """Return the two lines of the document around the figures of a store."""
    begin = f"<!-- figures of {store}: written by `{program} --update-docs` -->"
    return begin, f"<!-- end of figures of {store} -->"


def _parser(measured: Comparison[B]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=measured.program, description=measured.description)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--tiny", action="store_true", help="only whether everything works")
    parser.add_argument("--runs", type=int, metavar="NUMBER", help="rounds of each measurement")
    parser.add_argument(
        "--only", action="append", choices=measured.measurements, help="may be repeated"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write {comparison.DOCUMENT.name}"
    )
    parser.add_argument(
        "--environments", type=Path, default=ROOT / ".venvs", help="where peers are installed"
    )
    return parser
