"""Switches for the faults that happen inside workers. The storm turns them on, the workers read them.

They are kept in one file, so that workers need no connection to the storm. Each switch turns itself
off at its time, even if the storm has ended.
"""

import json
import os
import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from tests.chaos.ledger import Pen

LOOK_SECONDS = 0.1
FILE = "switches.json"
LOG = "faults.log"


class Switch(TypedDict):
    """A fault that is turned on."""

    until: float
    """Seconds since the Unix epoch."""
    rate: float
    """Probability of each injection."""
    value: float
    """Size of the fault, where it has one."""
    pid: int
    """Process that the fault is for; 0 for all."""


class SwitchBoard:
    """The storm's side."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._switches: dict[str, Switch] = {}

    def turn_on(
        self, name: str, seconds: float, *, rate: float = 1.0, value: float = 0.0, pid: float = 0
    ) -> None:
        """Turn a fault on for so many seconds."""
        self._switches[name] = Switch(
            until=time.time() + seconds, rate=rate, value=value, pid=int(pid)
        )
        self._write()

    def turn_off(self, name: str) -> None:
        """Turn a fault off before its time."""
        self._switches.pop(name, None)
        self._write()

    def turn_all_off(self) -> None:
        """Turn every fault off."""
        self._switches.clear()
        self._write()

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._switches))
        fresh.replace(self._file)


class Switches:
    """The side of a worker, or of the dispatcher."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / FILE)
        self._log = Pen(folder / LOG)
        self._switches: dict[str, Switch] = {}
        self._chance = random.Random()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="chaos-switches", daemon=True)

    def start(self) -> None:
        """Begin to look at the file."""
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and close the log."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._log.close()

    def value(self, name: str) -> float:
        """Return the size of a fault that is on, otherwise 0.0. Count nothing."""
        switch = self._on(name)
        return 0.0 if switch is None else switch["value"]

    def strikes(self, name: str) -> bool:
        """Return whether a fault must happen now, and count it if so."""
        switch = self._on(name)
        if switch is None or self._chance.random() >= switch["rate"]:
            return False
        self.note(name)
        return True

    def is_on(self, name: str) -> bool:
        """Return whether a fault may happen now. Count nothing."""
        switch = self._on(name)
        return switch is not None and self._chance.random() < switch["rate"]

    def note(self, name: str) -> None:
        """Count a fault that has happened."""
        self._log.write(f"{time.time():.6f} {os.getpid()} {name}\n")

    def _on(self, name: str) -> Switch | None:
        switch = self._switches.get(name)
        if switch is None or time.time() > switch["until"]:
            return None
        return switch if switch["pid"] in {0, os.getpid()} else None

    def _look(self) -> None:
        seen = 0
        while not self._stopped.wait(LOOK_SECONDS):
            with suppress(OSError, ValueError):  # there is none yet, or no descriptor for it
                changed = os.stat(self._path).st_mtime_ns  # noqa: PTH116 - ten times a second
                if changed != seen:
                    self._switches = json.loads(Path(self._path).read_text())
                    seen = changed
