"""Measure asynctasq on Redis beside its peers: `python benchmarks/redis_bench.py [--quick]`."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BEGIN = "<!-- figures of Redis: written by `benchmarks/redis_bench.py --update-docs` -->"
END = "<!-- end of figures of Redis -->"


def main(arguments: list[str]) -> int:
    """Measure; 1 if a bar was missed on a machine that was quiet."""
    from benchmarks.harness import comparison, machine, report
    from benchmarks.harness.bench import Bench
    from benchmarks.harness.command import session_of
    from benchmarks.harness.scale import FULL, QUICK, TINY
    from benchmarks.measurements.redis import MEASUREMENTS, redis_bench

    parser = argparse.ArgumentParser(prog="benchmarks/redis_bench.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    parser.add_argument("--tiny", action="store_true", help="only whether everything works")
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument(
        "--update-docs", action="store_true", help=f"write {comparison.DOCUMENT.name}"
    )
    parser.add_argument(
        "--environments", type=Path, default=ROOT / ".venvs", help="where peers are installed"
    )
    asked = parser.parse_args(arguments)
    scale = TINY if asked.tiny else QUICK if asked.quick else FULL
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        bench = Bench(scale, folder, environments=asked.environments)
        described = machine.describe(folder)
        with redis_bench(bench) as redis:
            described["packages"] |= redis.versions()
            for name in asked.only or MEASUREMENTS:
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                bench.measurement = name
                MEASUREMENTS[name](redis)
    session = session_of(bench, described)
    print(report.as_text(bench.figures))
    if asked.json is not None:
        asked.json.write_text(json.dumps(session, indent=1) + "\n")
    if asked.update_docs:
        report.publish(session, bench.figures, begin=BEGIN, end=END)
    return int(any(figure.verdict == "missed" for figure in bench.figures))


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    sys.exit(main(sys.argv[1:]))
