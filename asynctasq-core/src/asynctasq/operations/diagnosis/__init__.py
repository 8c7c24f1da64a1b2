"""The checks of `asynctasq doctor`: whether everything that an application needs is there.

Each check has its own module, and `diagnose` runs them in order. A check that fails never hides the others. Those
that need the store are reported as not checked if it cannot be used.
"""

from asynctasq.operations.diagnosis.finding import CHECKS, Finding, Status
from asynctasq.operations.diagnosis.run import diagnose, unusable
from asynctasq.operations.diagnosis.subject import Subject

__all__ = ["CHECKS", "Finding", "Status", "Subject", "diagnose", "unusable"]
