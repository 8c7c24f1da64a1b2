"""For tests: of an application's tasks, and of drivers, whoever wrote them.

Of tasks:

- `Sandbox` keeps what is dispatched from every store, and runs it when asked to
- `Dispatched`: one message that it kept
- `Clock`: its time, which moves when told to

Of drivers:

- `DriverConformance`, a pytest class: every rule of the contract is a test of a driver
- `run_conformance`: the same without pytest, giving a `Report` of `CheckResult`s
- `run_check`: one `Check` of `all_checks()`, each of which works with a `Kit`
- `TcpProxy` breaks the line to a server
- `asynctasq.testing.processes`: several processes, and SIGKILL
- `asynctasq.testing.model`: random operations, compared with the memory driver

The pytest plugin `asynctasq` makes fixtures of them. Each is imported when it is first used;
`python -m pydoc asynctasq.testing.Sandbox` shows one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctasq.testing.clock import Clock
    from asynctasq.testing.conformance.check import Check
    from asynctasq.testing.conformance.kit import Kit
    from asynctasq.testing.conformance.runner import CheckResult, Report, run_check, run_conformance
    from asynctasq.testing.conformance.suite import DriverConformance
    from asynctasq.testing.conformance.themes import all_checks
    from asynctasq.testing.dispatched import Dispatched
    from asynctasq.testing.proxy import TcpProxy
    from asynctasq.testing.sandbox import Sandbox

__all__ = [
    "Check",
    "CheckResult",
    "Clock",
    "Dispatched",
    "DriverConformance",
    "Kit",
    "Report",
    "Sandbox",
    "TcpProxy",
    "all_checks",
    "run_check",
    "run_conformance",
]

_MODULES = {
    "Check": "conformance.check",
    "CheckResult": "conformance.runner",
    "Clock": "clock",
    "Dispatched": "dispatched",
    "DriverConformance": "conformance.suite",
    "Kit": "conformance.kit",
    "Report": "conformance.runner",
    "Sandbox": "sandbox",
    "TcpProxy": "proxy",
    "all_checks": "conformance.themes",
    "run_check": "conformance.runner",
    "run_conformance": "conformance.runner",
}
"""Who tests a driver needs no app, and who tests tasks no suite: imported when first used."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
