"""The descriptors 0 to 2, which a service manager or a shell (`2>&-`) may have closed."""

import os
import sys
from contextlib import suppress

NAMES = ("stdin", "stdout", "stderr")


def open_standard_files() -> None:
    """Open closed standard descriptors on the null device.

    Otherwise the next file or socket that is opened gets the number, so that a `print` writes into a store's
    connection, and child processes cannot be started.
    """
    for fd, name in enumerate(NAMES):
        with suppress(OSError):
            os.fstat(fd)
            continue
        opened = os.open(os.devnull, os.O_RDONLY if fd == 0 else os.O_WRONLY)
        if opened != fd:
            os.dup2(opened, fd)
            os.close(opened)
        os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            mode = "r" if fd == 0 else "w"
            setattr(sys, name, open(fd, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  for the whole life of the process
