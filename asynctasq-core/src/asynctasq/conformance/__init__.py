"""Conformance tools for plugin authors: the rules of a contract as runnable checks.

- `DriverConformance`, a pytest class: each rule of the driver contract is one test of your driver
- `run_conformance` runs the same checks without pytest and returns a `Report` of `CheckResult`s
- `run_check` runs one `Check` of `all_checks()`; each check works with a `Harness`
- `TcpProxy` breaks the connection to a server
- `SerializerConformance`, `ResolverConformance` and `ExecutorConformance` test the other plugins
- `run_plugin_conformance` runs one of these three without pytest and returns a `PluginReport`
- `asynctasq.conformance.processes` runs several processes and kills them
- `asynctasq.conformance.model` compares random operations with the memory driver

Each module is imported when you first use one of its names.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynctasq.conformance.check import Check
    from asynctasq.conformance.executors import ExecutorConformance
    from asynctasq.conformance.harness import Harness
    from asynctasq.conformance.plugin_checks import (
        PluginCheck,
        PluginCheckResult,
        PluginConformance,
        PluginReport,
        run_plugin_conformance,
    )
    from asynctasq.conformance.proxy import TcpProxy
    from asynctasq.conformance.resolvers import ResolverConformance
    from asynctasq.conformance.runner import CheckResult, Report, run_check, run_conformance
    from asynctasq.conformance.serializers import SerializerConformance
    from asynctasq.conformance.suite import DriverConformance
    from asynctasq.conformance.themes import all_checks

__all__ = [
    "Check",
    "CheckResult",
    "DriverConformance",
    "ExecutorConformance",
    "Harness",
    "PluginCheck",
    "PluginCheckResult",
    "PluginConformance",
    "PluginReport",
    "Report",
    "ResolverConformance",
    "SerializerConformance",
    "TcpProxy",
    "all_checks",
    "run_check",
    "run_conformance",
    "run_plugin_conformance",
]

_MODULES = {
    "Check": "check",
    "CheckResult": "runner",
    "DriverConformance": "suite",
    "ExecutorConformance": "executors",
    "Harness": "harness",
    "PluginCheck": "plugin_checks",
    "PluginCheckResult": "plugin_checks",
    "PluginConformance": "plugin_checks",
    "PluginReport": "plugin_checks",
    "Report": "runner",
    "ResolverConformance": "resolvers",
    "SerializerConformance": "serializers",
    "TcpProxy": "proxy",
    "all_checks": "themes",
    "run_check": "runner",
    "run_conformance": "runner",
    "run_plugin_conformance": "plugin_checks",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
