"""A check of a driver whose SQL server fails in one way, for servers of every dialect."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from tests.chaos.stores.sql_server import SqlServerStore

MakeDriver: TypeAlias = Callable[..., Any]
"""Makes drivers of the store, in a namespace that no other check uses."""
Check: TypeAlias = Callable[[SqlServerStore, MakeDriver], Awaitable[None]]
"""Disturbs a store that has started, and leaves it as it was."""

SOON_SECONDS = 20.0
"""Generous for a machine that is busy; a driver that has lost its listener looks once a second."""
