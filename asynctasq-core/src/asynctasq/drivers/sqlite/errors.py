"""Errors of SQLite as errors of asynctasq that name the file and the remedy."""

import os
import sqlite3
from pathlib import Path

from asynctasq.errors import DriverError, DriverUnavailable

BUSY = "another process has been writing to it for longer than `busy_timeout`"
_TEMPORARY = {
    "SQLITE_BUSY": f"{BUSY}. Raise that setting, or find out which process holds the file",
    "SQLITE_LOCKED": f"{BUSY}. Raise that setting, or find out which process holds the file",
    "SQLITE_PROTOCOL": "too many processes opened it at once. Try again",
    "SQLITE_FULL": "the disk (or its quota) is full. Make room; nothing that was accepted is lost",
    "SQLITE_IOERR": "reading or writing failed. Check the disk and the system log",
    "SQLITE_CANTOPEN": "it, or a file beside it, cannot be opened. Check the folder, its "
    "permissions, and the limit of open files",
    "SQLITE_NOMEM": "there is not enough memory",
}
_PERMANENT = {
    "SQLITE_READONLY": "it is read-only. Make the file and its folder writable for this user (SQLite "
    "keeps files ending in -wal and -shm beside it)",
    "SQLITE_PERM": "it may not be accessed. Make the file and its folder writable for this user",
    "SQLITE_AUTH": "it may not be accessed. Make the file and its folder writable for this user",
    "SQLITE_NOTADB": "it is not an SQLite database. Choose another `path`, or move the file",
    "SQLITE_CORRUPT": "it is damaged. Stop all workers, then save what is left with "
    "`sqlite3 FILE .recover`",
    "SQLITE_TOOBIG": "a body, a result or a batch of them is larger than SQLite stores (1 GB)",
}
BROKEN_CONNECTION = frozenset(
    {"SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_NOTADB", "SQLITE_CORRUPT"}
)
"""After these errors, a new connection may work where the old one does not."""


def primary_code(error: Exception) -> str:
    """Return the name of the primary result code, for example SQLITE_IOERR for SQLITE_IOERR_FSYNC."""
    name = getattr(error, "sqlite_errorname", "")
    return "_".join(name.split("_")[:2])


def is_busy(error: BaseException | None) -> bool:
    """Return whether an error says that the file was locked for too long."""
    return isinstance(error, sqlite3.Error) and primary_code(error) == "SQLITE_BUSY"


def translated(error: Exception, path: str) -> DriverError:
    """Return the error to raise instead of one of the `sqlite3` module."""
    code = primary_code(error)
    if code == "SQLITE_FULL" or "disk is full" in str(error):
        code = "SQLITE_FULL"
    elif isinstance(error, (sqlite3.DataError, OverflowError)):
        code = "SQLITE_TOOBIG"
    elif code == "SQLITE_CANTOPEN" and not os.access(Path(path).parent, os.W_OK):
        code = "SQLITE_READONLY"
    if code in _TEMPORARY:
        return DriverUnavailable(f"The queue file {path}: {_TEMPORARY[code]} ({error}).")
    reason = _PERMANENT.get(code, "SQLite refused a statement")
    return DriverError(f"The queue file {path}: {reason} ({error}).")
