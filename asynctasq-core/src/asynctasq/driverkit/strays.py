"""Leases of an owner that does not know of them, because the answer of its `reserve` never arrived."""

import time
from collections.abc import Container, Mapping
from typing import TypeVar

from asynctasq.driverkit.times import micros

K = TypeVar("K")


class StraySearch:
    """A search for strays, for stores that answer an `extend` with all leases of the owner.

    Make it when the call begins. The caller does not know of a message that another of its calls reserves
    while this one is under way, so the time since then counts against none.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._began_at = time.monotonic()

    def strays(self, leased_at: Mapping[K, int], now: int, named: Container[object]) -> list[K]:
        """Return the leases that were old when the call began, and are not named.

        Args:
            leased_at: the time of each lease of the owner, in microseconds of the store's clock.
            now: the time of the answer by the same clock.
            named: the leases that the owner knows of.
        """
        age = micros(self._lease + time.monotonic() - self._began_at)
        return [key for key, at in leased_at.items() if abs(now - at) >= age and key not in named]
