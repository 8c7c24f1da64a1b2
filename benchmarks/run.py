"""Measure asynctasq: `python benchmarks/run.py [memory|sqlite|all] [--quick] [--json FILE]`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # `benchmarks` is imported by that name, here as in the programs
    from benchmarks.harness.command import main

    sys.exit(main(sys.argv[1:]))
