"""Errors of MySQL, MariaDB and their clients as errors of asynctasq that name the remedy."""

from asynctasq.errors import DriverError, DriverUnavailable

DEADLOCK, LOCK_TIMEOUT, DUPLICATE, NO_TABLE = 1213, 1205, 1062, 1146
LOST = frozenset(
    {2000, 2006, 2013, 2014, 2055, 1053, 1927, 3169, 4031, 1158, 1159, 1160, 1161, 1184}
)
"""The connection is gone, or of no use any more."""
REPEATED = frozenset({DEADLOCK, LOCK_TIMEOUT, 1020, 3101, 3572})
"""The server has undone a statement or a transaction, because another one was in the way."""
DEMOTED = frozenset({1290, 1836, 1792})
_UNAVAILABLE = frozenset(
    {
        *LOST, *REPEATED, *DEMOTED,
        1021,  # the disk is full
        1040, 1203, 1226,  # too many connections
        1041, 1037, 1038,  # out of memory
        1047,  # a node of a Galera cluster that is not ready
        1077, 1078, 1079, 1152,
        1114,  # the table is full
        1129,  # the host is blocked after many errors
        1180, 1181, 1206, 1637,
        1317, 1969, 3024,  # interrupted, or too slow for a limit of the server
        2001, 2002, 2003, 2004, 2005, 2011, 2012, 2026,
        3100,
    }
)  # fmt: skip
_REFUSED = {
    1044: "refuses this user. Check the user name, the password and the rights of the user",
    1045: "refuses this user. Check the user name, the password and the rights of the user",
    1142: "refuses this user. Check the rights of the user on the tables (the documentation lists them)",
    1143: "refuses this user. Check the rights of the user on the tables (the documentation lists them)",
    1049: "has no such database. Create it, or set another `database`",
    NO_TABLE: "lacks a table. Run `asynctasq migrate`",
    1054: "lacks a column. Run `asynctasq migrate`",
    1153: "refuses a packet of this size. Raise max_allowed_packet, or store large data elsewhere",
    1665: "cannot write its binary log. Set binlog_format to ROW or MIXED",
}


class LostConnection(Exception):
    """The connection broke, so the call may or may not have been executed."""


def code_of(error: BaseException) -> int:
    """Return the number of a client's error; 0 if it has none."""
    code = error.args[0] if error.args else 0
    return code if type(code) is int else 0


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is of no use after an error."""
    return (
        isinstance(error, LostConnection | TimeoutError | OSError)
        or code_of(error) in LOST | DEMOTED
    )


def translated(error: Exception, place: str) -> DriverError:
    """Return the error to raise in place of one that the client raised."""
    code = code_of(error)
    text = str(error).strip() or type(error).__qualname__
    if code in DEMOTED:
        return DriverUnavailable(
            f"The server at {place} is read-only. Wait for the end of a fail-over, or set the address of the "
            f"primary ({text})."
        )
    if code in REPEATED:
        return DriverUnavailable(
            f"The server at {place} has undone a call several times, because another transaction was in its way. "
            f"Look for transactions that stay open for long ({text})."
        )
    if code in _UNAVAILABLE or isinstance(error, LostConnection | TimeoutError | OSError):
        return DriverUnavailable(f"The server at {place} cannot be used now ({text}).")
    reason = _REFUSED.get(code, "refused a statement")
    return DriverError(f"The server at {place} {reason} ({text}).")
