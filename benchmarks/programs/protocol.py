"""The protocol of programs: one JSON object as the argument, one as the last line of output.

Uses only the standard library: programs for peers run in their own environments.
"""

import json
import sys
from typing import Any


def asked() -> Any:
    """Return the parameters."""
    return json.loads(sys.argv[1])


def answer(**values: object) -> None:
    """Say what was measured."""
    sys.stdout.write(f"\n{json.dumps(values)}\n")
    sys.stdout.flush()
