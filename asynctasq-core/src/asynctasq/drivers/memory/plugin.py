"""Entry point `memory` of the group `asynctasq.drivers`."""

from typing import TYPE_CHECKING

from asynctasq.drivers.memory.settings import MemorySettings
from asynctasq.hookspecs import hookimpl

if TYPE_CHECKING:
    from asynctasq.drivers.memory.driver import MemoryDriver


@hookimpl
def create_driver(
    name: str,
    settings: MemorySettings,
) -> "MemoryDriver":
    """Make an unopened memory driver with its own store."""
    from asynctasq.drivers.memory.driver import MemoryDriver

    return MemoryDriver(
        namespace=settings.namespace,
        dead_letter_ttl=settings.dead_letter_ttl,
        dead_letter_limit=settings.dead_letter_limit,
        outcome_limit=settings.outcome_limit,
    )


@hookimpl
def settings_class(name: str) -> type:
    """Return the class of the settings."""
    return MemorySettings
