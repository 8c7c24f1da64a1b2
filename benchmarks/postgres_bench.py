"""Measure asynctasq on PostgreSQL beside its peers: `python benchmarks/postgres_bench.py [--quick]`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "benchmarks/postgres_bench.py"
STORE = "PostgreSQL"


def main(arguments: list[str]) -> int:
    """Measure; 1 if a bar was missed on a machine that was quiet."""
    from benchmarks.harness.side_by_side_command import Comparison, marks, run
    from benchmarks.measurements.databases.database_bench import postgres_bench
    from benchmarks.measurements.databases.sets import ON_POSTGRES

    compared = Comparison(
        PROGRAM, __doc__, postgres_bench, ON_POSTGRES, marks=marks(STORE, PROGRAM)
    )
    return run(compared, arguments)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    sys.exit(main(sys.argv[1:]))
