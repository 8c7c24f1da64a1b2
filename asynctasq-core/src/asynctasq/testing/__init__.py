"""For tests: the driver conformance suite, published for whoever writes a driver."""

from asynctasq.testing.conformance.check import Check
from asynctasq.testing.conformance.kit import Kit
from asynctasq.testing.conformance.runner import CheckResult, Report, run_check, run_conformance
from asynctasq.testing.conformance.suite import DriverConformance
from asynctasq.testing.conformance.themes import all_checks

__all__ = [
    "Check",
    "CheckResult",
    "DriverConformance",
    "Kit",
    "Report",
    "all_checks",
    "run_check",
    "run_conformance",
]
