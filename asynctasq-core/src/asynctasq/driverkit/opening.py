"""The check at the start of each call: the driver is open, and it was opened in this process."""

import os
from typing import TypeVar

from asynctasq.errors import DriverError

T = TypeVar("T")


def check_open(store: str, opened: T | None, process: int) -> T:
    """Return the part of a driver that its `open` has made; refuse the call if there is none here.

    Args:
        store: the driver in words, such as `The sqlite driver of /srv/queue.db`.
        opened: a client or a pool of connections, for example; None if the driver is not open.
        process: ID of the process that opened it, as `os.getpid()` returned it then.

    Raises:
        DriverError: the driver is not open, or it was opened by the parent of a forked process.
    """
    if opened is None:
        raise DriverError(f"{store} is not open. Await its `open()` first.")
    if process != os.getpid():
        raise DriverError(
            f"{store} was opened in process {process} and cannot be used in its forked child. Open a "
            f"`clone()` here."
        )
    return opened
