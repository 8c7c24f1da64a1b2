"""How a program is asked and answers: one JSON object as its argument, one as its last line.

Uses nothing but the standard library: programs for peers run in environments of their own.
"""

import json
import sys
from typing import Any


def asked() -> Any:
    """The parameters."""
    return json.loads(sys.argv[1])


def answer(**values: object) -> None:
    """Say what was measured."""
    sys.stdout.write(f"\n{json.dumps(values)}\n")
    sys.stdout.flush()
