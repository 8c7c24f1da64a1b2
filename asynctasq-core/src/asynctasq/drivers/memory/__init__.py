"""The memory driver: a queue that lives and dies with its process."""

from asynctasq.drivers.memory.driver import MemoryDriver
from asynctasq.drivers.memory.settings import MemorySettings

__all__ = ["MemoryDriver", "MemorySettings"]
