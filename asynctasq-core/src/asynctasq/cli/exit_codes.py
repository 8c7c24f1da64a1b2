"""The exit codes of all commands."""

from collections.abc import Mapping
from enum import IntEnum

from asynctasq.errors import (
    AsynctasqError,
    CapabilityMissing,
    DriverUnavailable,
    ResultUnknown,
)


class ExitCode(IntEnum):
    """The exit code of a command. `docs/how-to/operate-queues.md` lists them."""

    DONE = 0
    """The command did everything."""
    FAILED = 1
    """The command failed, did only a part, or checked something that is not in order."""
    USAGE = 2
    """The command line is wrong, or the command could not ask for confirmation."""
    UNAVAILABLE = 3
    """The store cannot be reached or does not exist."""
    INCAPABLE = 4
    """The driver does not support the operation."""
    NOT_FOUND = 5
    """The task or queue does not exist."""
    INTERRUPTED = 130
    """The user pressed Ctrl-C."""
    PIPE_CLOSED = 141
    """The reader of the output closed its pipe."""


STORE_CODES = (ExitCode.UNAVAILABLE, ExitCode.INCAPABLE)
"""Further exit codes of every command that opens a store."""

_MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed",
    ExitCode.USAGE: "wrong usage",
    ExitCode.UNAVAILABLE: "store unavailable",
    ExitCode.INCAPABLE: "not supported by this driver",
    ExitCode.NOT_FOUND: "no such task or queue",
    ExitCode.INTERRUPTED: "interrupted",
}


def exit_code_help(*codes: ExitCode, done: str = "", failed: str = "") -> str:
    """Return a line for the help of a command that lists its exit codes.

    Args:
        codes: further codes than 0, 1 and 2.
        done: meaning of 0, if it has a special one.
        failed: meaning of 1, if it has a special one.
    """
    special = {ExitCode.DONE: done, ExitCode.FAILED: failed}
    shown = sorted({ExitCode.DONE, ExitCode.FAILED, ExitCode.USAGE, *codes})
    meanings = (f"{code.value} {special.get(code) or _MEANINGS[code]}" for code in shown)
    return f"Exit codes: {', '.join(meanings)}."


_OF_ERRORS: Mapping[type[AsynctasqError], ExitCode] = {
    DriverUnavailable: ExitCode.UNAVAILABLE,
    CapabilityMissing: ExitCode.INCAPABLE,
    ResultUnknown: ExitCode.NOT_FOUND,
}


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code of a command that fails with this error."""
    for cls, code in _OF_ERRORS.items():
        if isinstance(error, cls):
            return code
    return ExitCode.FAILED
