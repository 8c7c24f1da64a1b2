"""Pages of listings, and the cursors that lead from one to the next.

A cursor is the time and the id of the last row of a page. Where those are damaged it says of which type they
are, so that a page never begins again at a row that was given before.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from asynctasq.contracts.capabilities import Page
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.drivers.sqlite.session import Row, Session
from asynctasq.errors import DriverError

T = TypeVar("T")

FIRST = -(1 << 63)
"""No number that SQLite stores is smaller."""
BEHIND_ALL = b"\xff" * (ID_BYTES + 1)
"""SQLite sorts this behind every number, every text, and every value of bytes that can stand in a row."""


def read_page(
    session: Session,
    sql: str,
    parameters: dict[str, Any],
    *,
    limit: int,
    time: int,
    descending: bool,
    make: Callable[[Row], T],
) -> Page[T]:
    """Read a page of a listing, shorter than asked for if its messages are large.

    Args:
        sql: Its rows are in order of time and id; the columns begin with id, queue, profile and payload.
        time: number of the column by which the rows are ordered.
        descending: whether the latest is first.
        make: makes an item of a row.
    """
    limit = max(limit, 0)
    rows, cut = session.rows_within(sql, {**parameters, "limit": limit + 1}, value=3)
    items = [make(row) for row in rows[:limit]]
    if not items or (len(rows) <= limit and not cut):
        return Page(items)
    last = rows[len(items) - 1]
    return Page(items, f"{_written(last[time], descending)}:{_written(last[0], descending)}")


def read_cursor(cursor: str) -> tuple[Any, Any]:
    """Return the time and the id that a cursor stands for.

    Raises:
        DriverError: it was not made by this driver.
    """
    time, _, message_id = cursor.partition(":")
    try:
        return _read(time), _read(message_id)
    except ValueError as error:
        raise DriverError(
            f"{cursor!r} is no cursor of this listing. Pass on the one of a `Page`."
        ) from error


def _written(value: Any, descending: bool) -> str:
    if type(value) is bytes:
        return f"x{value.hex()}"
    if type(value) is int:
        return f"i{value}"
    if type(value) is float:
        return f"f{value.hex()}"
    # A text was decoded with losses: go on behind all texts.
    return "t" if descending else "x"


def _read(text: str) -> Any:
    kind, rest = text[:1], text[1:]
    if kind == "x":
        return bytes.fromhex(rest)
    if kind == "i" and abs(int(rest)) <= -FIRST:
        return int(rest)
    if kind == "f":
        return float.fromhex(rest)
    if kind == "t" and not rest:
        return ""
    raise ValueError(text)
