"""The application that is diagnosed."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING

from asynctasq.config import Settings
from asynctasq.contracts.driver import Driver
from asynctasq.plugins import PluginRegistry
from asynctasq.records import record

if TYPE_CHECKING:
    from asynctasq.dispatch.outbox import AppOutbox


@record
class Subject:
    """An application, as the checks see it."""

    settings: Settings
    plugins: PluginRegistry
    place: str
    """The store, without a password."""
    connect: Callable[[], Awaitable[Driver]]
    """Returns the opened driver. It raises `DriverUnavailable` rather than creating a store."""
    stores: Sequence[Driver]
    """Unopened drivers of the store: two for a queue with a state store."""
    queues: Collection[str]
    """The queues that the settings and the registered tasks name."""
    has_tasks: bool
    """True if the modules of the application were imported, so that its tasks are known."""
    outbox: "AppOutbox | None" = None
