"""A fault, and what it may act on."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from asynctasq.records import record
from tests.chaos.crew import Crew
from tests.chaos.inside.switches import SwitchBoard
from tests.chaos.report import Report

if TYPE_CHECKING:
    from tests.chaos.stores.store import Damage, Store


@dataclass
class Scene:
    """What faults act on."""

    chance: random.Random
    crew: Crew
    store: "Store"
    board: SwitchBoard
    report: Report
    folder: Path
    damages: list["Damage"] = field(default_factory=list["Damage"])
    jumps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When clocks were wrong: beginning and end, in seconds since the Unix epoch."""


@record
class Fault:
    """One kind of fault."""

    name: str
    """As the report calls it."""
    strike: Callable[[Scene], Awaitable[None]]
    """Let it happen; returns when it is over."""
    counted_inside: bool = False
    """Whether the processes that it hits count it, each time that it hits them."""


PROCESSES = "processes"
"""The lane whose faults end workers: each waits until those of the one before have been replaced."""

Lanes: TypeAlias = Mapping[str, Sequence[Fault]]
"""Faults by lane. Those of one lane do not overlap."""
