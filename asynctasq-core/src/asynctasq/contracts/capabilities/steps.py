"""STEPS (reserved): results of the steps of a task, kept between its runs."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from asynctasq.message import Lease


@runtime_checkable
class SupportsSteps(Protocol):
    """STEPS. Kept until the message ends."""

    async def save_steps(self, steps: Sequence[tuple[Lease, str, bytes]]) -> list[bool]:
        """Store a value for each name. False where the lease is not current."""
        ...

    async def steps(self, ids: Sequence[bytes]) -> list[Mapping[str, bytes]]:
        """Return the stored values by name. Core reads them only where `Delivery.resumed` is true."""
        ...
