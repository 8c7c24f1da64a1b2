"""A fault, and what it may act on."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from asynctasq.records import record
from tests.chaos.fleet import WorkerFleet
from tests.chaos.inside.switches import LOG, SwitchBoard
from tests.chaos.ledger import read_faults
from tests.chaos.report import Report

if TYPE_CHECKING:
    from tests.chaos.stores.store import Damage, Store

PATIENCE_SECONDS = 10.0
"""The longest time that a fault stays on to hit its first process."""


@dataclass
class Scene:
    """The objects that faults act on."""

    chance: random.Random
    fleet: WorkerFleet
    store: "Store"
    board: SwitchBoard
    report: Report
    folder: Path
    damages: list["Damage"] = field(default_factory=list["Damage"])
    jumps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When clocks were wrong: beginning and end, in seconds since the Unix epoch."""
    struck: list[tuple[str, float, float]] = field(default_factory=list[tuple[str, float, float]])
    """Every fault by name, with its beginning and end."""

    async def inside(self, name: str, seconds: float, **options: float) -> None:
        """Turn a fault inside processes on for so long, or for longer until it has hit one.

        Args:
            name: of the switch.
            seconds: as it is on at least.
            options: of the switch (see `SwitchBoard.turn_on`).
        """
        before = self._counted(name)
        self.board.turn_on(name, seconds + PATIENCE_SECONDS, **options)
        await asyncio.sleep(seconds)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._counted(name) == before and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        self.board.turn_off(name)

    def _counted(self, name: str) -> int:
        return read_faults(self.folder / LOG)[name]


@record
class Fault:
    """One kind of fault."""

    name: str
    """As the report calls it."""
    strike: Callable[[Scene], Awaitable[None]]
    """Let it happen; returns when it is over."""
    counted_inside: bool = False
    """True if the affected processes count the fault, each time it hits them."""


PROCESSES = "processes"
"""The lane whose faults end workers: each waits until those of the one before have been replaced."""

Lanes: TypeAlias = Mapping[str, Sequence[Fault]]
"""Faults by lane. Those of one lane do not overlap."""
