"""The reason for which a check or a theme does not apply to a driver."""

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

from asynctasq.conformance.check import Check
from asynctasq.conformance.themes import all_checks
from asynctasq.contracts.capabilities import Capability

_TOOLS = {
    "damages": "it damages records",
    "stops": "it stops the store hard",
    "transacts": "it begins transactions of an application",
}
"""Attribute of a check to what only the suite in the repository of a driver can do."""


def why_not(name: str, capabilities: Capability) -> str:
    """Return why a check or a theme does not apply to a driver, as a clause.

    Args:
        name: of the check or of the theme.
        capabilities: those of the driver.
    """
    checks = [check for check in all_checks() if name in {check.name, check.theme}]
    if not checks:
        return f"no check and no theme is called {name}"
    missing = _missing(checks, capabilities)
    if missing:
        return f"{name} does not apply to this driver, which lacks {missing}"
    for attribute, reason in _TOOLS.items():
        if all(getattr(check, attribute) for check in checks):
            return (
                f"{name} can only be checked by the tests of the driver, because {reason} "
                "(see docs/writing-a-driver.md)"
            )
    if all(check.moves_clock for check in checks):
        return f"{name} does not apply to this driver, whose clock cannot be moved"
    return f"{name} does not apply to this driver and these options"


def _missing(checks: Sequence[Check], capabilities: Capability) -> str:
    """Return the capabilities that keep each of the checks from a driver; empty if one lacks none."""
    lacking = [check.needs & ~capabilities for check in checks]
    if not all(lacking):
        return ""
    common = reduce(and_, lacking) or reduce(or_, lacking)
    return ", ".join(sorted(str(flag.name) for flag in common))
