"""What a check found."""

from enum import StrEnum

from asynctasq.records import record

CHECKS = (
    "settings",
    "driver",
    "store",
    "version",
    "schema",
    "rights",
    "clock",
    "workers",
    "queues",
    "paused",
    "schedules",
    "dead-letters",
    "outbox",
)
"""The names of all checks, in order."""


class Status(StrEnum):
    """The verdict of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works, but an operator should look at it."""
    PROBLEM = "problem"
    """Tasks do not run, or will not."""
    NOT_CHECKED = "not checked"
    """The store could not be used, or cannot answer this."""


@record
class Finding:
    """One line of the report."""

    check: str
    """One of `CHECKS`."""
    status: Status
    text: str
    remedy: str = ""
    """What to do, as a sentence; empty if nothing is to be done."""


def ok(check: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Status.OK, text)


def not_checked(check: str, text: str) -> Finding:
    """Return a finding that the check was not made."""
    return Finding(check, Status.NOT_CHECKED, text)


def listed(names: "list[str]", most: int = 5) -> str:
    """Return some names as a text, with the number of further ones."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
