"""Testing tools for applications.

- `Sandbox` keeps the tasks that are dispatched to any store and runs them on request
- `Dispatched`: one message that a sandbox kept
- `Clock`: the time of a sandbox, which moves only when you move it

The pytest plugin `asynctasq` provides them as fixtures. Tools for driver authors are in
`asynctasq.conformance`; this package re-exports their names until version 1.0. Each module is
imported when you first use one of its names.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctasq.conformance import (
        Check,
        CheckResult,
        DriverConformance,
        Harness,
        Report,
        TcpProxy,
        all_checks,
        run_check,
        run_conformance,
    )
    from asynctasq.testing.clock import Clock
    from asynctasq.testing.dispatched import Dispatched
    from asynctasq.testing.sandbox import Sandbox

__all__ = [
    "Check",
    "CheckResult",
    "Clock",
    "Dispatched",
    "DriverConformance",
    "Harness",
    "Report",
    "Sandbox",
    "TcpProxy",
    "all_checks",
    "run_check",
    "run_conformance",
]

_OWN = {
    "Clock": "asynctasq.testing.clock",
    "Dispatched": "asynctasq.testing.dispatched",
    "Sandbox": "asynctasq.testing.sandbox",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_OWN.get(name, "asynctasq.conformance"))
    globals()[name] = value = getattr(module, name)
    return value
