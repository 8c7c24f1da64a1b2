"""Measure asynctasq on Redis beside its peers: `python benchmarks/redis_bench.py [--quick]`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "benchmarks/redis_bench.py"
STORE = "Redis"


def main(arguments: list[str]) -> int:
    """Measure; 1 if a bar was missed on a machine that was quiet."""
    from benchmarks.harness.side_by_side_command import Comparison, marks, run
    from benchmarks.measurements.redis import MEASUREMENTS, redis_bench

    compared = Comparison(PROGRAM, __doc__, redis_bench, MEASUREMENTS, marks=marks(STORE, PROGRAM))
    return run(compared, arguments)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    sys.exit(main(sys.argv[1:]))
