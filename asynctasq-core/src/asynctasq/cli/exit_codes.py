"""The exit codes of every command, in one place."""

from collections.abc import Mapping
from enum import IntEnum

from asynctasq.errors import (
    AsynctasqError,
    CapabilityMissing,
    DriverUnavailable,
    ResultUnknown,
)


class ExitCode(IntEnum):
    """What a command says to the program that called it. `docs/how-to/operate-queues.md` lists them."""

    DONE = 0
    """What was asked for was done, or shown."""
    FAILED = 1
    """It was not done, or not all of it: the message says why. Also a check that found something."""
    USAGE = 2
    """The command line is wrong, or a question that needs an answer could not be asked: give --yes."""
    UNAVAILABLE = 3
    """The store cannot be reached, or there is none at that place."""
    INCAPABLE = 4
    """The driver cannot do that."""
    NOT_FOUND = 5
    """There is no such task or queue."""
    INTERRUPTED = 130
    """Ctrl-C."""
    PIPE_CLOSED = 141
    """Whoever read the output has stopped reading."""


def told(*codes: ExitCode, done: str = "done", failed: str = "not done") -> str:
    """A sentence for the help of a command: what its exit codes mean.

    Args:
        codes: those that it has beside 0, 1 and 2.
        done: what 0 means.
        failed: what 1 means.
    """
    meanings = {
        ExitCode.DONE: done,
        ExitCode.FAILED: failed,
        ExitCode.USAGE: "wrong usage",
        ExitCode.UNAVAILABLE: "no store",
        ExitCode.INCAPABLE: "capability missing",
        ExitCode.NOT_FOUND: "no such task or queue",
        ExitCode.INTERRUPTED: "interrupted",
    }
    shown = sorted({ExitCode.DONE, ExitCode.FAILED, ExitCode.USAGE, *codes})
    return f"Exit codes: {'; '.join(f'{code.value} {meanings[code]}' for code in shown)}."


STORE_CODES = (ExitCode.UNAVAILABLE, ExitCode.INCAPABLE)
"""Of commands that look into a store."""


_OF_ERRORS: Mapping[type[AsynctasqError], ExitCode] = {
    DriverUnavailable: ExitCode.UNAVAILABLE,
    CapabilityMissing: ExitCode.INCAPABLE,
    ResultUnknown: ExitCode.NOT_FOUND,
}


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code of a command that ends with this error."""
    for cls, code in _OF_ERRORS.items():
        if isinstance(error, cls):
            return code
    return ExitCode.FAILED
