"""A store as a storm sees it: started, damaged, hung and looked into from outside."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from asynctasq.contracts.capabilities import DeadLetter
from asynctasq.contracts.driver import Driver
from asynctasq.records import record
from tests.chaos.ends import check_counts, dead_letters, read_ends, waiting
from tests.chaos.faults.fault import Lanes
from tests.chaos.inside.app import audited_driver
from tests.chaos.inside.audit import Audit
from tests.chaos.kinds import Kind, mixed
from tests.chaos.workload import Entry

NAMESPACE = "asynctasq"


@record
class Damage:
    """A record that was overwritten."""

    message: str
    """Id, in hexadecimal."""
    how: str
    must_die: bool
    """True for a waiting message that cannot be decoded: it can only become a dead letter."""


class Store(ABC):
    """The store that holds the messages of a storm."""

    kind: str
    """As `inside.app` calls it."""
    keeps_tokens = True
    """True if the store remembers every token; a failover may lose the last ones."""
    keeps_ends = False
    """True if no lease may follow a confirmed end although tokens do not tell their order."""
    has_outcomes = True
    """True if results can be awaited."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.skipped: list[str] = []
        """Faults that this machine cannot have, with the reason."""

    @property
    @abstractmethod
    def address(self) -> str:
        """The path or URL by which processes of the storm open the store."""

    @abstractmethod
    def start(self) -> None:
        """Start the store."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the store and release everything."""

    @abstractmethod
    def faults(self) -> Lanes:
        """Faults of this store by lane."""

    @abstractmethod
    async def hang(self, seconds: float) -> None:
        """Keep the store from answering for this time."""

    @abstractmethod
    async def damage(self, chance: random.Random) -> Damage | None:
        """Overwrite the record of one message that waits or runs; None if there is none."""

    @abstractmethod
    async def write_nonsense(self, chance: random.Random) -> None:
        """Write a record without meaning where a message of the queue `low` should be."""

    @abstractmethod
    async def leftovers(self) -> list[str]:
        """Return the data that the store still holds although all messages have ended."""

    @abstractmethod
    async def calm(self) -> None:
        """Undo every fault that lasts."""

    def driver(self, audit: Audit) -> Driver:
        """Return the driver of the dispatcher."""
        return audited_driver(self.kind, self.address, audit)

    # Answers that most stores give by themselves.

    def kinds(self, number: int, seed: int) -> list[Kind]:
        """Return the kinds of so many tasks, mixed."""
        return mixed(number, seed)

    def full(self, driver: Any) -> Any:
        """Return the driver of the full store, which has unique keys."""
        return driver

    async def not_ended(self, driver: Any, entries: Sequence[Entry]) -> int:
        """Return about how many messages have not ended; 0 only if all have."""
        return await waiting(driver)

    async def ends(self, driver: Any, messages: Iterable[str]) -> dict[str, str]:
        """Return the end of each message by ID."""
        return await read_ends(driver, messages)

    async def letters(self, driver: Any) -> list[DeadLetter]:
        """Return all dead letters."""
        return await dead_letters(driver)

    async def check_counts(self, driver: Any, letters: Sequence[DeadLetter]) -> list[str]:
        """Return what is wrong with the counts."""
        return await check_counts(driver, letters)

    async def await_all(self, handles: Sequence[Any]) -> None:
        """Return when all these tasks have succeeded."""
        await asyncio.gather(*(each.result() for each in handles))


def garbage(chance: random.Random, size: int) -> bytes:
    """Bytes without meaning."""
    return chance.randbytes(size)
