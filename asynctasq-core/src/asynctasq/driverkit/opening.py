"""The check at the start of each call: the driver is open, and it was opened in this process."""

import os

from asynctasq.errors import DriverError


def check_open(store: str, process: int | None) -> None:
    """Refuse a call of a driver that is not open here.

    Args:
        store: the driver in words, such as `The sqlite driver of /srv/queue.db`.
        process: ID of the process that opened it (`os.getpid()` at that time); None if it is not open.

    Raises:
        DriverError: the driver is not open, or it was opened by the parent of a forked process.
    """
    if process is None:
        raise DriverError(f"{store} is not open. Await its `open()` first.")
    if process != os.getpid():
        raise DriverError(
            f"{store} was opened in process {process} and cannot be used in its forked child. Open a "
            f"`clone()` here."
        )
