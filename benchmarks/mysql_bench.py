"""Measure asynctasq on MariaDB beside PostgreSQL and a bare loop: `python benchmarks/mysql_bench.py [--quick]`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "benchmarks/mysql_bench.py"
STORE = "MariaDB"


def main(arguments: list[str]) -> int:
    """Measure; 1 if a bar was missed on a machine that was quiet."""
    from benchmarks.harness.side_by_side_command import Comparison, marks, run
    from benchmarks.measurements.databases.database_bench import mysql_bench
    from benchmarks.measurements.databases.sets import ON_MYSQL

    compared = Comparison(PROGRAM, __doc__, mysql_bench, ON_MYSQL, marks=marks(STORE, PROGRAM))
    return run(compared, arguments)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    sys.exit(main(sys.argv[1:]))
