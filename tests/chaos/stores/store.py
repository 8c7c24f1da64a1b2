"""A store as a storm sees it: started, damaged, hung and looked into from outside."""

import random
from abc import ABC, abstractmethod
from pathlib import Path

from asynctasq.contracts.driver import Driver
from asynctasq.records import record
from tests.chaos.faults.fault import Lanes
from tests.chaos.inside.app import audited_driver
from tests.chaos.inside.audit import Audit

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


def garbage(chance: random.Random, size: int) -> bytes:
    """Bytes without meaning."""
    return chance.randbytes(size)
