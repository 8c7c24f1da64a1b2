"""Memory drivers that tell of the enqueues they see, refuse some, or can do less."""

from collections.abc import Callable, Sequence
from typing import Self

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Enqueued
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.message import Message


class CountingDriver(MemoryDriver):
    """Writes down the chunks of each enqueue."""

    chunks: list[list[Message]]
    before: Callable[[Sequence[Message]], None] | None
    """Called before each enqueue; what it raises is the answer."""
    after: Callable[[Sequence[Message]], None] | None
    """A function to call once the store has the messages: as if the answer were lost."""

    def __init__(
        self,
        *,
        before: Callable[[Sequence[Message]], None] | None = None,
        after: Callable[[Sequence[Message]], None] | None = None,
    ) -> None:
        super().__init__()
        self.chunks = []
        self.before = before
        self.after = after

    def clone(self) -> Self:
        clone = super().clone()
        clone.chunks, clone.before, clone.after = self.chunks, self.before, self.after
        return clone

    async def enqueue(self, messages: Sequence[Message]) -> list[Enqueued]:
        self.chunks.append(list(messages))
        if self.before is not None:
            self.before(messages)
        answers = await super().enqueue(messages)
        if self.after is not None:
            self.after(messages)
        return answers


class QueueOnlyDriver(MemoryDriver):
    """A driver with the features of a broker."""

    capabilities = Capability.COUNTED
